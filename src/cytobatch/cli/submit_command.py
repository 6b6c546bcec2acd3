"""`cytobatch submit`: inspect plates, size and price their jobs, submit them."""

from rich.progress import Progress

from cytobatch.batch.aws.array_jobs import arrays_of
from cytobatch.batch.aws.client import BatchService
from cytobatch.batch.aws.preflight import Inspected, check_local, inspect, pending_plates
from cytobatch.batch.aws.submit import Submitter, new_folder
from cytobatch.cli.console import err, out
from cytobatch.cli.deployment import read_deployment, read_prices
from cytobatch.cli.flags import SpecFlags, SubmitFlags
from cytobatch.cli.options import resolve_jobs
from cytobatch.cli.printing import submission as show
from cytobatch.config.environment import read_settings
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.errors import ExitCode
from cytobatch.pipeline.resolve_jobs import explicit_access


def submit(options: PlateOptions, spec: SpecFlags, deployment: str | None, flags: SubmitFlags) -> int:
    """Submit the plates as array jobs, print the jobs, and return the exit code."""
    access = explicit_access(read_settings(), options)
    target = read_deployment(deployment, access)
    prices = read_prices(flags.prices, access)
    jobs = resolve_jobs(options, spec.job_spec)
    check_local(jobs)
    plates = _inspected(jobs)
    show.print_left_alone(out, plates)
    pending = pending_plates(plates, keep_going=flags.keep_going)
    if not pending:
        out.print("nothing to submit", highlight=False)
        return ExitCode.OK
    folder = new_folder(target)
    needs = [plate.need for plate in pending]
    arrays = arrays_of(needs, target, flags.compute, folder, flags.name or needs[0].job.batch or needs[0].job.label)
    show.print_arrays(out, arrays, target, prices)
    if flags.dry_run:
        out.print("dry run: nothing was submitted", highlight=False)
        return ExitCode.OK
    service = BatchService(target.region, access)
    submitter = Submitter(target, service, access, flags.share)
    show.print_submission(out, submitter.send(arrays, folder, lambda job: show.print_job(out, job)), folder)
    return ExitCode.OK


def _inspected(jobs: list[PlateJob]) -> list[Inspected]:
    with Progress(console=err, transient=True) as progress:
        bar = progress.add_task("looking at the plates", total=len(jobs))
        return inspect(jobs, lambda _: progress.advance(bar))
