"""Submissions and their states for people."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cytobatch.batch.aws.array_jobs import ArrayJob, plates_in
from cytobatch.batch.aws.client import JobState
from cytobatch.batch.aws.deployment import Deployment
from cytobatch.batch.aws.preflight import Inspected
from cytobatch.batch.aws.pricing import Estimate, PriceTable, estimate
from cytobatch.batch.aws.status import Failure, JobStatus
from cytobatch.batch.aws.submit import Submission, SubmittedJob
from cytobatch.errors import ServiceError

_SHOWN = 20
_MISSES = 5
_GIB = 2**30


def print_left_alone(console: Console, plates: Sequence[Inspected]) -> None:
    """The plates that are done already, and those that look unsound."""
    done = [plate for plate in plates if plate.done]
    if done:
        console.print(f"{len(done)} of {len(plates)} plates are done already", highlight=False)
    unsound = [plate for plate in plates if plate.unsound]
    for plate in unsound[:_SHOWN]:
        console.print(f"unsound: {plate.job.label}: {plate.unsound}", style="yellow", markup=False, highlight=False)
    if len(unsound) > _SHOWN:
        console.print(f"and {len(unsound) - _SHOWN} more")


def print_arrays(console: Console, arrays: Sequence[ArrayJob], deployment: Deployment, prices: PriceTable) -> None:
    """The jobs to be, their machines, and what they may take of time and money: a line for each, whole in a log."""
    dollars = 0.0
    for array in arrays:
        gib = deployment.scratch_gib[array.compute]
        found = estimate(array.plates, array.size, array.compute, gib, prices)
        dollars += found.dollars
        for line in _array_lines(array, gib, found):
            console.print(line, highlight=False, markup=False)
    console.print(
        f"{_count(plates_in(arrays))}, about ${dollars:,.2f} by {prices.what}; storage and requests apart",
        highlight=False,
        markup=False,
    )


def _array_lines(array: ArrayJob, gib: int, found: Estimate) -> Iterator[str]:
    size, scratch = array.size, max(need.scratch_bytes for need in array.plates) / _GIB
    yield f"{array.name}: {_count(len(array.plates))} on {array.compute}"
    yield f"  to read  {decimal(sum(need.source_bytes for need in array.plates))}"
    yield f"  machine  {size.vcpus} vCPU(s), {size.memory_mib // 1024} GiB memory, {scratch:,.1f} of {gib} GiB scratch"
    yield f"  time     {_duration(found.longest_seconds)} for the largest plate, {found.hours:,.1f} hours in all"


def _count(plates: int) -> str:
    return f"{plates:,} plate" + ("s" if plates != 1 else "")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def print_job(console: Console, job: SubmittedJob) -> None:
    """A job that AWS Batch took."""
    console.print(f"{job.id}  {job.name}: {_count(job.plates)} on {job.compute}", highlight=False, markup=False)


def print_submission(console: Console, submission: Submission, folder: str) -> None:
    """Where a submission is kept, and how to follow its jobs."""
    lines = [f"kept in  {folder}/submission.json"]
    lines += [f"follow   cytobatch status {' '.join(job.id for job in submission.jobs)}"]
    lines += [f"collect  cytobatch collect --job-spec {job.spec} --to FOLDER" for job in submission.jobs]
    for line in lines:
        console.print(line, highlight=False, markup=False)


def print_statuses(console: Console, found: Iterable[JobStatus]) -> None:
    """How many plates of each job are in each state."""
    for status in found:
        states = [f"{status.counts[state]:,} {state.lower()}" for state in JobState if status.counts.get(state)]
        console.print(
            f"{status.job.id}  {status.job.name}: {_count(status.total)}: {', '.join(states)}",
            highlight=False,
            markup=False,
        )


def print_failure(console: Console, failure: Failure) -> None:
    """A plate that failed, why, and what it wrote last."""
    console.print(f"{failure.plate}  {failure.job.id}", style="red", markup=False, highlight=False)
    console.print(f"  {failure.reason}", markup=False, highlight=False)
    for line in failure.lines:
        console.print(f"  | {line}", style="dim", markup=False, highlight=False)


def print_failures(console: Console, status: JobStatus, failures: Iterable[Failure]) -> None:
    """Plates that failed; the first of them where they are many."""
    shown = 0
    for failure in failures:
        print_failure(console, failure)
        shown += 1
    if status.failed > shown:
        console.print(f"and {_count(status.failed - shown)} more that failed", style="red", highlight=False)


def followed(console: Console, look: Callable[[], list[JobStatus]], seconds: float) -> list[JobStatus]:
    """The jobs when all of their plates have ended, with a bar for each job until then; `look` finds them anew.

    Raises ServiceError where AWS does not answer several times running.
    """
    found = look()
    misses = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = {status.job.id: progress.add_task(_bar_text(status), total=status.total) for status in found}
        while True:
            for status in found:
                progress.update(bars[status.job.id], completed=status.ended, description=_bar_text(status))
            if all(status.ended == status.total for status in found):
                return found
            time.sleep(seconds)
            try:
                found, misses = look(), 0
            except ServiceError:
                misses += 1
                if misses > _MISSES:
                    raise


def _bar_text(status: JobStatus) -> str:
    states = [(JobState.RUNNING, "running"), (JobState.FAILED, "failed")]
    told = [f"{status.counts[state]} {word}" for state, word in states if status.counts.get(state)]
    return f"{status.job.name}: {', '.join(told) or status.job.state.value.lower()}"
