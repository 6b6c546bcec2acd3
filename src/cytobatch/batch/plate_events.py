"""What the plates of a run announce while they are converted, and how it travels to the process that shows it."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from cytobatch.pipeline.progress import PlateProgress
from cytobatch.pipeline.steps import PlateStep, StepStarted


class NoticeKind(StrEnum):
    """How grave a notice is."""

    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class PlateNotice:
    """A text about a plate, or about the run: then `plate` names what of the run it is about."""

    plate: str
    text: str
    kind: NoticeKind = NoticeKind.INFO


PlateEvent = StepStarted | PlateProgress | PlateNotice
EventListener = Callable[[PlateEvent], None]
"""Is called with what plates announce, in any thread."""


def values_of(event: PlateEvent) -> list[Any]:
    """Return an event as text and numbers, as which it travels between processes."""
    # Dask sends no enums.
    fields = {name: str(value) if isinstance(value, str) else value for name, value in asdict(event).items()}
    return [type(event).__name__, fields]


def event_of(values: list[Any]) -> PlateEvent:
    """Return the event that has travelled."""
    kind, fields = values
    if kind == PlateNotice.__name__:
        return PlateNotice(fields["plate"], fields["text"], NoticeKind(fields["kind"]))
    fields = {**fields, "step": PlateStep(fields["step"])}
    return PlateProgress(**fields) if kind == PlateProgress.__name__ else StepStarted(**fields)


class SparseProgress:
    """A listener that passes on all events but progress, which it passes on every few seconds for each plate.

    Between processes each event costs a lock, or work of a scheduler. The last progress of a plate always passes.
    """

    def __init__(self, listener: EventListener, seconds: float) -> None:
        self._listener, self._seconds = listener, seconds
        self._passed_on: dict[str, float] = {}

    def __call__(self, event: PlateEvent) -> None:
        """Pass on an event, or drop it."""
        if isinstance(event, PlateProgress) and event.fraction < 1:
            now = time.monotonic()
            if now - self._passed_on.get(event.plate, 0.0) < self._seconds:
                return
            self._passed_on[event.plate] = now
        self._listener(event)
