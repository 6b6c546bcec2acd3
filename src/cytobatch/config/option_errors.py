"""The messages for bad values of options: the option as it was given, its value, and what it takes."""

import difflib
from collections.abc import Callable, Iterable, Mapping

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from cytobatch.config.bad_values import BadValueError, OptionConflictError
from cytobatch.config.expected_values import choices_of, expected_value, is_size
from cytobatch.config.options import PlateOptions
from cytobatch.errors import JobSpecError

NameOf = Callable[[str], str]
"""Returns how an option is written where it was given: `--memory`, `CYTOBATCH_MEMORY`, `'plates.0.memory'`."""

_PLATES = 'write {"plates": [{"source": …, "destination": …}]}'
_LONGEST_NAME = 100
_LONGEST_VALUE = 200
_SECRET = frozenset({"extra_args"})
"""The options whose values are not shown, because they may hold a key."""
_REASONS = {
    "enum": "is none of its values",
    "literal_error": "is none of its values",
    "too_short": "is empty",
    "too_long": "has too many entries",
    "int_parsing": "is no whole number",
    "int_from_float": "is no whole number",
    "float_parsing": "is no number",
    "bool_parsing": "is neither true nor false",
    "byte_size": "is no size",
    "byte_size_unit": "has a unit that does not exist",
    "greater_than_equal": "is too small",
    "greater_than": "is too small",
    "less_than_equal": "is too large",
    "string_type": "is no text",
    "tuple_type": "is no list",
    "dict_type": "is no mapping",
    "model_type": "is no mapping",
}
"""What is wrong with a value, by pydantic's type of error."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` with the known name nearest to a wrong one, or an empty text."""
    close = difflib.get_close_matches(name[:_LONGEST_NAME], list(known), n=1, cutoff=0.6)
    return f"did you mean {str(close[0])!r}?" if close else ""


def flag_of(option: str) -> str:
    """Return the flag of an option: `--max-failed-exports`."""
    return f"--{option.replace('_', '-')}"


def option_error(
    error: ValidationError, where: str, *, name_of: NameOf = repr, fields: Mapping[str, FieldInfo] | None = None
) -> JobSpecError:
    """Return the first error of a spec, an environment or a set of flags as one message.

    Parameters
    ----------
    error : ValidationError
        The error of a model of options, or of a job spec.
    where : str
        Where the options were given.
    name_of : NameOf
        How an option is written there.
    fields : mapping of str to FieldInfo, optional
        The fields of the model, by default those of `PlateOptions`.
    """
    # A misspelt key is the reason why the right one is missing.
    first = min(error.errors(), key=lambda each: each["type"] == "missing")
    fields = fields or PlateOptions.model_fields
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, OptionConflictError):
        return JobSpecError(f"bad value for {name_of(cause.option)}", where=where, why=cause.why, remedy=cause.remedy)
    path = [str(part) for part in first["loc"]]
    if not path:
        return JobSpecError("bad options", where=where, why=_reason(first), remedy="give a mapping of options")
    # Below plates and defaults an option is the first name that is one; what follows are parts of its value.
    depth = next((number for number, part in enumerate(path) if part in PlateOptions.model_fields), 0)
    if first["type"] == "extra_forbidden":
        return _unknown_key(path, fields, where)
    option = path[depth]
    shown, field = name_of(".".join(path[: depth + 1])), {**PlateOptions.model_fields, **fields}[option]
    if first["type"] == "missing":
        return JobSpecError(
            f"no {shown} given",
            where=where,
            why="it is needed",
            remedy=_PLATES,
        )
    why, remedy = _why(first, option, field), _remedy(first, field)
    return JobSpecError(f"bad value for {shown}", where=where, why=why, remedy=remedy)


def _unknown_key(path: list[str], fields: Mapping[str, FieldInfo], where: str) -> JobSpecError:
    known = fields if len(path) == 1 else PlateOptions.model_fields
    name = path[-1]
    others = f"known keys: {', '.join(known)}"
    if name in PlateOptions.model_fields:
        others = f"write it below 'defaults' or 'plates', as {{plates: [{{{name}: …}}]}}"
    remedy = nearest(name, known) or others
    return JobSpecError(f"unknown key {'.'.join(path)!r}", where=where, why="no such option", remedy=remedy)


def _why(first: ErrorDetails, option: str, field: FieldInfo) -> str:
    """Return what is wrong with a value, with the value, unless it may be a secret."""
    value, reason = first["input"], _reason(first)
    shown = repr(value[:_LONGEST_VALUE]) if isinstance(value, str) else str(value)
    if option in _SECRET or not isinstance(value, str | int | float):
        return f"it {reason}" if first["type"] in _REASONS else reason
    if first["type"] not in _REASONS:
        return reason if shown in reason else f"{shown}: {reason}"
    without_unit = is_size(field) and str(value).strip().isdecimal()
    return f"{shown} {reason}{', and has no unit' if without_unit else ''}"


def _reason(first: ErrorDetails) -> str:
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, BadValueError):
        return cause.why
    return _REASONS.get(first["type"]) or str(cause or first["msg"])


def _remedy(first: ErrorDetails, field: FieldInfo) -> str:
    """Return what the option takes, after the nearest of its values."""
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, BadValueError):
        return cause.remedy
    expected = _PLATES if first["loc"][-1] == "plates" else f"give {expected_value(field)}"
    close = nearest(str(first["input"]), choices_of(field))
    return f"{close} {expected}" if close else expected
