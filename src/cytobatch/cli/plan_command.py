"""`cytobatch plan`: describe each plate's conversion."""

from cytobatch.cli.console import out
from cytobatch.cli.flags import SpecFlags
from cytobatch.cli.options import resolve_jobs
from cytobatch.cli.printing.plan import print_plan
from cytobatch.config.options import PlateOptions
from cytobatch.errors import ExitCode
from cytobatch.pipeline.describe import describe_job


def plan(options: PlateOptions, spec: SpecFlags) -> int:
    """Print the plan of every plate, and return the exit code."""
    for job in resolve_jobs(options, spec):
        print_plan(out, describe_job(job))
    return ExitCode.OK
