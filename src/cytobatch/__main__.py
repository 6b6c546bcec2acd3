"""`python -m cytobatch`."""

import os
import signal
import sys
import threading
import time
from typing import NoReturn

from cytobatch.engine.gc_tuning import freeze_gc_at_exit, gc_frozen
from cytobatch.engine.signals import forget, terminate
from cytobatch.errors import ExitCode

_BY_SIGNAL = (ExitCode.INTERRUPTED, ExitCode.TERMINATED)
_WITHIN_SECONDS = 8.0
"""The time for removing files after SIGTERM. What waits for a store then is left behind."""
_LOOKS = 20


def main() -> None:
    """Run the command line, and exit with its exit code."""
    # Before all other imports, which take a while: the first process of a container ignores every signal without a
    # handler.
    forget()
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
    """End the process if threads convert plates after a signal, or wait for a store: Python would wait for them."""
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    if (code in _BY_SIGNAL and any(not thread.daemon for thread in others)) or _waits_for_store():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _waits_for_store() -> bool:
    from cytobatch.storage.time_limits import STORE_THREADS

    return any(thread.name.startswith(STORE_THREADS) for thread in threading.enumerate())


def _terminate(number: int, frame: object) -> NoReturn:
    threading.Thread(target=_end_in_time, daemon=True).start()
    terminate(number, frame)


def _end_in_time() -> None:
    """End the process if it waits for a store some time after SIGTERM. AWS Batch kills it 30 s after SIGTERM."""
    time.sleep(_WITHIN_SECONDS)
    for _ in range(_LOOKS):
        if _waits_for_store():
            os._exit(ExitCode.TERMINATED)
        time.sleep(1)


if __name__ == "__main__":
    main()
