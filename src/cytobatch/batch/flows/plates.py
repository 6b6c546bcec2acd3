"""The flow of many plates: one task for each, by the task runner that the job spec names.

A server can start it with a job spec as its parameter. `cytobatch run` runs it too, with plates that it has resolved.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from cytobatch.batch.flows import worker_side
from cytobatch.batch.flows.bookkeeping import Contained
from cytobatch.batch.flows.credentials import provide_blocks
from cytobatch.batch.flows.dispatch import Outcome, RunListener, convert_by
from cytobatch.batch.flows.plate import convert as convert_one
from cytobatch.batch.flows.preparation import check_task_runner
from cytobatch.batch.flows.probe import probe
from cytobatch.batch.flows.reasons import reason_of
from cytobatch.batch.plate_events import EventListener, PlateEvent, PlateNotice
from cytobatch.config.environment import prefect_server_is_given, read_batch_settings
from cytobatch.config.job_spec import JobSpec
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.config.task_runner import RunnerKind, common_task_runner
from cytobatch.errors import AccessError, CytobatchError, StorageError, WorkerLostError, brief, gravity
from cytobatch.pipeline.resolve_jobs import jobs_of_spec
from cytobatch.pipeline.steps import StepStarted
from cytobatch.report.model import RunReport

_RETRY_SECONDS = [2.0, 10.0]
_SERVER_RETRIES = 1
"""Prefect's client waits 2 s before it; its own number would take a minute if the server is not there any more."""
_ORIGIN = "flow parameters"
_NOT_RECORDED = {"extra_args"}


def _is_retried(_task: object, _run: object, state: Any) -> bool:
    """Decide by the error: only a store or disk that failed is worth a second attempt.

    The parts of a lost worker were given to others already.
    """
    return isinstance(state.data, StorageError) and not isinstance(state.data, AccessError | WorkerLostError)


@task(
    name="plate",
    task_run_name="{plate}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(_RETRY_SECONDS),
    retry_delay_seconds=_RETRY_SECONDS,
    retry_condition_fn=_is_retried,
)
def convert_plate(plate: str, work: str) -> str:  # noqa: ARG001  the run is named after the plate
    """Convert one plate where this task runs, from `PlateWork` as JSON to a report as JSON."""
    return worker_side.convert_on_worker(work)


@dataclass(slots=True)
class PlatesRun:
    """A run of many plates in this process: its plates, what listens to it, and how far it is.

    `recorded` is whether a server keeps the record of each plate's steps.
    """

    jobs: Sequence[PlateJob]
    on_event: EventListener
    on_end: Callable[[PlateJob, Outcome], None]
    recorded: bool = True
    failed: list[CytobatchError] = field(default_factory=list)
    began: bool = False
    ended: bool = False

    def convert(self) -> None:
        """Convert all plates."""
        self.began = True
        runner = common_task_runner(job.task_runner for job in self.jobs)
        if runner.kind is RunnerKind.SEQUENTIAL:
            for job in self.jobs:
                self._end(job, self._converted(job))
        else:
            # AWS Batch retries a whole job by its exit code.
            is_job = read_batch_settings().job_id is not None
            task = convert_plate.with_options(retries=0) if is_job else convert_plate
            listener = RunListener(self.on_event, self._end)
            convert_by(task, runner, self.jobs, listener, recorded=self.recorded)
        self.ended = True

    def _converted(self, job: PlateJob) -> Outcome:
        try:
            return convert_one(job, self.on_event)
        except CytobatchError as error:
            return error

    def _end(self, job: PlateJob, outcome: Outcome) -> None:
        if not isinstance(outcome, RunReport):
            self.failed.append(outcome)
        self.on_end(job, outcome)

    def worst(self) -> CytobatchError | None:
        """Return the gravest error."""
        return max(self.failed, key=gravity, default=None)


_given: ContextVar[PlatesRun | None] = ContextVar("_given", default=None)
"""The run that a caller in this process has begun; None if a server has started the flow."""


@flow(name="cytobatch-plates", flow_run_name="convert plates", persist_result=False)
def convert(spec: JobSpec) -> None:
    """Convert every plate of a job spec.

    Parameters
    ----------
    spec
        The plates and what they share. Variables of the process win over it, unless it is `resolved`.
    """
    # A flow travels to workers with all that its own code names, and a context variable cannot.
    _convert_all(spec)


def _convert_all(spec: JobSpec) -> None:
    """Convert the plates of the caller's run, or else those of the spec. Raises the worst error of a plate."""
    run = _given.get() or _logged_run(spec)
    run.convert()
    if error := run.worst():
        raise error from None


def _logged_run(spec: JobSpec) -> PlatesRun:
    """Return the run of a flow that a server has started. Its steps and outcomes go to the run's log."""
    logger = get_run_logger()
    provide_blocks(in_flow_run=True)
    jobs = jobs_of_spec(spec, _ORIGIN)
    runner = common_task_runner(job.task_runner for job in jobs)
    check_task_runner(runner, jobs, server_is_given=prefect_server_is_given())

    def on_end(job: PlateJob, outcome: Outcome) -> None:
        if isinstance(outcome, RunReport):
            logger.info("%s: %s rows, report %s", job.shown_label, outcome.counts.rows, brief(outcome.report))
        else:
            logger.error("%s: %s", job.shown_label, outcome)

    def on_event(event: PlateEvent) -> None:
        if isinstance(event, StepStarted):
            logger.info("%s: %s", brief(event.plate), event.step.value)
        elif isinstance(event, PlateNotice):
            logger.info("%s: %s", brief(event.plate), event.text)

    return PlatesRun(jobs, on_event, on_end)


def run_in_flow(run: PlatesRun) -> str | None:
    """Convert the plates of a run as a flow run, and return why its record is incomplete, or None if it is complete.

    If Prefect does not even begin, the plates are converted without the flow run.

    Raises ConfigurationError and StorageError that end the whole run.
    """
    token = _given.set(run)
    seconds = max(job.prefect_wait for job in run.jobs)
    limits = {PREFECT_CLIENT_MAX_RETRIES: _SERVER_RETRIES, PREFECT_API_REQUEST_TIMEOUT: seconds}
    try:
        with Contained(Exception) as raised, temporary_settings(limits):
            probe(seconds)
            convert(_recorded(run.jobs))
    finally:
        _given.reset(token)
    error = raised.error
    if error is None or error in run.failed:
        return None
    if run.began and not run.ended:
        # It is an error of the plates or of their runner.
        raise error
    if not run.began:
        run.convert()
    return reason_of(error, str(PREFECT_API_URL.value()))


def _recorded(jobs: Sequence[PlateJob]) -> JobSpec:
    """Return the spec that Prefect's server records as the flow's parameter, without arguments that may be secret."""
    plates = [job.model_dump(mode="json", exclude_unset=True, exclude=_NOT_RECORDED) for job in jobs]
    return JobSpec(resolved=True, plates=tuple(PlateOptions.model_validate(plate) for plate in plates))
