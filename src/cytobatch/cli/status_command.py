"""`cytobatch status`: show the states and failures of submitted jobs."""

from cytobatch.batch.aws.client import BatchService
from cytobatch.batch.aws.documents import read_deployment
from cytobatch.batch.aws.status import failures, statuses
from cytobatch.cli.console import err, out
from cytobatch.cli.flags import StatusFlags
from cytobatch.cli.printing import status as show
from cytobatch.config.environment import read_settings
from cytobatch.config.option_errors import flag_of
from cytobatch.errors import ExitCode, JobSpecError
from cytobatch.pipeline.resolve_jobs import explicit_access, parse_options

_SHORTEST_PERIOD = 1.0


def status(jobs: tuple[str, ...], deployment: str | None, flags: StatusFlags) -> int:
    """Print the states of jobs by their ids, and the plates that failed; return the exit code."""
    if not jobs:
        raise JobSpecError(
            "no job named",
            where="command line",
            why="`status` shows jobs by their ids",
            remedy="give the ids that `cytobatch submit` printed",
        )
    named = {"profile": flags.profile, "credentials": flags.credentials, "endpoint_url": flags.endpoint_url}
    access = explicit_access(read_settings(), parse_options(named, "command line", flag_of))
    target = read_deployment(deployment, access)
    service = BatchService(target.region, access)
    if out.is_terminal and not flags.once:
        states = show.follow(out, lambda: statuses(service, jobs), max(flags.every, _SHORTEST_PERIOD))
    else:
        states = statuses(service, jobs)
    show.print_statuses(out, states)
    for unknown in set(jobs) - {state.job.id for state in states}:
        err.print(f"{unknown}  is not known, or ended more than a week ago", style="yellow")
    for state in states:
        show.print_failures(out, state, failures(service, state, flags.log_group or target.log_group, access))
    return ExitCode.PLATES_FAILED if any(state.failed for state in states) else ExitCode.OK
