"""What plates announce, on its way between processes."""

import json

import pytest

from cytobatch.batch.plate_events import (
    NoticeKind,
    PlateEvent,
    PlateNotice,
    SparseProgress,
    event_of,
    values_of,
)
from cytobatch.pipeline.progress import PlateProgress
from cytobatch.pipeline.steps import PlateStep, StepStarted


def progress(plate: str, done: int) -> PlateProgress:
    return PlateProgress(plate, PlateStep.CONVERT, done, 10, done, 10, 3 * done)


@pytest.mark.parametrize(
    "event",
    [
        StepStarted("P1", PlateStep.SURVEY),
        progress("P1", 4),
        PlateNotice("P1", "starts on a worker"),
        PlateNotice("P1", "no record", NoticeKind.WARNING),
    ],
)
def test_an_event_travels_as_text_and_numbers(event: PlateEvent) -> None:
    values = values_of(event)
    assert {type(value) for value in values[1].values()} <= {str, int}
    assert event_of(json.loads(json.dumps(values))) == event


def test_progress_travels_now_and_then_and_at_its_end_and_everything_else_at_once() -> None:
    passed_on: list[PlateEvent] = []
    listener = SparseProgress(passed_on.append, 60)
    others = [StepStarted("P1", PlateStep.CONVERT), PlateNotice("P1", "a"), PlateNotice("P1", "b")]
    for event in (*others, progress("P1", 1), progress("P1", 2), progress("P2", 1), progress("P1", 10)):
        listener(event)
    assert passed_on == [*others, progress("P1", 1), progress("P2", 1), progress("P1", 10)]
