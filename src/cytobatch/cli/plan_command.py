"""`cytobatch plan`: describe each plate's conversion."""

from dataclasses import replace

from cytobatch.cli.console import out
from cytobatch.cli.flags import SpecFlags
from cytobatch.cli.options import resolve_jobs
from cytobatch.cli.printing.plan import print_plan
from cytobatch.config.environment import read_settings
from cytobatch.config.options import PlateOptions
from cytobatch.errors import ExitCode
from cytobatch.pipeline.describe import PlanDescription, describe_job

_ANYWHERE = "/DESTINATION"
"""Stands for a destination that is not known yet. It lies in no source, which a destination may not."""


def plan(options: PlateOptions, spec: SpecFlags) -> int:
    """Print the plan of every plate, and return the exit code."""
    for job in resolve_jobs(_with_destination(options, spec), spec):
        description = describe_job(job)
        print_plan(out, _named(description) if job.destination.startswith(_ANYWHERE) else description)
    return ExitCode.OK


def _with_destination(options: PlateOptions, spec: SpecFlags) -> PlateOptions:
    """Return the options with a destination. A plan needs none: without a job spec one takes its place."""
    settings = read_settings()
    if options.destination or settings.destination or spec.job_spec or settings.job_spec:
        return options
    has_name = any((options.plate, options.batch, settings.plate, settings.batch))
    return options.model_copy(update={"destination": f"{_ANYWHERE}/{{plate}}" if has_name else _ANYWHERE})


def _named(description: PlanDescription) -> PlanDescription:
    """Return a description whose outputs are named below the word DESTINATION."""
    outputs = tuple(output.removeprefix("/") for output in description.outputs)
    return replace(description, outputs=outputs, report=description.report.removeprefix("/"))
