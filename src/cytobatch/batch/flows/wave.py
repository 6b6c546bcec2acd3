"""A wave of plates on AWS Batch: inspect, submit, wait, collect. Each step is a task; all that they do is in `aws`.

What a person follows is in the log of the flow run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from pydantic import BaseModel, ConfigDict, Field

from cytobatch.batch.aws.array_jobs import ArrayJob
from cytobatch.batch.aws.client import BatchService, Job
from cytobatch.batch.aws.deployment import Compute, Deployment
from cytobatch.batch.aws.documents import read_deployment
from cytobatch.batch.aws.outcomes import PlateOutcome, plate_outcomes
from cytobatch.batch.aws.preflight import Inspected, check_local, inspect, pending_plates
from cytobatch.batch.aws.status import JobStatus, ended_plates, failures, followed, statuses
from cytobatch.batch.aws.submit import SubmittedJob, Submitter, name_after, plan_submission
from cytobatch.batch.collect import gather, publish
from cytobatch.batch.flows.steps import StepWork
from cytobatch.batch.flows.task_runs import run_as_task
from cytobatch.config.credentials import BlockName
from cytobatch.config.environment import read_settings
from cytobatch.config.job_spec import JobSpec
from cytobatch.config.options import PlateOptions
from cytobatch.config.plural import plural
from cytobatch.pipeline.resolve_jobs import explicit_access, jobs_of_spec
from cytobatch.storage.access import Access

_ORIGIN = "flow parameters"
_INVALID_LOGGED = 20
_HOUR = 3600


class WaveStep(StrEnum):
    """The steps of a wave, in their order."""

    INSPECT = "inspect"
    SUBMIT = "submit"
    WAIT = "wait"
    COLLECT = "collect"


class WaveOptions(BaseModel):
    """The options of a wave: those of `cytobatch submit`, and how it is waited for."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    compute: Compute | None = None
    """fargate, fargate_spot or ec2_spot; by default the cheapest with a large enough scratch disk."""
    share: str | None = None
    """The share of a fair queue that jobs count to; by default the deployment's."""
    name: str | None = None
    """What the jobs are called; by default the batch, or the first plate."""
    keep_going: bool = False
    """Submit plates that look invalid too; they fail alone."""
    profile: str | None = None
    """AWS profile for AWS Batch and its specs; by default that of the process."""
    credentials: BlockName | None = None
    """A Prefect block with credentials for AWS Batch and its specs, in place of a profile: aws-credentials/<name>."""
    endpoint_url: str | None = None
    """S3 API of deployment, specs and overview, other than AWS's."""
    every: float = Field(30, ge=1, le=_HOUR)
    """Seconds between two looks at the jobs."""
    wait_hours: float = Field(48, gt=0, le=14 * 24)
    """Hours after which jobs are not waited for any more. They go on."""


@dataclass(frozen=True, slots=True)
class WaveEnd:
    """A wave that has ended: its name, its plates, the ids of its jobs, and the paths of the overview.

    `endpoint` is the S3 API at which the reports lie, None for Amazon's own.
    """

    name: str
    outcomes: tuple[PlateOutcome, ...]
    jobs: tuple[str, ...]
    overview: tuple[str, ...]
    endpoint: str | None


@task(name="inspect", task_run_name="inspect {wave}", cache_policy=NO_CACHE, persist_result=False)
def _inspect(wave: str, work: StepWork) -> State:
    """List the source of each plate, and check its options."""
    return work(wave)


# SubmitJob has no idempotency token: a second attempt could start every plate twice.
@task(name="submit", task_run_name="submit {wave}", cache_policy=NO_CACHE, persist_result=False, retries=0)
def _submit(wave: str, work: StepWork) -> State:
    """Submit array jobs to AWS Batch."""
    return work(wave)


@task(name="wait", task_run_name="wait for {wave}", cache_policy=NO_CACHE, persist_result=False)
def _wait(wave: str, work: StepWork) -> State:
    """Wait until all jobs have ended."""
    return work(wave)


@task(name="collect", task_run_name="collect {wave}", cache_policy=NO_CACHE, persist_result=False)
def _collect(wave: str, work: StepWork) -> State:
    """Gather the run reports, and publish the table and the page of all plates."""
    return work(wave)


