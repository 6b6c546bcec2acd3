"""The estimate of the time that is left of a conversion."""

import pytest

from cytobatch.cli.printing.progress import fitted
from cytobatch.pipeline.progress_text import time_left
from cytobatch.pipeline.time_left import TimeLeft


class Clock:
    """A clock that a test sets."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_nothing_is_estimated_from_very_little(clock: Clock) -> None:
    left = TimeLeft(clock)
    left.update(0.5)
    assert left.seconds() is None
    clock.seconds += 100
    left.update(0.01)
    assert left.seconds() is None


def test_what_is_left_goes_as_fast_as_what_is_done_and_counts_down(clock: Clock) -> None:
    left = TimeLeft(clock)
    clock.seconds += 10
    left.update(0.25)
    assert left.seconds() == 30
    clock.seconds += 4
    assert left.seconds() == 26
    clock.seconds += 40
    assert left.seconds() == 0
    left.update(1.0)
    assert left.seconds() is None
    assert left.elapsed == 54


def test_a_conversion_that_starts_again_is_measured_from_then_on(clock: Clock) -> None:
    left = TimeLeft(clock)
    clock.seconds += 100
    left.update(0.5)
    left.update(0.0)
    clock.seconds += 10
    left.update(0.5)
    assert left.seconds() == 10
    left.advance(0.25)
    assert left.seconds() == 10


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "about 1 s left"),
        (17.6, "about 18 s left"),
        (43, "about 45 s left"),
        (59, "about 1 min left"),
        (196, "about 3 min 20 s left"),
        (599, "about 10 min left"),
        (1499, "about 25 min left"),
        (7800, "about 2 h 10 min left"),
    ],
)
def test_an_estimate_has_few_digits(seconds: float, text: str) -> None:
    assert time_left(seconds) == text


def test_parts_that_do_not_fit_are_left_out() -> None:
    parts = ["34 %", "1.2 GB of 3.5 GB", "130 of 400 exports", "45,000 rows", "about 2 min left"]
    assert fitted(parts, 100) == "  ".join(parts)
    assert fitted(parts, 60) == "34 %  1.2 GB of 3.5 GB  130 of 400 exports  about 2 min left"
    assert fitted(parts, 20) == "34 %  about 2 min left"
