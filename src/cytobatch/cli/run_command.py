"""`cytobatch run`: convert plates one after the other, each as a Prefect flow run."""

from collections.abc import Sequence
from datetime import UTC, datetime

from cytobatch.batch.flows.bookkeeping import WARNING
from cytobatch.batch.flows.session import prefect_session
from cytobatch.cli.concurrent_run import convert_concurrently
from cytobatch.cli.console import err, out, show_error
from cytobatch.cli.flags import SpecFlags
from cytobatch.cli.options import resolve_jobs
from cytobatch.cli.printing.report import print_report
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.config.task_runner import RunnerKind, common_task_runner
from cytobatch.config.variables import debug_requested
from cytobatch.errors import CytobatchError, ExitCode


def run(options: PlateOptions, spec: SpecFlags) -> int:
    """Convert the plate, or every plate of the job spec, and return the exit code."""
    jobs, debug = resolve_jobs(options, spec.job_spec), spec.debug or debug_requested()
    runner = common_task_runner(job.task_runner for job in jobs)
    if runner.kind is not RunnerKind.SEQUENTIAL:
        return convert_concurrently(jobs, runner, _announce, debug=debug)
    return convert_all(jobs, debug=debug)


def convert_all(jobs: Sequence[PlateJob], *, debug: bool) -> int:
    """Convert plates one after the other. If one fails, the others are converted all the same."""
    failed: list[CytobatchError] = []
    began = datetime.now(UTC)
    warned: set[str] = set()

    def on_step(plate: str, step: str) -> None:
        if step.startswith(WARNING):
            warned.add(step.removeprefix(WARNING))
        _announce(plate, step)

    with prefect_session(debug=debug) as convert:
        for job in jobs:
            try:
                report = convert(job, on_step)
                if report.finished < began:
                    _announce(job.label, f"done already at {report.finished:%Y-%m-%d %H:%M} UTC, left alone")
                print_report(out, report, warned)
            except CytobatchError as error:
                if len(jobs) == 1:
                    raise
                show_error(error, debug=debug, prefix=f"{job.label}: ")
                failed.append(error)
    if failed:
        err.print(f"{len(failed)} of {len(jobs)} plates failed", style="red")
        return max(error.exit_code for error in failed)
    return ExitCode.OK


def _announce(plate: str, step: str) -> None:
    style = "yellow" if step.startswith(WARNING) else "dim"
    err.print(f"{plate}: {step}", style=style, highlight=False, markup=False)
