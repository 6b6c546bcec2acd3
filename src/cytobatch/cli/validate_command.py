"""`cytobatch validate`: resolve options to plates, and read no plate."""

from cytobatch.cli.console import out
from cytobatch.cli.flags import SpecFlags
from cytobatch.cli.options import resolve_jobs
from cytobatch.config.options import PlateOptions
from cytobatch.config.plural import plural
from cytobatch.errors import ExitCode


def validate(options: PlateOptions, spec: SpecFlags) -> int:
    """Print the plates of a valid job spec, and return the exit code."""
    jobs = resolve_jobs(options, spec)
    out.print(f"valid: {plural(len(jobs), 'plate')}")
    for job in jobs:
        line = f"  {job.label}: {job.source} -> {job.destination} ({job.preset.value})"
        out.print(line)
    return ExitCode.OK
