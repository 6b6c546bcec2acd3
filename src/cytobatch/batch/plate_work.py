"""A plate as work for any process: text in, a report or an error out. No workflow engine, and never a table.

What travels to a worker is `PlateWork` as JSON: the job, the version of cytobatch, and the part of the limits that the
plate gets. What comes back is the run report without its ledger, or a CytobatchError.
"""

import ctypes
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from cytobatch import __version__
from cytobatch.batch.plate_events import EventListener
from cytobatch.config.options import PlateJob
from cytobatch.errors import CytobatchError, InternalError, WorkerLostError, WorkerVersionError
from cytobatch.report.model import Outcome, RunReport, parse_report

Converter = Callable[[PlateJob, EventListener], RunReport]
"""Converts a plate, and calls a function with what it announces."""


_FAILED_KEPT = 50
"""Failed tables that a report keeps on its way, of which the first are shown."""


class Placement(StrEnum):
    """Where a plate is converted."""

    THREAD = "thread"
    PROCESS = "process"
    DASK = "dask"
    """A worker of a Dask cluster that this run has started, on this machine."""
    FOREIGN_DASK = "foreign_dask"
    """A worker of an existing Dask cluster, which has limits of its own."""


class PlateWork(BaseModel):
    """One plate of a run, as it travels.

    Attributes
    ----------
    version
        The version of cytobatch that sends it. A worker of another version refuses it.
    run
        The id of the run, by which its plates are stopped, and the topic of its messages.
    placement
        Where it is converted.
    job
        The options of the plate that have a value, as JSON values.
    recorded
        Whether the plate has a flow run of its own, because a server keeps it.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    run: str
    placement: Placement
    job: dict[str, Any]
    recorded: bool = True

    @classmethod
    def of(cls, job: PlateJob, run: str, placement: Placement, *, recorded: bool = True) -> Self:
        """Return the work of one plate."""
        options = job.model_dump(mode="json", exclude_unset=True, exclude={"task_runner"})
        return cls(version=__version__, run=run, placement=placement, job=options, recorded=recorded)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return work that has travelled. Raises WorkerVersionError if another version of cytobatch has sent it.

        The version is compared first, because the rest may have another form in that version.
        """
        version = json.loads(text)["version"]
        if version != __version__:
            raise WorkerVersionError(
                "a worker has another version of cytobatch",
                where=f"worker on {socket.gethostname()}",
                why=f"the worker has {__version__}, and the run {version}",
                remedy="install the same version on all machines",
            )
        return cls.model_validate_json(text)

    def plate_job(self) -> PlateJob:
        """Return the job."""
        return PlateJob.model_validate(self.job)


class PlateStopped(BaseException):
    """Raised in the thread of a plate whose run ends early. Not an Exception, so that no step handles it."""


_runs_by_thread: dict[int, str] = {}
"""The threads of this process that convert plates, with the ids of their runs."""
_lock = threading.Lock()
_TURNS = 10


@contextmanager
def stoppable(run: str) -> Iterator[None]:
    """Make this thread one that `stop_plates` stops. What belongs to a run has its id, a slash and more for an id."""
    thread = threading.get_ident()
    with _lock:
        _runs_by_thread[thread] = run
    try:
        yield
    finally:
        _end(thread)


def _end(thread: int) -> None:
    """Make this thread one that nothing stops. An exception that was sent, but not raised yet, is dropped.

    It would reach what the thread does next. It is not taken back by sending None, because CPython 3.11 never forgets
    that it has something to look for: each call costs time then, and under a trace function the next one never ends.
    """
    try:
        with _lock:
            _runs_by_thread.pop(thread, None)
        # The thread looks for an exception that was sent at each turn of a loop.
        for _ in range(_TURNS):
            pass
    except PlateStopped:
        _end(thread)


def stop_plates(run: str) -> None:
    """Raise PlateStopped in the threads of this process that convert plates of a run, or parts of them.

    A thread raises it with its next Python instruction: not while it waits, or computes in a library. Call it once,
    because a second exception would interrupt what the first one makes the thread clean up.
    """
    with _lock:
        for thread, own in _runs_by_thread.items():
            if _belongs_to(own, run):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(PlateStopped))


def running_plates(run: str) -> int:
    """Return how many plates of a run, and parts of them, this process converts."""
    with _lock:
        return sum(_belongs_to(own, run) for own in _runs_by_thread.values())


def _belongs_to(own: str, run: str) -> bool:
    return own == run or own.startswith(f"{run}/")


@contextmanager
def errors_that_travel(plate: str, stopped: str, why: str) -> Iterator[None]:
    """Raise CytobatchErrors as they are, and an InternalError for other exceptions, because they may not travel.

    One that `stop_plates` has stopped has the words `stopped` and `why`.
    """
    try:
        yield
    except CytobatchError:
        raise
    except PlateStopped:
        raise InternalError(stopped, where=plate, why=why) from None
    except Exception as error:
        raise unexpected_error(error, plate) from error


def convert_work(work: PlateWork, job: PlateJob, convert: Converter, on_event: EventListener) -> str:
    """Convert a plate and return its run report as JSON, without most of the ledger and what else may be long.

    Raises
    ------
    CytobatchError
        Any error of the conversion. Other exceptions become an InternalError, because they may not travel.
    """
    with errors_that_travel(job.label, "the plate was stopped", "its run has ended"), stoppable(work.run):
        report = convert(job, on_event)
    failed = [entry for entry in report.ledger if entry.outcome is Outcome.FAILED]
    short: dict[str, Sequence[object]] = {
        "ledger": failed[:_FAILED_KEPT],
        "schema_differences": [],
        "repairs": [],
        "odd_values": [],
    }
    return report.model_copy(update=short).model_dump_json()


def report_of(text: str) -> RunReport:
    """Return the report, without its ledger, that `convert_work` has returned."""
    return parse_report(text)


def unexpected_error(error: BaseException, plate: str) -> InternalError:
    """Return the error of an exception that cytobatch does not raise by itself."""
    return InternalError(
        f"unexpected {type(error).__name__}",
        where=plate,
        why=str(error),
        remedy="run the plate with the task runner `sequential` and --debug, and report what it prints",
    )


def worker_lost(plate: str, why: str, what: str = "the plate's worker") -> WorkerLostError:
    """Return the error of a plate whose worker, or that of a part, has ended before it."""
    return WorkerLostError(
        f"{what} was lost",
        where=plate,
        why=why,
        remedy="look for a lack of memory or disk on the worker's machine; run again for what is left",
    )
