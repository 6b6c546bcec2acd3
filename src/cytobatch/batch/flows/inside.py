"""One plate inside a flow run that a server has started: the steps run as tasks, in the thread of the flow."""

from collections.abc import Callable
from typing import TypeVar

from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger

from cytobatch.batch.flows.artifacts import publish_artifacts
from cytobatch.batch.flows.credentials import provide_blocks
from cytobatch.batch.flows.states import log_outcome, state_of_outcome
from cytobatch.batch.flows.steps import TASKS
from cytobatch.batch.flows.task_runs import run_as_task
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.errors import CytobatchError
from cytobatch.pipeline.plate import run_plate
from cytobatch.pipeline.resolve_jobs import only_job, resolve_jobs
from cytobatch.pipeline.split import without_cluster
from cytobatch.pipeline.steps import PlateStep
from cytobatch.report.model import RunReport

Result = TypeVar("Result")

_ORIGIN = "flow parameters"


def convert_inside(job: PlateJob) -> State:
    """Convert one plate and return the state in which its flow run ends."""
    provide_blocks(in_flow_run=True)
    outcome: RunReport | CytobatchError
    try:
        resolved = resolved_job(job)
        outcome = run_plate(
            resolved,
            lambda step, function: _run_step(job.shown_label, step, function),
            split=without_cluster(lambda notice: get_run_logger().info("%s: %s", job.shown_label, notice)),
        )
    except CytobatchError as error:
        outcome = error
    log_outcome(outcome)
    if isinstance(outcome, RunReport):
        publish_artifacts(outcome)
    return state_of_outcome(outcome)


def resolved_job(job: PlateJob) -> PlateJob:
    """Return the job with the environment variables of this machine for options that its parameters leave open.

    Raises ConfigurationError if it is a pattern of several plates.
    """
    given = PlateOptions.model_validate(job.model_dump(exclude_unset=True))
    return only_job(resolve_jobs(given, None, _ORIGIN), where=_ORIGIN, remedy="name one plate")


def _run_step(plate: str, step: PlateStep, function: Callable[[], Result]) -> Result:
    """Announce a step in the log, and run it as a task."""
    get_run_logger().info("%s: %s", plate, step.value)
    return run_as_task(TASKS[step], plate, step, function)
