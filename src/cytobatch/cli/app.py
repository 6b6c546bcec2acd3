"""The command line: parse, call a command, and turn an error into one message and an exit code.

Importing this module costs little: a command is imported when it is called.
"""

import sys
from collections.abc import Sequence

import cyclopts
from cyclopts import App, Parameter

from cytobatch import __version__
from cytobatch.batch.flows.credentials import provide_blocks
from cytobatch.cli.console import err, show_error
from cytobatch.config.variables import debug_requested
from cytobatch.errors import CytobatchError, ExitCode, InternalError

COMMANDS = {
    "cytobatch.cli.commands:run": "Convert the plate, or every plate of the job spec.",
    "cytobatch.cli.commands:plan": "Show what a run would do, without doing it.",
    "cytobatch.cli.commands:validate": "Check a job spec, together with flags and environment, without touching the "
    "plates.",
    "cytobatch.cli.commands:submit": "Submit the plates to AWS Batch, as one array job with a child for each.",
    "cytobatch.cli.commands:status": "Show plates by state, and why plates failed; on a terminal, follow them until "
    "all have ended.",
    "cytobatch.cli.commands:collect": "Gather the run reports of all plates into one table and one page.",
    "cytobatch.cli.commands:verify": "Check a published result against its report, and with --source against the "
    "source.",
    "cytobatch.cli.commands:serve": "Run plates on this machine whenever a Prefect server has a run for it.",
    "cytobatch.cli.commands:pool": "Print the base job template of a Prefect work pool on ECS, for what Terraform set "
    "up.",
    "cytobatch.cli.commands:prefect": "Run Prefect's own command line, as its workers do in a container: prefect "
    "flow-run execute.",
    "cytobatch.cli.example_command:example": "Make a small made-up plate to try things on; the same arguments make "
    "the same plate.",
    "cytobatch.cli.commands:schema": "Print the job spec's JSON Schema.",
}
"""The function of each command with its line in the help, which is the first line of the function's docstring."""

app = App(
    name="cytobatch",
    version=__version__,
    version_format="plaintext",
    # cyclopts shows the names of enum members as choices, but flags take their values.
    default_parameter=Parameter(show_choices=False),
    help="Turns a plate of single-cell measurements into one joined, verified Parquet profile.",
    help_epilogue="Every option is an environment variable too: CYTOBATCH_SOURCE for --source, and so on. "
    "A flag wins over the environment, that over the job spec, that over the preset.",
)
for _function, _line in COMMANDS.items():
    app.command(_function, help=_line)

_BLANK = "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default that of the process, and return its exit code."""
    words = drop_blank_flags(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words or debug_requested()
    provide_blocks()
    try:
        result = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        return int(result or 0)
    except CytobatchError as error:
        show_error(error, debug=debug)
        return error.exit_code
    except cyclopts.CycloptsError as error:
        _show_usage_error(error, debug=debug)
        return ExitCode.CONFIGURATION
    except Exception as error:  # noqa: BLE001  the last handler: it shows the error and ends the program
        defect = InternalError(
            f"unexpected {type(error).__name__}",
            where="cytobatch",
            why=str(error),
            remedy="run again with --debug and report what it prints",
        )
        show_error(defect.with_traceback(error.__traceback__), debug=debug)
        return defect.exit_code
    except KeyboardInterrupt:
        err.print("interrupted")
        return ExitCode.INTERRUPTED


def _show_usage_error(error: cyclopts.CycloptsError, *, debug: bool) -> None:
    """Show the error of an unknown flag, or of a bad value of a flag."""
    from pydantic import ValidationError

    from cytobatch.config.job_spec import spec_error

    cause = error.__cause__
    if isinstance(cause, ValidationError):
        show_error(spec_error(cause, "command line"), debug=debug)
    else:
        err.print(f"error: {' '.join(str(error).split())}", style="red")


def drop_blank_flags(words: Sequence[str]) -> list[str]:
    """Return the words of a command line without the flags whose value is `-`.

    A job definition of AWS Batch passes a value for each of its parameters, and AWS Batch refuses an empty one.
    """
    blank = {n for n, word in enumerate(words[:-1]) if word.startswith("--") and words[n + 1] == _BLANK}
    return [word for n, word in enumerate(words) if n not in blank and n - 1 not in blank]
