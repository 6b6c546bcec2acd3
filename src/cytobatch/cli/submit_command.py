"""`cytobatch submit`: inspect plates, size and price their jobs, submit them."""

from rich.progress import Progress

from cytobatch.batch.aws.client import BatchService
from cytobatch.batch.aws.documents import read_deployment, read_prices
from cytobatch.batch.aws.preflight import Inspected, check_local, inspect, pending_plates
from cytobatch.batch.aws.submit import Submitter, plan_submission
from cytobatch.cli.console import err, out
from cytobatch.cli.flags import SubmitFlags
from cytobatch.cli.options import resolve_jobs
from cytobatch.cli.printing import submission as show
from cytobatch.config.environment import read_settings
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.errors import ExitCode
from cytobatch.pipeline.resolve_jobs import explicit_access


def submit(options: PlateOptions, deployment: str | None, flags: SubmitFlags) -> int:
    """Submit the plates as array jobs, print the jobs, and return the exit code."""
    access = explicit_access(read_settings(), options)
    target = read_deployment(deployment, access)
    prices = read_prices(flags.prices, access)
    jobs = resolve_jobs(options, flags)
    check_local(jobs)
    plates = _inspected(jobs)
    show.print_left_alone(out, plates)
    pending = pending_plates(plates, keep_going=flags.keep_going)
    if not pending:
        out.print("nothing to submit")
        return ExitCode.OK
    planned = plan_submission([plate.need for plate in pending], target, flags.compute, flags.name)
    show.print_arrays(out, planned.arrays, target, prices)
    if flags.dry_run:
        out.print("dry run: nothing was submitted")
        return ExitCode.OK
    service = BatchService(target.region, access)
    submitter = Submitter(target, service, access, flags.share)
    show.print_submission(out, submitter.send(planned, lambda job: show.print_job(out, job)), planned.folder)
    return ExitCode.OK


def _inspected(jobs: list[PlateJob]) -> list[Inspected]:
    with Progress(console=err, transient=True) as progress:
        bar = progress.add_task("looking at the plates", total=len(jobs))
        return inspect(jobs, lambda _: progress.advance(bar))
