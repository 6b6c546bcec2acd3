"""The messages for command lines that cannot be parsed: what is wrong, why, and the right form."""

from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import cyclopts
from cyclopts import exceptions
from pydantic import ValidationError

from cytobatch.cli.command_list import COMMANDS
from cytobatch.cli.help_page import HELP_ALL, HELP_FLAGS
from cytobatch.config.expected_values import expected_value
from cytobatch.config.option_errors import flag_of, nearest, option_error
from cytobatch.config.options import PlateOptions
from cytobatch.config.uris import is_remote
from cytobatch.errors import JobSpecError

WHERE = "command line"
_BOOLEANS = frozenset({"true", "false", "yes", "no", "on", "off", "0", "1"})
_LONG_DASHES = ("\N{EN DASH}", "\N{EM DASH}")
_QUOTES = "write paths with blanks, and patterns, in quotes"
_FORMS = {int: "a whole number", float: "a number"}
_OPTIONS = {flag_of(name) for name in PlateOptions.model_fields}


def usage_error(error: cyclopts.CycloptsError) -> JobSpecError:
    """Return the error of a command line as one message in this program's form."""
    if isinstance(error.__cause__, ValidationError):
        return option_error(error.__cause__, WHERE, name_of=flag_of)
    for kind, describe in _DESCRIBED:
        if isinstance(error, kind):
            return describe(error)
    error.verbose = False
    return _error(error, "the command line cannot be read", " ".join(str(error).split()), _help_of(error))


def _error(error: cyclopts.CycloptsError, what: str, why: str, remedy: str) -> JobSpecError:
    return JobSpecError(what, where=_command(error), why=why, remedy=remedy)


def _command(error: cyclopts.CycloptsError) -> str:
    return " ".join(["cytobatch", *(error.command_chain or ())])


def _help_of(error: cyclopts.CycloptsError) -> str:
    return f"`{_command(error)} --help-all` lists what there is"


def _unknown_option(error: Any) -> JobSpecError:
    word = str(error.token.keyword or error.token.value).partition("=")[0]
    if word in _OPTIONS and error.command_chain:
        what = f"`{error.command_chain[0]}` does not take {word}"
        return _error(error, what, "the option changes nothing of what this command does", "leave it out")
    names = [name for argument in error.argument_collection if argument.parse for name in argument.names]
    # Two negations are a positive.
    positive = word.replace("--no-no-", "--", 1)
    remedy = f"write {positive}" if positive in names else nearest(_dashed(word), [*names, *HELP_FLAGS, HELP_ALL])
    return _error(error, f"unknown option {word}", "no option has that name", remedy or _help_of(error))


def _dashed(word: str) -> str:
    """Return the form that an option would have: `--max-failed-exports` for `-max_failed_exports`."""
    return f"--{word.lstrip('-').replace('_', '-')}"


def _unknown_command(error: Any) -> JobSpecError:
    word = str(error.unused_tokens[0])
    known = [command.name for command in COMMANDS]
    remedy = nearest(word, known) or f"commands are {', '.join(known)}"
    if word == "help":
        remedy = "write cytobatch --help, or cytobatch run --help"
    if word.startswith("-") or is_remote(word) or "/" in word or Path(word).exists():
        remedy = "name the command first: cytobatch run SOURCE DESTINATION"
    return _error(error, f"unknown command {word!r}", "the first word is the command", remedy)


def _too_many(error: Any) -> JobSpecError:
    words = error.unused_tokens
    why, remedy = "all positions are taken, and they are values of no option", _QUOTES
    if words[0].lower() in _BOOLEANS:
        why, remedy = "a flag without a value was given before", "write --no-join for `--join false`, or --join=false"
    elif words[0].startswith(_LONG_DASHES):
        why = "an option begins with two hyphens, and a program has put a long dash in their place"
        remedy = f"write --{words[0].lstrip(''.join(_LONG_DASHES))}"
    remedy = f"{remedy}; {_usage(error)}"
    return _error(error, f"too many words: {' '.join(map(repr, words))}", why, remedy)


def _usage(error: cyclopts.CycloptsError) -> str:
    """Return the line of usage of a command."""
    chain = error.command_chain or ("",)
    usage = next((command.usage for command in COMMANDS if command.name == chain[0]), "--help")
    return f"usage: {_command(error)} {usage}"


def _missing(error: Any) -> JobSpecError:
    name = str(error.keyword or error.argument.name)
    if error.keyword or error.argument.tokens:
        why = "no word follows, or one that begins with a dash"
        return _error(error, f"no value for {name}", why, f"write {name} VALUE, or {name}=VALUE")
    shown = name if name.startswith("-") else name.upper()
    return _error(error, f"no {shown} given", "the command needs it", _usage(error))


def _bad_value(error: Any) -> JobSpecError:
    token = getattr(error, "token", None) or error.argument.tokens[0]
    choices, kinds = list(_choices(error)), _kinds(error.argument.hint)
    forms = [form for kind, form in _FORMS.items() if kind in kinds]
    option = PlateOptions.model_fields.get(error.argument.field_info.name)
    expected = " or ".join([*forms, *([f"one of {', '.join(choices)}"] if choices else [])])
    reason = getattr(error, "exception_message", "") or "it cannot be read as such"
    remedy = f"{nearest(token.value, choices)} give {expected_value(option) if option else expected}".strip()
    return _error(error, f"bad value for {token.keyword or error.argument.name}", f"{token.value!r}: {reason}", remedy)


def _choices(error: Any) -> Iterable[str]:
    """Return the values of an argument that has one of a few, as cyclopts takes them."""
    for kind in _kinds(error.argument.hint):
        if isinstance(kind, type) and issubclass(kind, Enum):
            yield from (name.lower().replace("_", "-") for name in kind.__members__)
        elif get_origin(kind) is Literal:
            yield from map(str, get_args(kind))


def _kinds(hint: Any) -> list[Any]:
    """Return the types in a hint."""
    return [hint, *(each for part in get_args(hint) if get_origin(hint) is not Literal for each in _kinds(part))]


def _repeated(error: Any) -> JobSpecError:
    return _error(error, f"{error.token.keyword} is given twice", "it has one value", "leave one of the two out")


_DESCRIBED: tuple[tuple[type[cyclopts.CycloptsError], Callable[[Any], JobSpecError]], ...] = (
    (exceptions.UnknownOptionError, _unknown_option),
    (exceptions.UnknownCommandError, _unknown_command),
    (exceptions.UnusedCliTokensError, _too_many),
    (exceptions.MissingArgumentError, _missing),
    (exceptions.RepeatArgumentError, _repeated),
    (exceptions.CoercionError, _bad_value),
    (exceptions.ValidationError, _bad_value),
)
