"""Run a function as a task of the present flow run, in its thread."""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from prefect.client.schemas.objects import State

from cytobatch.batch.flows.bookkeeping import StepEnded
from cytobatch.batch.flows.states import state_of_step
from cytobatch.batch.flows.steps import StepTask
from cytobatch.errors import CytobatchError

Result = TypeVar("Result")


def run_as_task(task: StepTask, name: str, step: StrEnum, function: Callable[[], Result]) -> Result:
    """Run a step as a task. Returns its result or raises its error, whatever state Prefect gives the task.

    Parameters
    ----------
    task
        The task of the step.
    name
        What the task run is named after.
    step
        The step, for the message of the task's state.
    function
        The step's work. A CytobatchError of it makes the task failed with its message, and without a traceback.
    """
    results: list[Result] = []
    errors: list[Exception] = []

    def work(_name: str) -> State:
        start = time.perf_counter()
        try:
            results.append(function())
        except Exception as error:
            errors.append(error)
            if not isinstance(error, CytobatchError):
                raise
        return state_of_step(StepEnded(step, time.perf_counter() - start, errors[0] if errors else None))

    task(name, work, return_state=True)
    if errors:
        raise errors[0]
    return results[0]
