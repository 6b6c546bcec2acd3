"""Print the states and failures of submitted jobs."""

from collections.abc import Callable, Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cytobatch.batch.aws.client import JobState
from cytobatch.batch.aws.status import Failure, JobStatus, followed
from cytobatch.config.plural import plural
from cytobatch.errors import printable


def print_statuses(console: Console, statuses: Iterable[JobStatus]) -> None:
    """Print how many plates of each job are in each state."""
    for status in statuses:
        console.print(
            f"{status.job.id}  {status.job.name}: {plural(status.total, 'plate')}: {status.in_words}",
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
        console.print(f"and {plural(status.failed - shown, 'plate')} more that failed", style="red", highlight=False)


def follow(console: Console, fetch_status: Callable[[], list[JobStatus]], seconds: float) -> list[JobStatus]:
    """Show a bar for each job until all of its plates have ended, and return the last statuses.

    Calls `fetch_status` at intervals of `seconds`. Raises ServiceError if it fails several times in succession.
    """
    statuses: list[JobStatus] = []
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars: dict[str, TaskID] = {}
        for statuses in followed(fetch_status, seconds):
            bars = bars or {one.job.id: progress.add_task(_bar_text(one), total=one.total) for one in statuses}
            for status in statuses:
                progress.update(bars[status.job.id], completed=status.ended, description=_bar_text(status))
    return statuses


def _bar_text(status: JobStatus) -> str:
    states = [(JobState.RUNNING, "running"), (JobState.FAILED, "failed")]
    counts = [f"{status.counts[state]} {word}" for state, word in states if status.counts.get(state)]
    return printable(f"{status.job.name}: {', '.join(counts) or status.job.state.value.lower()}")
