"""`python -m cytobatch`."""

import os
import signal
import sys
import threading
from typing import NoReturn

from cytobatch.engine.gc_tuning import freeze_gc_at_exit, gc_frozen
from cytobatch.errors import ExitCode

_BY_SIGNAL = (ExitCode.INTERRUPTED, ExitCode.TERMINATED)


def main() -> None:
    """Run the command line, and exit with its exit code."""
    # Before all other imports, which take a while: the first process of a container ignores every signal without a
    # handler.
    signal.signal(signal.SIGTERM, _terminate)
    with gc_frozen():
        from cytobatch.cli.app import main as run_command_line
    try:
        code = run_command_line()
    except SystemExit as ending:
        _leave_threads(ending.code)
        raise
    _leave_threads(code)
    freeze_gc_at_exit()
    sys.exit(code)


def _leave_threads(code: object) -> None:
    """End the process if a signal has ended the run while threads still convert plates: Python would wait for them."""
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    if code in _BY_SIGNAL and any(not thread.daemon for thread in others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(str(code)))


def _terminate(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(ExitCode.TERMINATED)


if __name__ == "__main__":
    main()
