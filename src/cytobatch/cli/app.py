"""The command line: parse, call, and turn an error into one message and an exit code."""

import json
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import App, Parameter
from pydantic import ValidationError

from cytobatch import __version__
from cytobatch.batch.flows import settings as environment
from cytobatch.cli.console import err, out
from cytobatch.cli.options import NO_OPTIONS, DebugFlag, Options, SpecFlag, drop_blank_flags, resolve_jobs
from cytobatch.cli.print_plan import print_plan, print_report
from cytobatch.config.environment import debugging
from cytobatch.config.job_spec import JobSpec, spec_error
from cytobatch.config.options import PlateJob
from cytobatch.engine.gc_tuning import gc_frozen
from cytobatch.errors import CytobatchError, ExitCode, InternalError
from cytobatch.pipeline.describe import describe_job
from cytobatch.storage.access import storage_errors
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate

app = App(
    name="cytobatch",
    version=__version__,
    # Choices would be shown by the names of enum members, which are not what may be said.
    default_parameter=Parameter(show_choices=False),
    help="Turns a plate of single-cell measurements into one joined, verified Parquet profile.",
    help_epilogue="Every option is an environment variable too: CYTOBATCH_SOURCE for --source, and so on. "
    "A flag wins over the environment, that over the job spec, that over the preset.",
)

ExamplePlate = Annotated[SyntheticPlate, Parameter(name="*")]
_SMALL_PLATE = SyntheticPlate()


@app.command
def run(*, options: Options = NO_OPTIONS, job_spec: SpecFlag = None, debug: DebugFlag = False) -> int:
    """Convert the plate, or every plate of the job spec."""
    return convert_all(resolve_jobs(options, job_spec), debug=debug or debugging())


def convert_all(jobs: Sequence[PlateJob], *, debug: bool) -> int:
    """Converts plates as Prefect flow runs, one after the other; one that fails does not keep the others."""
    failed: list[CytobatchError] = []
    began = datetime.now(UTC)
    with ExitStack() as stack:
        with storage_errors("the system's folder for temporary files"):
            private = stack.enter_context(environment.prepared(debug=debug))
        # Prefect reads the environment when it is imported, so only now; and its server is not imported in vain.
        with gc_frozen():
            from cytobatch.batch.flows import plate  # noqa: PLC0415

            if private:
                from cytobatch.batch.flows import server  # noqa: PLC0415

                stack.enter_context(server.run_ephemeral_server(private))
        for job in jobs:
            try:
                report = plate.convert(job, _announce)
                if report.finished < began:
                    _announce(job.label, f"done already at {report.finished:%Y-%m-%d %H:%M} UTC, left alone")
                print_report(out, report)
            except CytobatchError as error:
                if len(jobs) == 1:
                    raise
                show(error, debug=debug, prefix=f"{job.label}: ")
                failed.append(error)
    if failed:
        err.print(f"{len(failed)} of {len(jobs)} plates failed", style="red")
        return max(error.exit_code for error in failed)
    return ExitCode.OK


def _announce(plate: str, step: str) -> None:
    err.print(f"{plate}: {step}", style="dim", highlight=False)


@app.command
def plan(*, options: Options = NO_OPTIONS, job_spec: SpecFlag = None, debug: DebugFlag = False) -> int:  # noqa: ARG001
    """Show what a run would do, without doing it."""
    for job in resolve_jobs(options, job_spec):
        print_plan(out, describe_job(job))
    return ExitCode.OK


@app.command
def validate(*, options: Options = NO_OPTIONS, job_spec: SpecFlag = None, debug: DebugFlag = False) -> int:  # noqa: ARG001
    """Check a job spec, together with flags and environment, without touching the plates."""
    jobs = resolve_jobs(options, job_spec)
    out.print(f"sound: {len(jobs)} plate(s)", highlight=False)
    for job in jobs:
        out.print(
            f"  {job.label}: {job.source} -> {job.destination} ({job.preset.value})", highlight=False, markup=False
        )
    return ExitCode.OK


@app.command
def example(folder: Path, *, kind: PlateFormat = PlateFormat.CSV, plate: ExamplePlate = _SMALL_PLATE) -> int:
    """Make a small made-up plate to try things on; the same arguments make the same plate.

    Parameters
    ----------
    folder: Where to.
    kind: Site folders of CSV files, or one SQLite file.
    """
    with storage_errors(str(folder)):
        write_plate(plate, folder, kind)
    out.print(f"{plate.cell_count()} cells of {plate.wells * plate.sites} sites in {folder}", highlight=False)
    return ExitCode.OK


# What they need is imported when they are called for: a conversion starts without it.
app.command("cytobatch.cli.batch_commands:submit")
app.command("cytobatch.cli.batch_commands:status")
app.command("cytobatch.cli.collect_command:collect")


@app.command
def schema() -> int:
    """Print the job spec's JSON Schema."""
    sys.stdout.write(json.dumps(JobSpec.model_json_schema(), indent=2, ensure_ascii=False) + "\n")
    return ExitCode.OK


def show(error: CytobatchError, *, debug: bool, prefix: str = "") -> None:
    """One message for a person; the traceback too when debugging."""
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    err.print(f"error: {prefix}{error}", style="red", markup=False, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code of what happened."""
    words = drop_blank_flags(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words or debugging()
    try:
        result = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        return int(result or 0)
    except CytobatchError as error:
        show(error, debug=debug)
        return error.exit_code
    except cyclopts.CycloptsError as error:
        return _usage(error, debug=debug)
    except Exception as error:  # noqa: BLE001  the last one to hear of it: told, and not gone on from
        fault = InternalError(
            f"unexpected {type(error).__name__}",
            where="cytobatch",
            why=str(error),
            remedy="run again with --debug and report what it prints",
        )
        show(fault.with_traceback(error.__traceback__), debug=debug)
        return fault.exit_code
    except KeyboardInterrupt:
        err.print("interrupted")
        return 130


def _usage(error: cyclopts.CycloptsError, *, debug: bool) -> int:
    """A flag that is not there, or has a bad value."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        show(spec_error(cause, "command line"), debug=debug)
    else:
        err.print(f"error: {error}", style="red", markup=False, highlight=False)
    return ExitCode.CONFIGURATION
