"""Print the states and failures of submitted jobs."""

import time
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cytobatch.batch.aws.client import JobState
from cytobatch.batch.aws.status import Failure, JobStatus
from cytobatch.cli.printing.plate_count import plate_count
from cytobatch.errors import ServiceError, printable

_MISSES = 5


def print_statuses(console: Console, statuses: Iterable[JobStatus]) -> None:
    """Print how many plates of each job are in each state."""
    for status in statuses:
        states = [f"{status.counts[state]:,} {state.lower()}" for state in JobState if status.counts.get(state)]
        console.print(
            f"{status.job.id}  {status.job.name}: {plate_count(status.total)}: {', '.join(states)}",
            highlight=False,
            markup=False,
        )


def print_failure(console: Console, failure: Failure) -> None:
    """Print a plate that failed, the reason, and the last lines of its log."""
    console.print(f"{failure.plate}  {failure.job.id}", style="red", markup=False, highlight=False)
    console.print(f"  {failure.reason}", markup=False, highlight=False)
    for line in failure.lines:
        console.print(f"  | {line}", style="dim", markup=False, highlight=False)


def print_failures(console: Console, status: JobStatus, failures: Iterable[Failure]) -> None:
    """Print the plates that failed, or the first of them and the number of the others."""
    shown = 0
    for failure in failures:
        print_failure(console, failure)
        shown += 1
    if status.failed > shown:
        console.print(f"and {plate_count(status.failed - shown)} more that failed", style="red", highlight=False)


def follow(console: Console, fetch_status: Callable[[], list[JobStatus]], seconds: float) -> list[JobStatus]:
    """Show a bar for each job until all of its plates have ended, and return the last statuses.

    Calls `fetch_status` at intervals of `seconds`. Raises ServiceError if it fails several times in succession.
    """
    statuses = fetch_status()
    misses = 0
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = {status.job.id: progress.add_task(_bar_text(status), total=status.total) for status in statuses}
        while True:
            for status in statuses:
                progress.update(bars[status.job.id], completed=status.ended, description=_bar_text(status))
            if all(status.ended == status.total for status in statuses):
                return statuses
            time.sleep(seconds)
            try:
                statuses, misses = fetch_status(), 0
            except ServiceError:
                misses += 1
                if misses > _MISSES:
                    raise


def _bar_text(status: JobStatus) -> str:
    states = [(JobState.RUNNING, "running"), (JobState.FAILED, "failed")]
    counts = [f"{status.counts[state]} {word}" for state, word in states if status.counts.get(state)]
    return printable(f"{status.job.name}: {', '.join(counts) or status.job.state.value.lower()}")