@dataclass(frozen=True, slots=True)
class Wave:
    """A wave inside its flow run: its plates, its options, and the deployment with the access to it."""

    spec: JobSpec
    overview: str | None
    options: WaveOptions
    target: Deployment
    access: Access
    service: BatchService

    @classmethod
    def open(cls, spec: JobSpec, deployment: str | None, overview: str | None, options: WaveOptions) -> Self:
        """Return the wave of a spec. Raises JobSpecError, StorageError and ServiceError."""
        named = options.model_dump(include={"profile", "credentials", "endpoint_url"})
        access = explicit_access(read_settings(), PlateOptions(**named))
        target = read_deployment(deployment, access)
        return cls(spec, overview, options, target, access, BatchService(target.region, access))

    def run(self) -> WaveEnd:
        """Run all steps. Raises their errors."""
        plates = run_as_task(_inspect, self.options.name or "plates", WaveStep.INSPECT, self._inspected)
        pending = pending_plates(plates, keep_going=self.options.keep_going)
        name = self.options.name or name_after(plates[0].job)
        sent, states = _NOTHING_SENT, list[JobStatus]()
        if pending:
            sent = run_as_task(_submit, name, WaveStep.SUBMIT, lambda: self._sent(pending))
            states = run_as_task(_wait, name, WaveStep.WAIT, lambda: self._followed(sent.ids))
        else:
            get_run_logger().info("nothing to submit")
        return run_as_task(_collect, name, WaveStep.COLLECT, lambda: self._collected(name, plates, sent, states))

    def _inspected(self) -> list[Inspected]:
        jobs = jobs_of_spec(self.spec, _ORIGIN)
        check_local(jobs)
        plates = inspect(jobs)
        logger = get_run_logger()
        invalid = [plate for plate in plates if plate.error]
        done = sum(plate.done for plate in plates)
        logger.info("%s: %d done already, %d look invalid", plural(len(plates), "plate"), done, len(invalid))
        for plate in invalid[:_INVALID_LOGGED]:
            logger.warning("invalid: %s: %s", plate.job.label, plate.error)
        return plates

    def _sent(self, pending: Sequence[Inspected]) -> "_Sent":
        needs = [plate.need for plate in pending]
        planned = plan_submission(needs, self.target, self.options.compute, self.options.name)
        submitter = Submitter(self.target, self.service, self.access, self.options.share)
        logger = get_run_logger()

        def log(job: SubmittedJob) -> None:
            logger.info("submitted %s %s: %s on %s", job.id, job.name, plural(job.plates, "plate"), job.compute)

        return _Sent(planned.folder, planned.arrays, submitter.send(planned, log).jobs)

    def _followed(self, ids: Sequence[str]) -> list[JobStatus]:
        logger = get_run_logger()
        states: list[JobStatus] = []
        logged = ""
        for states in followed(
            lambda: statuses(self.service, ids), self.options.every, self.options.wait_hours * _HOUR
        ):
            line = "; ".join(f"{one.job.name}: {one.in_words}" for one in states)
            if line != logged:
                logger.info("%s", line)
            logged = line
        return states

    def _collected(self, name: str, plates: Sequence[Inspected], sent: "_Sent", states: Sequence[JobStatus]) -> WaveEnd:
        jobs = [plate.job for plate in plates]
        table = gather(jobs)
        errors = self._errors(states)
        access = Access.to_destination(jobs[0])
        paths: list[str] = []
        if self.overview:
            paths = publish(table, self.overview, access)
        elif sent.folder:
            paths = publish(table, f"{sent.folder}/overview", self.access)
        outcomes = plate_outcomes(table.rows, sent.ended(self.service, states), errors)
        return WaveEnd(name, tuple(outcomes), sent.ids, tuple(paths), access.endpoint_url)

    def _errors(self, states: Sequence[JobStatus]) -> Mapping[str, str]:
        """Log why plates failed, and return the program's messages by the ids of jobs."""
        failed = [
            failure for state in states for failure in failures(self.service, state, self.target.log_group, self.access)
        ]
        for failure in failed:
            lines = "".join(f"\n  | {line}" for line in failure.lines)
            get_run_logger().error("%s: %s%s", failure.plate, failure.reason, lines)
        return {failure.job.id: failure.error for failure in failed}


@dataclass(frozen=True, slots=True)
class _Sent:
    """A submission whose jobs AWS Batch has accepted; `folder` is that of its specs."""

    folder: str | None
    arrays: tuple[ArrayJob, ...]
    jobs: tuple[SubmittedJob, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the jobs."""
        return tuple(job.id for job in self.jobs)

    def ended(self, service: BatchService, states: Sequence[JobStatus]) -> Mapping[str, Job | None]:
        """Return the jobs that have ended, by the destinations of their plates; None for the others."""
        by_id = {state.job.id: ended_plates(service, state) for state in states}
        return {
            need.job.destination: end
            for array, job in zip(self.arrays, self.jobs, strict=True)
            for need, end in zip(array.plates, by_id.get(job.id, [None] * job.plates), strict=True)
        }


_NOTHING_SENT = _Sent(None, (), ())
