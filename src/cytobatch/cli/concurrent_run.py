"""`cytobatch run` with a task runner: the steps and results of all plates together, each line with its plate."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from cytobatch.batch.flows.bookkeeping import WARNING
from cytobatch.batch.flows.together import convert_together
from cytobatch.cli.console import err, out, show_error
from cytobatch.cli.printing.report import print_report
from cytobatch.config.options import PlateJob
from cytobatch.config.task_runner import TaskRunner
from cytobatch.errors import CytobatchError, ExitCode
from cytobatch.report.model import RunReport

Announce = Callable[[str, str], None]


def convert_concurrently(jobs: Sequence[PlateJob], runner: TaskRunner, announce: Announce, *, debug: bool) -> int:
    """Convert plates by a task runner and return the exit code. If one fails, the others are converted all the same."""
    failed: list[CytobatchError] = []
    began = datetime.now(UTC)
    lock = threading.Lock()
    warned: set[str] = set()

    def on_step(plate: str, step: str) -> None:
        with lock:
            # Each worker announces what is true of all of them.
            if step not in warned:
                announce(plate, step)
            if step.startswith(WARNING):
                warned.add(step)

    def on_end(job: PlateJob, outcome: RunReport | CytobatchError) -> None:
        if isinstance(outcome, RunReport):
            if outcome.finished < began:
                on_step(job.label, f"done already at {outcome.finished:%Y-%m-%d %H:%M} UTC, left alone")
            with lock:
                print_report(out, outcome, {step.removeprefix(WARNING) for step in warned})
            return
        failed.append(outcome)
        with lock:
            show_error(outcome, debug=debug, prefix=f"{job.label}: " if len(jobs) > 1 else "")

    reason = convert_together(jobs, runner, on_step, on_end, debug=debug)
    if reason and not warned:
        announce("task runner", f"{WARNING}Prefect has no complete record of this run: {reason}")
    if failed and len(jobs) > 1:
        err.print(f"{len(failed)} of {len(jobs)} plates failed", style="red")
    return max((error.exit_code for error in failed), default=ExitCode.OK)
