"""What a plate's conversion announces while it runs: the steps that start, and how far the conversion is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cytobatch.conversion.work_done import WorkDone, WorkListener
from cytobatch.pipeline.steps import PlateStep, StepRunner, StepStarted

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PlateProgress:
    """How far the conversion of a plate is. It comes a few times a second at most, and once at the end of the step.

    If a column of integers turns out to hold fractions, the conversion starts again, and all figures with it.

    Attributes
    ----------
    plate : str
        The plate's name, or the last part of its source's path.
    step : PlateStep
        The step, which is always `convert`.
    bytes_done : int
        Bytes of the source that are read and written. Those that are only read count in part.
    bytes : int
        Bytes of all valid exports, compressed tables by an estimate. 0 as long as it is not known.
    exports_done, exports : int
        Exports that are done or have failed, of all exports.
    rows : int
        Rows that are written.
    """

    plate: str
    step: PlateStep
    bytes_done: int
    bytes: int
    exports_done: int
    exports: int
    rows: int

    @classmethod
    def of(cls, plate: str, done: WorkDone) -> "PlateProgress":
        """Return the progress of a plate."""
        return cls(plate, PlateStep.CONVERT, done.bytes_done, done.bytes, done.exports_done, done.exports, done.rows)

    @property
    def fraction(self) -> float:
        """The part of the conversion that is done, from 0.0 to 1.0."""
        return min(1.0, self.bytes_done / self.bytes) if self.bytes else 0.0


PlateEvent = StepStarted | PlateProgress
PlateListener = Callable[[PlateEvent], None]
"""Is called with what one plate announces, in the thread of its conversion."""


def announcing(plate: str, listener: PlateListener) -> StepRunner:
    """Return a runner that announces each step of a plate, and runs it in the same thread."""

    def run_step(name: PlateStep, function: Callable[[], Result], /) -> Result:
        listener(StepStarted(plate, name))
        return function()

    return run_step


def progress_of(plate: str, listener: PlateListener) -> WorkListener:
    """Return a listener that passes the work of a plate on as its progress."""
    return lambda done: listener(PlateProgress.of(plate, done))
