"""The command line: parse, call a command, and turn an error into one message and an exit code.

Importing this module costs little: a command is imported when it is called.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import cyclopts
from cyclopts import App, Group, Parameter

from cytobatch import __version__
from cytobatch.batch.flows.credentials import provide_blocks
from cytobatch.cli.command_list import COMMANDS, CommandGroup
from cytobatch.cli.help_groups import ARGUMENTS, OPTIONS
from cytobatch.cli.help_page import HELP_ALL, HELP_FLAGS, HelpPage
from cytobatch.cli.log_options import set_log_options
from cytobatch.config.variables import debug_requested
from cytobatch.engine.signals import forget, signals_as_raised
from cytobatch.errors import CytobatchError, ExitCode, InternalError

_EPILOGUE = """First steps:
  cytobatch example plate          make a small plate
  cytobatch run plate profiles     convert it, and open profiles/report.html
  cytobatch run --help             the common options; --help-all shows all of them

Every option is an environment variable, too: CYTOBATCH_SOURCE for --source, and so on. \
A flag wins over the environment, the environment over the job spec, and the job spec over the preset."""


def make_app(page: HelpPage) -> App:
    """Return the command line, whose help is formatted by a page."""
    app = App(
        name="cytobatch",
        version=__version__,
        version_format="plaintext",
        # Of the help flags `main` handles --help-all itself, by the page.
        help_flags=HELP_FLAGS,
        help_format="plaintext",
        help_formatter=page,
        group_arguments=ARGUMENTS,
        group_parameters=OPTIONS,
        # cyclopts shows the names of enum members as choices, but flags take their values. Its flags --empty-… for
        # lists are left out: without a flag a list is empty.
        default_parameter=Parameter(show_choices=False, negative_iterable=()),
        help="Turns a plate of single-cell measurements into one joined, verified Parquet profile.",
        help_epilogue=_EPILOGUE,
    )

    def complete(shell: Shell = None, /) -> int:
        from cytobatch.cli.completion import install_completion

        return install_completion(app, shell)

    app.command(
        complete,
        name=INSTALL_COMPLETION,
        help="Complete commands and options with the Tab key: bash, zsh or fish.",
        usage=f"cytobatch {INSTALL_COMPLETION} [SHELL]",
        help_epilogue="",
    )
    for flag in (*HELP_FLAGS, "--version", INSTALL_COMPLETION):
        app[flag].group = OPTIONS
    # Before the options, which begin with 1.
    groups = {group: Group(group.value, sort_key=number / 10) for number, group in enumerate(CommandGroup)}
    for number, command in enumerate(COMMANDS):
        app.command(
            command.function,
            help=command.line,
            usage=f"cytobatch {command.name} {command.usage}".rstrip(),
            group=groups[command.group],
            sort_key=number,
            help_epilogue=page.epilogue(command),
        )
    return app


Shell = Annotated[Literal["bash", "zsh", "fish"] | None, Parameter(help="bash, zsh or fish; by default your own.")]
_BLANK, INSTALL_COMPLETION = "-", "--install-completion"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default that of the process, and return its exit code."""
    words = drop_blank_flags(sys.argv[1:] if arguments is None else arguments)
    page = HelpPage(all_options=HELP_ALL in words)
    words = [HELP_FLAGS[0] if word == HELP_ALL else word for word in words]
    debug = "--debug" in words or debug_requested()
    set_log_options(words)
    provide_blocks()
    try:
        with signals_as_raised():
            result = make_app(page)(words, exit_on_error=False, print_error=False, result_action="return_value")
        return int(result or 0)
    except CytobatchError as error:
        _show_error(error, debug=debug)
        return error.exit_code
    except cyclopts.CycloptsError as error:
        from cytobatch.cli.usage_errors import usage_error

        _show_error(usage_error(error), debug=debug)
        return ExitCode.CONFIGURATION
    except Exception as error:  # noqa: BLE001  the last handler: it shows the error and ends the program
        defect = InternalError(
            f"unexpected {type(error).__name__}",
            where="cytobatch",
            why=str(error),
            remedy="run again with --debug and report what it prints",
        )
        _show_error(defect.with_traceback(error.__traceback__), debug=debug)
        return defect.exit_code
    except KeyboardInterrupt:
        from cytobatch.cli.logs import show_interruption

        show_interruption()
        return ExitCode.INTERRUPTED
    finally:
        forget()


def _show_error(error: CytobatchError, *, debug: bool) -> None:
    from cytobatch.cli.logs import show_error

    show_error(error, debug=debug)


def drop_blank_flags(words: Sequence[str]) -> list[str]:
    """Return the words of a command line without the flags whose value is `-`.

    A job definition of AWS Batch passes a value for each of its parameters, and AWS Batch refuses an empty one.
    """
    blank = {n for n, word in enumerate(words[:-1]) if word.startswith("--") and words[n + 1] == _BLANK}
    return [word for n, word in enumerate(words) if n not in blank and n - 1 not in blank]
