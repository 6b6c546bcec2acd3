"""A plate is converted here, and recorded elsewhere: whatever becomes of the record, the plate's outcome stands.

The plate runs in the caller's thread and sends messages to its record, which is kept by a thread of its own (`record`).
So an error of Prefect is never one of the plate, and the plate waits for Prefect's server only at its end, for a time
that is bounded. This module does not import Prefect.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Protocol, TypeVar

from cytobatch.batch.plate_events import EventListener, NoticeKind, PlateNotice
from cytobatch.config.options import PlateJob
from cytobatch.errors import CytobatchError
from cytobatch.pipeline.plate import run_plate
from cytobatch.pipeline.progress import announcing, progress_of
from cytobatch.pipeline.split import Splitter, without_cluster
from cytobatch.pipeline.steps import PlateStep, StepStarted
from cytobatch.report.model import ReportWarning, RunReport

Result = TypeVar("Result")

_TERMINATION_SECONDS = 2.0
"""The longest wait for a record of a run that a signal ends: AWS Batch kills 30 s after SIGTERM."""
_FREE_SECONDS = 3.0
"""Waits of so long for what comes are not counted: Prefect's client asks a busy server again after two seconds."""
_SETTLE_SECONDS = 2.0
"""The longest wait before the report for the first answer of a server, or of a port that is closed."""


@dataclass(frozen=True, slots=True)
class StepBegan:
    """A step starts."""

    step: PlateStep


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step has ended, after `seconds`, with an error or None."""

    step: StrEnum
    seconds: float
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class PlateEnded:
    """The plate has ended, with its report or its error."""

    outcome: RunReport | BaseException


def in_words(error: BaseException | None) -> str:
    """Return what failed, or for an error that is not cytobatch's its class and the first line of its message."""
    if isinstance(error, CytobatchError):
        return error.what
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


class Contained:
    """Catches exceptions of some kinds that are raised inside, and keeps them: all code inside must be Prefect's."""

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds
        self.error: BaseException | None = None

    def __enter__(self) -> "Contained":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        self.error = error
        return isinstance(error, self._kinds)


Message = StepBegan | StepEnded | PlateEnded


class Record(Protocol):
    """Records one plate. Its methods raise nothing, and return at once, but for `settle` and `wait`.

    These return whether what they wait for has come.
    """

    def send(self, message: Message) -> None:
        """Take a message. Messages come in the order of the run; `PlateEnded` is the last."""

    def settle(self, seconds: float) -> bool:
        """Wait until it is known whether the server is up, at most for some seconds."""

    def wait(self, seconds: float) -> bool:
        """Wait until the record is complete or has failed, at most for some seconds. Then it is closed."""

    def failure(self) -> str | None:
        """Return what is not recorded and why, or None as long as nothing has failed."""


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """The record of a plate for which there is no record, for a reason."""

    reason: str

    def send(self, message: Message) -> None:
        """Do nothing."""

    def settle(self, seconds: float) -> bool:  # noqa: ARG002
        """Return True: there is nothing to wait for."""
        return True

    def wait(self, seconds: float) -> bool:  # noqa: ARG002
        """Return True: there is nothing to wait for."""
        return True

    def failure(self) -> str | None:
        """Return the reason."""
        return self.reason


def no_record(reason: str) -> Record:
    """Return the record of a plate that has none, for a reason."""
    return FailedRecord(f"Prefect has no record of this run: {reason}")


@dataclass(slots=True)
class Patience:
    """What the plates of one process share: the seconds that were waited for Prefect, and the warnings made.

    A server that answers within `_FREE_SECONDS` costs nothing, so that the limit holds for any number of plates.
    """

    spent: float = 0.0
    announced: set[str] = field(default_factory=set)

    def wait(self, limit: float, waiting: Callable[[float], bool]) -> bool:
        """Call a function with the seconds that are left of a limit, and count those that it takes.

        It returns whether what it waits for has come. If so, the first seconds are not counted. Returns the same.
        """
        start = time.monotonic()
        has_come = waiting(max(0.0, limit - self.spent))
        self.spent += max(0.0, time.monotonic() - start - (_FREE_SECONDS if has_come else 0.0))
        return has_come

    def is_new(self, warning: str) -> bool:
        """Return whether a warning was not made yet, and remember it."""
        if warning in self.announced:
            return False
        self.announced.add(warning)
        return True


