"""`python -m cytobatch`."""

import signal
import sys
from typing import NoReturn

from cytobatch.engine.gc_tuning import gc_frozen, leave
from cytobatch.errors import ExitCode


def main() -> None:
    """Exits with the command line's exit code."""
    # Before all imports, which take half a second: the first process of a container is not stopped by what it does not
    # listen to.
    signal.signal(signal.SIGTERM, _terminate)
    with gc_frozen():
        from cytobatch.cli.app import main as run_command_line  # noqa: PLC0415
    code = run_command_line()
    leave()
    sys.exit(code)


def _terminate(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(ExitCode.TERMINATED)


if __name__ == "__main__":
    main()
