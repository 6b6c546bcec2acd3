"""`python -m cytobatch`."""

import signal
import sys
from typing import NoReturn

from cytobatch.engine.gc_tuning import freeze_gc_at_exit, gc_frozen
from cytobatch.errors import ExitCode


def main() -> None:
    """Run the command line, and exit with its exit code."""
    # Before all other imports, which take a while: the first process of a container ignores every signal without a
    # handler.
    signal.signal(signal.SIGTERM, _terminate)
    with gc_frozen():
        from cytobatch.cli.app import main as run_command_line
    code = run_command_line()
    freeze_gc_at_exit()
    sys.exit(code)


def _terminate(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(ExitCode.TERMINATED)


if __name__ == "__main__":
    main()