def convert_unrecorded(job: PlateJob, on_event: EventListener, split: Splitter | None = None) -> RunReport:
    """Convert one plate without Prefect. Calls `on_event` with what the plate announces."""
    return run_plate(
        job,
        announcing(job.label, on_event),
        split=split or without_cluster(notifying(job.label, on_event)),
        on_work=progress_of(job.label, on_event),
    )


def notifying(plate: str, on_event: EventListener) -> Callable[[str], None]:
    """Return a function that announces a text about a plate."""
    return lambda text: on_event(PlateNotice(plate, text))


def convert_recorded(
    job: PlateJob,
    on_event: EventListener,
    open_record: Callable[[], Record],
    patience: Patience,
    split: Splitter | None = None,
) -> RunReport:
    """Convert one plate and record it. Returns its report or raises its error, whatever becomes of the record.

    If the job skips plates that are done, and this one is, no record is opened.

    Parameters
    ----------
    job : PlateJob
        The plate.
    on_event : callable
        Called with what the plate announces, and with one warning if the record is incomplete.
    open_record : callable
        Opens the record. An error that it raises is Prefect's.
    patience : Patience
        Shared by all plates of the process.
    split : Splitter, optional
        Gives parts of the plate to other workers; by default there are none.
    """
    bookkeeper = _Bookkeeper(job, on_event, open_record, patience)
    try:
        splitter = split or without_cluster(notifying(job.label, on_event))
        report = run_plate(job, bookkeeper.run_step, bookkeeper.warnings, splitter, progress_of(job.label, on_event))
    except BaseException as error:
        bookkeeper.close(error)
        raise
    bookkeeper.close(report)
    return report


class _Bookkeeper:
    """Sends the messages of one plate to its record, and announces a failure of the record once."""

    def __init__(
        self, job: PlateJob, on_event: EventListener, open_record: Callable[[], Record], patience: Patience
    ) -> None:
        self._job, self._on_event, self._open, self._patience = job, on_event, open_record, patience
        self._record: Record | None = None
        self._unsent: list[Message] = []

    def run_step(self, step: PlateStep, function: Callable[[], Result], /) -> Result:
        """Run a step in this thread and send its beginning and end."""
        self._on_event(StepStarted(self._job.label, step))
        # After the plan it is known whether the plate is done already.
        if not (self._job.skip_done and step is PlateStep.PLAN):
            self._opened()
        self._send(StepBegan(step))
        start = time.perf_counter()
        error: BaseException | None = None
        try:
            return function()
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._send(StepEnded(step, time.perf_counter() - start, error))
            self._announce()

    def warnings(self) -> Sequence[ReportWarning]:
        """Return the warning for the report, if the record has failed by now."""
        record = self._opened()
        self._patience.wait(min(self._job.prefect_wait, self._patience.spent + _SETTLE_SECONDS), record.settle)
        failure = record.failure()
        return [ReportWarning(what=failure)] if failure else []

    def close(self, outcome: RunReport | BaseException) -> None:
        """Send the outcome, wait for the record, and announce its failure."""
        if self._record is None and not isinstance(outcome, Exception):
            return
        self._opened()
        self._send(PlateEnded(outcome))
        limit = self._job.prefect_wait
        if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
            limit = min(limit, self._patience.spent + _TERMINATION_SECONDS)
        self._patience.wait(limit, self._opened().wait)
        self._announce()

    def _opened(self) -> Record:
        if self._record is None:
            with Contained(Exception) as prefect:
                self._record = self._open()
            if self._record is None:
                self._record = no_record(f"it does not start ({in_words(prefect.error)})")
            for message in self._unsent:
                self._record.send(message)
        return self._record

    def _send(self, message: Message) -> None:
        if self._record is None:
            self._unsent.append(message)
        else:
            self._record.send(message)

    def _announce(self) -> None:
        failure = self._record.failure() if self._record else None
        if failure and self._patience.is_new(failure):
            self._on_event(PlateNotice(self._job.label, failure, NoticeKind.WARNING))
