"""Conversions in processes of their own that end at a chosen line of the code that publishes, or at any moment.

A process is forked from one that has imported the package, so that hundreds of them take minutes. What ends it is a
real signal, sent by itself when it reaches the line, or from outside.
"""

import io
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from cytobatch.config.options import PlateJob
from cytobatch.engine.signals import remember_interruptions, terminate
from cytobatch.errors import CytobatchError, ExitCode
from cytobatch.pipeline.plate import run_plate

_TRACED = ("storage/publishing/", "storage/locks.py")
_SECONDS = 120
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["cytobatch.pipeline.plate", "tests.support.kills"])

Trace = Callable[[FrameType, str, Any], Any]


@dataclass(frozen=True, slots=True)
class Ending:
    """When a process ends: at which line that it reaches, counted from 1, and by which signal."""

    line: int
    signal: signal.Signals


@dataclass(frozen=True, slots=True)
class Moment:
    """When a process ends: so many seconds after its conversion has begun, and by which signal."""

    seconds: float
    signal: signal.Signals


def converted(job: PlateJob, ending: Ending | Moment | None = None) -> int:
    """Convert a plate in a process of its own, and return its exit code; a negative one is a signal."""
    if not isinstance(ending, Moment):
        return finished(started(job, ending))
    barrier = barrier_of(2)
    process = started(job, barrier=barrier)
    barrier.wait(_SECONDS)
    time.sleep(ending.seconds)
    # The conversion may have ended before.
    with suppress(ProcessLookupError):
        os.kill(process.pid, ending.signal)
    return finished(process)


def seconds_of(job: PlateJob) -> float:
    """Convert a plate, and return how long that takes from the moment on from which moments are counted."""
    barrier = barrier_of(2)
    process = started(job, barrier=barrier)
    barrier.wait(_SECONDS)
    begin = time.monotonic()
    assert finished(process) == ExitCode.OK
    return time.monotonic() - begin


def started(job: PlateJob, ending: Ending | None = None, barrier: Any = None) -> Any:
    """Start such a process. With a barrier of `barrier_of` it begins when all have come to it."""
    return _begun(job, ending, None, barrier)


def _begun(job: PlateJob, ending: Ending | None, count: str | None, barrier: Any) -> Any:
    # The server of forks has the environment of the first test.
    environment = dict(os.environ)
    process = _CONTEXT.Process(target=_convert, args=(environment, job.model_dump(mode="json"), ending, count, barrier))
    process.start()
    return process


def barrier_of(processes: int) -> Any:
    """A barrier for processes."""
    return _CONTEXT.Barrier(processes)


def finished(process: Any) -> int:
    """Wait for a process, and return its exit code."""
    process.join(_SECONDS)
    assert process.exitcode is not None, "the process hangs"
    return int(process.exitcode)


def lines_of(job: PlateJob) -> int:
    """Convert a plate, and return how many lines of the code that publishes it reaches."""
    with tempfile.NamedTemporaryFile() as count:
        assert finished(_begun(job, None, count.name, None)) == ExitCode.OK
        return int(Path(count.name).read_text(encoding="utf-8"))


def _convert(
    environment: dict[str, str], job: dict[str, Any], ending: Ending | None, count: str | None, barrier: Any
) -> NoReturn:
    code: int
    try:
        code = _code_of(environment, job, ending, count, barrier)
    except KeyboardInterrupt:
        # The signal came after the conversion.
        code = ExitCode.INTERRUPTED
    except SystemExit as error:
        code = int(str(error.code))
    # Threads of a run that was ended may wait for a store.
    os._exit(code)


def _code_of(
    environment: dict[str, str], job: dict[str, Any], ending: Ending | None, count: str | None, barrier: Any
) -> int:
    os.environ.update(environment)
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    remember_interruptions()
    sys.stderr = io.StringIO()
    counter = _Lines(ending)
    if ending is not None or count is not None:
        threading.settrace(counter.trace)
        sys.settrace(counter.trace)
    code: int = ExitCode.OK
    try:
        if barrier is not None:
            barrier.wait()
        run_plate(PlateJob.model_validate(job))
    except CytobatchError as error:
        code = error.exit_code
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except SystemExit as error:
        code = int(str(error.code))
    finally:
        sys.settrace(None)
    if count is not None:
        Path(count).write_text(str(counter.reached), encoding="utf-8")
    return code


class _Lines:
    """Counts lines, and sends the signal at one of them."""

    def __init__(self, ending: Ending | None) -> None:
        self._ending = ending
        self._lock = threading.Lock()
        self.reached = 0

    def trace(self, frame: FrameType, event: str, _argument: Any) -> Trace | None:
        """Trace the lines of the files of publishing, and of no others."""
        if event == "call" and not any(part in frame.f_code.co_filename for part in _TRACED):
            return None
        if event == "line":
            with self._lock:
                self.reached += 1
                reached = self.reached
            if self._ending is not None and reached == self._ending.line:
                os.kill(os.getpid(), self._ending.signal)
        return self.trace
