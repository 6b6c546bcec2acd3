"""The commands as functions: their flags are the parameters, their help is the docstring.

Each one imports its implementation when it is called, so that help needs none of them, and no command those of others.
"""

import json
import sys
from typing import Annotated

from cyclopts import Parameter

from cytobatch.cli.flags import (
    DebugFlag,
    DeploymentFlag,
    InspectFlags,
    LogFlags,
    RunFlags,
    ServeFlags,
    SpecFlags,
    StatusFlags,
    SubmitFlags,
    VerifyFlags,
)
from cytobatch.cli.log_options import check_log_flags
from cytobatch.cli.option_flags import OF_REPORTS, OF_THE_RUN, OF_THIS_MACHINE, offers, position, without
from cytobatch.cli.positions import with_positions
from cytobatch.config.job_spec import JobSpec
from cytobatch.config.options import PlateOptions
from cytobatch.config.variables import debug_requested
from cytobatch.engine.gc_tuning import gc_frozen
from cytobatch.errors import ExitCode

_NO_OPTIONS, _NO_SPEC, _RUN = PlateOptions(), SpecFlags(), RunFlags()
_SUBMIT, _STATUS, _SERVE, _VERIFY, _LOG = SubmitFlags(), StatusFlags(), ServeFlags(), VerifyFlags(), LogFlags()
_INSPECT = InspectFlags()

Source = Annotated[str | None, position("source")]
Destination = Annotated[str | None, position("destination")]
Spec = Annotated[SpecFlags, Parameter(name="*")]
RunFlag = Annotated[RunFlags, Parameter(name="*")]
LogFlag = Annotated[LogFlags, Parameter(name="*")]
SubmitFlag = Annotated[SubmitFlags, Parameter(name="*")]
ServeFlag = Annotated[ServeFlags, Parameter(name="*")]
StatusFlag = Annotated[StatusFlags, Parameter(name="*")]
InspectFlag = Annotated[InspectFlags, Parameter(name="*")]
VerifyFlag = Annotated[VerifyFlags, Parameter(name="*")]


@offers(without(()))
def run(
    source: Source = None,
    destination: Destination = None,
    /,
    *,
    options: PlateOptions = _NO_OPTIONS,
    spec: RunFlag = _RUN,
    log: LogFlag = _LOG,
) -> int:
    """Convert a plate, or every plate of a job spec."""
    check_log_flags(quiet=log.quiet, verbose=log.verbose)
    with gc_frozen():
        from cytobatch.cli import run_command
    return run_command.run(with_positions(options, source, destination), spec)


@offers(without(OF_THE_RUN))
def plan(
    source: Source = None,
    destination: Destination = None,
    /,
    *,
    options: PlateOptions = _NO_OPTIONS,
    spec: Spec = _NO_SPEC,
) -> int:
    """Show what `run` would do with a plate, without doing it."""
    with gc_frozen():
        from cytobatch.cli import plan_command
    return plan_command.plan(with_positions(options, source, destination), spec)


@offers(without(()))
def validate(
    source: Source = None,
    destination: Destination = None,
    /,
    *,
    options: PlateOptions = _NO_OPTIONS,
    spec: RunFlag = _RUN,
) -> int:
    """Check the options of `run` and a job spec together, without touching the plates."""
    with gc_frozen():
        from cytobatch.cli import validate_command
    return validate_command.validate(with_positions(options, source, destination), spec)


@offers(without(OF_THIS_MACHINE))
def submit(
    source: Source = None,
    destination: Destination = None,
    /,
    *,
    options: PlateOptions = _NO_OPTIONS,
    deployment: DeploymentFlag = None,
    flags: SubmitFlag = _SUBMIT,
) -> int:
    """Submit the plates to AWS Batch, as one array job with a child for each."""
    with gc_frozen():
        from cytobatch.cli import submit_command
    return submit_command.submit(with_positions(options, source, destination), deployment, flags)


def status(
    *jobs: Annotated[str, Parameter(help="Ids that `cytobatch submit` printed.")],
    deployment: DeploymentFlag = None,
    flags: StatusFlag = _STATUS,
) -> int:
    """Show plates by state, and why plates failed; on a terminal, follow them until all have ended."""
    with gc_frozen():
        from cytobatch.cli import status_command
    return status_command.status(jobs, deployment, flags)


@offers(OF_REPORTS)
def collect(
    source: Source = None,
    destination: Destination = None,
    /,
    *,
    to: Annotated[
        str,
        Parameter(
            metavar="FOLDER",
            help="The folder, local or in a bucket, that gets batch.parquet, batch.csv and index.html.",
        ),
    ],
    options: PlateOptions = _NO_OPTIONS,
    spec: Spec = _NO_SPEC,
) -> int:
    """Gather the run reports of all plates into one table and one page."""
    with gc_frozen():
        from cytobatch.cli import collect_command
    return collect_command.collect(to, with_positions(options, source, destination), spec)


def inspect(
    path: Annotated[str, Parameter(help="A folder or file, local or in a bucket.")],
    /,
    *,
    flags: InspectFlag = _INSPECT,
) -> int:
    """Show what lies at a path: a source, a result or a Parquet file, its tables and columns, and a few rows."""
    with gc_frozen():
        from cytobatch.cli import inspect_command
    return inspect_command.inspect(path, flags)


def verify(
    result: Annotated[str, Parameter(help="The folder, the Parquet file or the report, local or in a bucket.")],
    /,
    *,
    flags: VerifyFlag = _VERIFY,
) -> int:
    """Check a published result against its report, and with --source against the source."""
    with gc_frozen():
        from cytobatch.cli import verify_command
    return verify_command.verify(result, flags)


def serve(*, flags: ServeFlag = _SERVE) -> int:
    """Run plates on this machine whenever a Prefect server has a run for it."""
    with gc_frozen():
        from cytobatch.cli import serve_command
    return serve_command.serve(flags.name, flags.limit, debug=flags.debug or debug_requested())


def pool(*, deployment: DeploymentFlag = None, debug: DebugFlag = False) -> int:  # noqa: ARG001  `main` reads it
    """Print the base job template of a Prefect work pool on ECS, for what Terraform set up."""
    with gc_frozen():
        from cytobatch.cli import pool_command
    return pool_command.pool(deployment)


def prefect(*words: Annotated[str, Parameter(allow_leading_hyphen=True, help="Prefect's arguments.")]) -> int:
    """Run Prefect's own command line, as its workers do in a container: prefect flow-run execute."""
    from cytobatch.cli import serve_command

    return serve_command.run_prefect(words)


def schema(
    *, log: Annotated[bool, Parameter(negative=(), help="Print that of `run --log-format json` instead.")] = False
) -> int:
    """Print the job spec's JSON Schema."""
    from cytobatch.batch.log_event import LogEvent

    model = LogEvent.model_json_schema(mode="serialization") if log else JobSpec.model_json_schema()
    sys.stdout.write(json.dumps(model, indent=2, ensure_ascii=False) + "\n")
    return ExitCode.OK
