"""The states of submitted jobs: children by state, and each failure with its plate and reason."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cytobatch.batch.aws.client import ENDED, BatchService, Job, JobState
from cytobatch.batch.log_event import ERROR_PREFIX, text_lines
from cytobatch.config.expand import plate_jobs
from cytobatch.config.job_spec import parse_spec
from cytobatch.config.options import PlateOptions, own_name, without_marker
from cytobatch.errors import CytobatchError, ExitCode, JobSpecError, ServiceError
from cytobatch.storage.access import Access
from cytobatch.storage.spec_file import read_spec

_LINES = 6
_MISSES = 5
"""How often in succession AWS Batch may fail to answer while jobs are followed."""
_SHOWN = 20
_EXIT_CODE_TEXTS = {
    ExitCode.CONFIGURATION: "configuration",
    ExitCode.INPUT_DATA: "input data",
    ExitCode.STORAGE: "storage",
    ExitCode.ACCESS: "access",
    ExitCode.INTERNAL: "a fault of cytobatch",
    ExitCode.TERMINATED: "terminated",
    137: "killed, as where memory is exhausted",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A plate that failed: its job, its name, the reason, and the last lines of its log."""

    job: Job
    plate: str
    reason: str
    lines: tuple[str, ...]

    @property
    def error(self) -> str:
        """The program's own message in one line, empty if the log has none."""
        first = next((index for index, line in enumerate(self.lines) if line.startswith(ERROR_PREFIX)), len(self.lines))
        return " ".join(line.strip() for line in self.lines[first:])


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A submitted job, and the number of its plates in each state."""

    job: Job
    counts: Mapping[JobState, int]

    @property
    def total(self) -> int:
        """The number of all plates."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """The number of plates that are done or failed."""
        return sum(count for state, count in self.counts.items() if state in ENDED)

    @property
    def in_words(self) -> str:
        """The numbers of plates by state."""
        return ", ".join(f"{self.counts[state]:,} {state.lower()}" for state in JobState if self.counts.get(state))

    @property
    def failed(self) -> int:
        """The number of plates that failed."""
        return self.counts.get(JobState.FAILED, 0)


def statuses(service: BatchService, ids: Sequence[str]) -> list[JobStatus]:
    """Return the present states of jobs, without those that AWS Batch does not know.

    Raises JobSpecError if every job is unknown, ServiceError.
    """
    jobs = service.describe(ids)
    if not jobs:
        raise JobSpecError(
            f"no job {', '.join(ids)}",
            where="AWS Batch",
            why="it is not known, or ended more than a week ago",
            remedy="check the id and the region; `cytobatch collect` shows plates from their reports",
        )
    return [JobStatus(job, _counts(job)) for job in jobs]


def followed(
    fetch_statuses: Callable[[], list[JobStatus]], seconds: float, limit: float | None = None
) -> Iterator[list[JobStatus]]:
    """Yield the states of jobs at intervals until all of their plates have ended.

    Parameters
    ----------
    fetch_statuses
        Returns the present states.
    seconds
        The interval.
    limit
        The seconds after which it stops all the same; None for no limit.

    Raises
    ------
    ServiceError
        If AWS Batch fails to answer several times in succession.
    """
    states, misses = fetch_statuses(), 0
    end = None if limit is None else time.monotonic() + limit
    while True:
        yield states
        if all(status.ended == status.total for status in states) or (end is not None and time.monotonic() >= end):
            return
        time.sleep(seconds)
        try:
            states, misses = fetch_statuses(), 0
        except ServiceError:
            misses += 1
            if misses > _MISSES:
                raise


def ended_plates(service: BatchService, status: JobStatus) -> list[Job | None]:
    """Return for each plate of a job, in order, its job as it has ended, or None if it has not. Raises ServiceError."""
    job = status.job
    if job.size is None:
        return [job if job.state in ENDED else None]
    failed = service.children(job.id, JobState.FAILED, job.size) if status.failed else []
    if status.failed and not failed:
        # An array can fail before it has a child.
        return [job] * job.size
    has_ended = status.ended == status.total
    # To describe thousands of children that have succeeded would take a request for each hundred.
    succeeded = [] if has_ended else service.children(job.id, JobState.SUCCEEDED, job.size)
    ended = {child.index: child for child in (*failed, *succeeded)}
    other = replace(job, state=JobState.SUCCEEDED, reason="") if has_ended else None
    return [ended.get(index, other) for index in range(job.size)]


def _counts(job: Job) -> Mapping[JobState, int]:
    """Return the number of plates in each state.

    An array counts only the children that exist already. The others are pending; if the array has ended without them,
    they have its state.
    """
    if job.size is None:
        return {job.state: 1}
    missing = job.size - sum(job.counts.values())
    state = job.state if job.state in ENDED else JobState.PENDING
    return job.counts | ({state: job.counts.get(state, 0) + missing} if missing > 0 else {})


def failures(service: BatchService, status: JobStatus, log_group: str, access: Access) -> Iterator[Failure]:
    """Yield the first plates of a job that failed, by index. Raises ServiceError."""
    if not status.failed:
        return
    job = status.job
    # An array can fail before it has a child.
    failed = [job] if job.size is None else service.children(job.id, JobState.FAILED, _SHOWN) or [job]
    names = _plates(job, access)
    for child in failed[:_SHOWN]:
        log = service.last_lines(log_group, child.log_stream, _LINES) if child.log_stream else []
        lines = tuple(text for line in log for text in text_lines(line))
        yield Failure(child, _plate_of(child, names), reason_of(child), lines)


def _plate_of(child: Job, names: Sequence[str]) -> str:
    """Return the plate's name, or the job's if it has several plates or its spec cannot be read."""
    if child.index is None:
        return names[0] if len(names) == 1 else child.name
    return names[child.index] if child.index < len(names) else f"plate {child.index}"


def _plates(job: Job, access: Access) -> list[str]:
    """Return the names of a job's plates; empty if its spec is gone, or invalid, which may be why the job failed."""
    if job.spec is None:
        return [own_name(without_marker(job.source))] if job.source else []
    try:
        spec = parse_spec(read_spec(job.spec, access), job.spec)
        jobs = plate_jobs(spec, PlateOptions(), None, job.spec, lambda _, __: [])
    except CytobatchError:
        return []
    return [one.label for one in jobs]


def reason_of(job: Job) -> str:
    """Return why a job has failed: the exit code with its class, AWS Batch's reason, and the number of attempts."""
    meaning = _EXIT_CODE_TEXTS.get(job.exit_code) if job.exit_code is not None else None
    code = f"exit code {job.exit_code}" + (f" ({meaning})" if meaning else "") if job.exit_code is not None else ""
    attempts = f"after {job.attempts} attempts" if job.attempts > 1 else ""
    return "; ".join(part for part in (code, job.reason, attempts) if part) or "no reason given"
