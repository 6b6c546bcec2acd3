"""Text that stands where a number should: what it means, and how often it was met."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.errors import InvalidTableError

YES = ("Yes", "yes", "YES", "true", "True", "TRUE", "1")
NO = ("No", "no", "NO", "false", "False", "FALSE", "0")

_MISSING = frozenset({"", "na", "n/a", "#n/a", "null", "none", "nil"})
_NOT_A_NUMBER = re.compile(r"[+-]?nan(\(.*\))?|-?1\.#(ind|qnan|snan)0*", re.IGNORECASE)
_INFINITY = re.compile(r"([+-]?)(?:inf(?:inity)?|1\.#inf0*)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"([+-]?[0-9]*),([0-9]+(?:[eE][+-]?[0-9]+)?)")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
_WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*")
_BEYOND_INT64 = 2.0**63
_REMEDY = "mend the file, leave the export out, or give the column a type with column_types"


@dataclass(frozen=True, slots=True)
class Repair:
    """Text that was met in a numeric column and what it became: `null` or the float it means."""

    column: str
    text: str
    became: str
    count: int


def parse_number(text: str) -> float | None:
    """The number that text means; NaN and infinities included; None for a missing value. Raises ValueError.

    `0,5` is a half, as some locales write it; `1,234` may be two things and so is no number.
    """
    text = text.strip()
    if text.lower() in _MISSING:
        return None
    if _NOT_A_NUMBER.fullmatch(text):
        return float("nan")
    infinity = _INFINITY.fullmatch(text)
    if infinity:
        return float(f"{infinity[1]}inf")
    comma = _DECIMAL_COMMA.fullmatch(text)
    if comma and not _THOUSANDS.fullmatch(text):
        return float(f"{comma[1]}.{comma[2]}")
    if "_" in text:
        raise ValueError(f"{text!r} is no number")
    return float(text)


def is_number(text: str) -> bool:
    """Whether text can stand in a numeric column."""
    try:
        # Python reads nearly all of it, but takes 1_000 for a number too.
        float(text)
    except ValueError:
        pass
    else:
        return "_" not in text
    try:
        parse_number(text)
    except ValueError:
        return False
    return True


def as_integer(number: float, said: object, column: str, where: str) -> int:
    """A number as the integer it is; `said` is how it was written. Raises InvalidTableError if it is none."""
    if number.is_integer() and abs(number) < _BEYOND_INT64:
        # Beyond 2**53 a float no longer tells neighbours apart, so the digits are read again.
        exact = isinstance(said, int) or (isinstance(said, str) and _WHOLE.fullmatch(said))
        return int(said) if exact and isinstance(said, int | str) else int(number)
    what = "too large a number" if number.is_integer() else "a fraction"
    raise InvalidTableError(
        f"{what} in integer column {column!r}", where=where, why=f"the value is {said!r}", remedy=_REMEDY
    )


def read_numbers(
    column: str, text: pa.ChunkedArray, kind: pa.DataType, where: str, *, otherwise_null: bool = False
) -> tuple[pa.ChunkedArray, list[Repair]]:
    """A text column as numbers of type `kind` (int64 or float64), and the repairs this took.

    Raises InvalidTableError where text is no number, unless that is to become null, or a fraction stands in an integer
    column.
    """
    try:
        return pc.cast(text, kind), []
    except pa.ArrowInvalid:
        pass
    whole = pa.types.is_integer(kind)
    values: list[float | int | None] = []
    met = Counter[tuple[str, str]]()
    for row, item in enumerate(text.to_pylist(), start=1):
        number = None if item is None else _number_at(column, item, row, where, otherwise_null=otherwise_null)
        if number is None or (whole and not math.isfinite(number)):
            value = None
        else:
            value = as_integer(number, item, column, where) if whole else number
        if item and not is_plain(item):
            met[item.strip(), "null" if value is None else str(value)] += 1
        values.append(value)
    repairs = [Repair(column, word, became, count) for (word, became), count in met.items()]
    return pa.chunked_array([pa.array(values, kind)]), repairs


def _number_at(column: str, item: str, row: int, where: str, *, otherwise_null: bool) -> float | None:
    try:
        return parse_number(item)
    except ValueError as error:
        if otherwise_null:
            return None
        raise InvalidTableError(
            f"text in numeric column {column!r}", where=where, why=f"row {row} holds {item!r}", remedy=_REMEDY
        ) from error


def is_plain(text: str) -> bool:
    """Whether text is a number as every program writes it, so that reading it is no repair."""
    try:
        float(text)
    except ValueError:
        return False
    return text.strip()[-1] in "0123456789." and "_" not in text


def flags_from_text(column: str, text: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """A column of Yes and No as booleans; blank is null. Raises InvalidTableError for any other word."""
    coercer: dict[str | None, bool | None] = {None: None} | dict.fromkeys(YES, True) | dict.fromkeys(NO, False)
    words = text.to_pylist()
    odd = next((word for word in words if word not in coercer), None)
    if odd is not None:
        raise InvalidTableError(
            f"neither yes nor no in column {column!r}", where=where, why=f"it holds {odd!r}", remedy=_REMEDY
        )
    return pa.chunked_array([pa.array([coercer[word] for word in words], pa.bool_())])


def inferred(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """A text column as int64 if all of it is integers, else float64 if all is numbers, else as text; blank is null.

    A column without any value is of Arrow's type null.
    """
    blank = pc.equal(pc.utf8_trim_whitespace(text), "")
    filled = pc.if_else(blank, pa.scalar(None, pa.string()), text)
    if filled.null_count == len(filled):
        return pa.chunked_array([pa.nulls(len(filled))])
    for kind in (pa.int64(), pa.float64()):
        try:
            return pc.cast(filled, kind)
        except pa.ArrowInvalid:
            continue
    return filled


def are_numbers(line: str) -> bool:
    """Whether Arrow reads all values of a line as numbers, which is three times as fast as making Python's of them."""
    values = pc.split_pattern(pa.array([line.rstrip("\r\n")], pa.string()), ",").values
    try:
        values.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def text_values(row: Mapping[str, str]) -> dict[str, str]:
    """Those values of a row that are text rather than a number or nothing, by column."""
    return {name: value for name, value in row.items() if not is_number(value)}
