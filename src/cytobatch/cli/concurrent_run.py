"""`cytobatch run` with a task runner: the steps and results of all plates together, each line with its plate."""

from collections.abc import Sequence

from cytobatch.batch.flows.together import convert_together
from cytobatch.batch.plate_events import NoticeKind, PlateNotice
from cytobatch.cli.plate_results import PlateResults
from cytobatch.config.options import PlateJob
from cytobatch.config.task_runner import TaskRunner


def convert_concurrently(jobs: Sequence[PlateJob], runner: TaskRunner, *, debug: bool) -> int:
    """Convert plates by a task runner and return the exit code. If one fails, the others are converted all the same."""
    with PlateResults([job.label for job in jobs], debug=debug) as results:
        reason = convert_together(jobs, runner, results.on_event, results.on_end, debug=debug)
    if reason and not results.warned:
        text = f"Prefect has no complete record of this run: {reason}"
        results.on_event(PlateNotice("task runner", text, NoticeKind.WARNING))
    return results.finish()
