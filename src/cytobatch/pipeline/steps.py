"""The steps of a plate's conversion: their names, what runs and times them, and what announces them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol, TypeVar

from cytobatch.engine.signals import raise_remembered

Result = TypeVar("Result")


class PlateStep(StrEnum):
    """The steps of a plate's conversion, in their order."""

    PLAN = "plan"
    """List the source once and plan from names and headers."""
    SURVEY = "survey"
    """Read the beginnings of files and the image tables."""
    CONVERT = "convert"
    """Write the outputs on the scratch disk."""
    PUBLISH = "publish"
    """Put the outputs in place at the destination."""
    REPORT = "report"
    """Put the run report in place."""


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step of a plate's conversion that starts now.

    Attributes
    ----------
    plate : str
        The plate's name, or the last part of its source's path.
    step : PlateStep
        The step.
    """

    plate: str
    step: PlateStep


class StepRunner(Protocol):
    """Runs one step, directly or as a task of a workflow engine."""

    def __call__(self, name: PlateStep, function: Callable[[], Result], /) -> Result:
        """Return the function's result."""


def run_directly(_name: PlateStep, function: Callable[[], Result]) -> Result:
    """Run a step in this thread."""
    return function()


@dataclass(frozen=True, slots=True)
class StepTimer:
    """Runs the steps of one conversion through a runner and measures the seconds of each."""

    runner: StepRunner
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, step: PlateStep, function: Callable[[], Result]) -> Result:
        """Run one step and return its result. The seconds are those of the step without its runner."""
        raise_remembered()

        def timed() -> Result:
            start = time.perf_counter()
            try:
                return function()
            finally:
                self.seconds[step.value] = round(time.perf_counter() - start, 3)

        return self.runner(step, timed)
