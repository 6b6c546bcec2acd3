"""The steps of a plate as tasks of Prefect. Each has a key of its own, and a server can show them by name."""

from collections.abc import Callable, Mapping

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from cytobatch.pipeline.steps import PlateStep

StepWork = Callable[[str], State]
"""The work of a step on the plate of a name, or the wait for it. Returns the state that the task gets."""
StepTask = Task[[str, StepWork], State]


@task(name="plan", task_run_name="plan {plate}", cache_policy=NO_CACHE, persist_result=False)
def plan(plate: str, work: StepWork) -> State:
    """List the source once and plan from names and headers."""
    return work(plate)


@task(name="survey", task_run_name="survey {plate}", cache_policy=NO_CACHE, persist_result=False)
def survey(plate: str, work: StepWork) -> State:
    """Read the beginnings of files and the image tables."""
    return work(plate)


@task(name="convert", task_run_name="convert {plate}", cache_policy=NO_CACHE, persist_result=False)
def convert(plate: str, work: StepWork) -> State:
    """Write the outputs on the scratch disk."""
    return work(plate)


@task(name="publish", task_run_name="publish {plate}", cache_policy=NO_CACHE, persist_result=False)
def publish(plate: str, work: StepWork) -> State:
    """Put the outputs in place at the destination."""
    return work(plate)


@task(name="report", task_run_name="report {plate}", cache_policy=NO_CACHE, persist_result=False)
def report(plate: str, work: StepWork) -> State:
    """Put the run report in place."""
    return work(plate)


TASKS: Mapping[PlateStep, StepTask] = {
    PlateStep.PLAN: plan,
    PlateStep.SURVEY: survey,
    PlateStep.CONVERT: convert,
    PlateStep.PUBLISH: publish,
    PlateStep.REPORT: report,
}
