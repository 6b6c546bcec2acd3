"""`cytobatch submit` and `cytobatch status`: what they take, and the steps in their order."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from rich.progress import Progress

from cytobatch.batch.aws.array_jobs import arrays_of
from cytobatch.batch.aws.client import BatchService
from cytobatch.batch.aws.deployment import Compute, Deployment, parse_deployment
from cytobatch.batch.aws.preflight import Inspected, check_local, inspect
from cytobatch.batch.aws.pricing import LIST_PRICES, PriceTable, parse_prices
from cytobatch.batch.aws.status import failures, statuses
from cytobatch.batch.aws.submit import Submitter, new_folder
from cytobatch.cli import print_batch as show
from cytobatch.cli.console import err, out
from cytobatch.cli.options import NO_OPTIONS, DebugFlag, Options, SpecFlag, explicit_access, resolve_jobs
from cytobatch.config.environment import read_settings
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.errors import ExitCode, InputDataError, JobSpecError
from cytobatch.storage.access import Access, read_text

DeploymentFlag = Annotated[
    str | None,
    Parameter(help="What Terraform set up: a path or URI of `terraform output -json`; or CYTOBATCH_DEPLOYMENT."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitting:
    """How plates are submitted."""

    compute: Annotated[
        Compute | None,
        Parameter(help="fargate, fargate_spot or ec2_spot; by default the cheapest with a large enough scratch disk."),
    ] = None
    prices: Annotated[str | None, Parameter(help="A table of prices for the estimate: a path or URI of JSON.")] = None
    share: Annotated[
        str | None, Parameter(help="The share of a fair queue that jobs count to; by default the deployment's.")
    ] = None
    name: Annotated[
        str | None, Parameter(help="What the jobs are called; by default the batch, or the first plate.")
    ] = None
    dry_run: Annotated[
        bool, Parameter(negative=(), help="Show what would be submitted, its needs and cost, and do nothing.")
    ] = False
    keep_going: Annotated[
        bool, Parameter(negative=(), help="Submit plates that look unsound too; they fail alone.")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """How jobs are looked at."""

    log_group: Annotated[
        str | None, Parameter(help="Where the jobs' logs are, if elsewhere than the deployment says.")
    ] = None
    once: Annotated[bool, Parameter(negative=(), help="Do not follow on a terminal.")] = False
    every: Annotated[float, Parameter(help="Seconds between two looks.")] = 10.0
    profile: Annotated[str | None, Parameter(help="AWS profile.")] = None
    endpoint_url: Annotated[str | None, Parameter(help="S3 API of the resolved specs, other than AWS's.")] = None


_SUBMITTING, _FOLLOWING = Submitting(), Following()


def submit(
    *,
    options: Options = NO_OPTIONS,
    job_spec: SpecFlag = None,
    deployment: DeploymentFlag = None,
    how: Annotated[Submitting, Parameter(name="*")] = _SUBMITTING,
    debug: DebugFlag = False,  # noqa: ARG001
) -> int:
    """Submit the plates to AWS Batch, as one array job with a child for each."""
    access = explicit_access(read_settings(), options)
    target = deployment_asked_for(deployment, access)
    table = prices_asked_for(how.prices, access)
    jobs = resolve_jobs(options, job_spec)
    check_local(jobs)
    plates = _inspected(jobs)
    show.print_left_alone(out, plates)
    wanted = _wanted(plates, keep_going=how.keep_going)
    if not wanted:
        out.print("nothing to submit", highlight=False)
        return ExitCode.OK
    folder = new_folder(target)
    needs = [plate.need for plate in wanted]
    arrays = arrays_of(needs, target, how.compute, folder, how.name or needs[0].job.batch or needs[0].job.label)
    show.print_arrays(out, arrays, target, table)
    if how.dry_run:
        out.print("dry run: nothing was submitted", highlight=False)
        return ExitCode.OK
    service = BatchService(target.region, access.profile)
    submitter = Submitter(target, service, access, how.share)
    show.print_submission(out, submitter.send(arrays, folder, lambda job: show.print_job(out, job)), folder)
    return ExitCode.OK


def _inspected(jobs: list[PlateJob]) -> list[Inspected]:
    with Progress(console=err, transient=True) as progress:
        bar = progress.add_task("looking at the plates", total=len(jobs))
        return inspect(jobs, lambda _: progress.advance(bar))


def _wanted(plates: list[Inspected], *, keep_going: bool) -> list[Inspected]:
    """The plates to submit. Raises InputDataError where some look unsound and that was not agreed to."""
    unsound = [plate for plate in plates if plate.unsound]
    if unsound and not keep_going:
        raise InputDataError(
            f"{len(unsound)} of {len(plates)} plates look unsound",
            where="submission",
            why=f"they are named above, {unsound[0].job.label} first; nothing was submitted",
            remedy="mend them, leave them out, or say --keep-going to let them fail alone",
        )
    return [plate for plate in plates if not plate.done]


def status(
    *jobs: Annotated[str, Parameter(help="Ids that `cytobatch submit` printed.")],
    deployment: DeploymentFlag = None,
    how: Annotated[Following, Parameter(name="*")] = _FOLLOWING,
    debug: DebugFlag = False,  # noqa: ARG001
) -> int:
    """Show plates by state, and why plates failed; on a terminal, follow them until all have ended."""
    if not jobs:
        raise JobSpecError(
            "no job named",
            where="command line",
            why="there is nothing to show",
            remedy="give the ids that `cytobatch submit` printed",
        )
    access = explicit_access(read_settings(), PlateOptions(profile=how.profile, endpoint_url=how.endpoint_url))
    target = deployment_asked_for(deployment, access)
    service = BatchService(target.region, access.profile)
    follows = out.is_terminal and not how.once
    found = (
        show.followed(out, lambda: statuses(service, jobs), max(how.every, 1.0)) if follows else statuses(service, jobs)
    )
    show.print_statuses(out, found)
    for unknown in set(jobs) - {one.job.id for one in found}:
        err.print(f"{unknown}  is not known, or ended more than a week ago", style="yellow", highlight=False)
    for one in found:
        show.print_failures(out, one, failures(service, one, how.log_group or target.log_group, access))
    return ExitCode.PLATES_FAILED if any(one.failed for one in found) else ExitCode.OK


def deployment_asked_for(where: str | None, access: Access) -> Deployment:
    """The deployment that a flag or the environment names. Raises JobSpecError where none does."""
    place = where or read_settings().deployment
    if place is None:
        raise JobSpecError(
            "no deployment named",
            where="command line and environment",
            why="queues and buckets are not known",
            remedy="terraform output -json > deployment.json, then --deployment deployment.json "
            "or CYTOBATCH_DEPLOYMENT=deployment.json",
        )
    return parse_deployment(read_text(place, access), place)


def prices_asked_for(where: str | None, access: Access) -> PriceTable:
    """The table of prices that a flag names, or list prices."""
    return parse_prices(read_text(where, access), where) if where else LIST_PRICES
