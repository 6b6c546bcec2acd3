"""`cytobatch run`: convert plates one after the other, each as a Prefect flow run."""

from collections.abc import Sequence

from cytobatch.batch.flows.session import prefect_session
from cytobatch.cli.concurrent_run import convert_concurrently
from cytobatch.cli.flags import SpecFlags
from cytobatch.cli.options import resolve_jobs
from cytobatch.cli.plate_results import PlateResults
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.config.task_runner import RunnerKind, common_task_runner
from cytobatch.config.variables import debug_requested
from cytobatch.engine.resources import leave_signals_to_python
from cytobatch.engine.signals import remember_interruptions
from cytobatch.errors import CytobatchError


def run(options: PlateOptions, spec: SpecFlags) -> int:
    """Convert the plate, or every plate of the job spec, and return the exit code."""
    leave_signals_to_python()
    remember_interruptions()
    jobs, debug = resolve_jobs(options, spec), spec.debug or debug_requested()
    runner = common_task_runner(job.task_runner for job in jobs)
    if runner.kind is not RunnerKind.SEQUENTIAL:
        return convert_concurrently(jobs, runner, debug=debug)
    return convert_all(jobs, debug=debug)


def convert_all(jobs: Sequence[PlateJob], *, debug: bool) -> int:
    """Convert plates one after the other. If one fails, the others are converted all the same."""
    with PlateResults([job.label for job in jobs], debug=debug) as results, prefect_session(debug=debug) as convert:
        for job in jobs:
            try:
                results.on_end(job, convert(job, results.on_event))
            except CytobatchError as error:
                results.on_end(job, error)
    return results.finish()
