"""The flow of one plate: one task for each step, in sequence. The logic is in `pipeline`."""

from collections.abc import Callable
from typing import TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from cytobatch.config.options import PlateJob
from cytobatch.pipeline.plate import run_plate
from cytobatch.report.model import RunReport

Result = TypeVar("Result")
StepListener = Callable[[str, str], None]


def convert(job: PlateJob, on_step: StepListener) -> RunReport:
    """Convert one plate as a flow run named after it. Calls `on_step` with the plate and each step as it starts."""

    def step(name: str, function: Callable[[], Result]) -> Result:
        on_step(job.label, name)

        @task(name=name, task_run_name=f"{name} {job.label}", cache_policy=NO_CACHE, persist_result=False)
        def run_step() -> Result:
            return function()

        return run_step()

    @flow(name="cytobatch", flow_run_name=f"convert {job.label}", persist_result=False)
    def convert_plate(source: str, destination: str, preset: str) -> RunReport:  # noqa: ARG001  Prefect shows them
        return run_plate(job, step)

    return convert_plate(job.source, job.destination, job.preset.value)
