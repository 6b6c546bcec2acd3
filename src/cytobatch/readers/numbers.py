"""Text in numeric columns: the number or the missing value that it stands for, and how often each text occurs."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.errors import FractionError, InvalidTableError

YES = ("Yes", "yes", "YES", "true", "True", "TRUE", "1")
NO = ("No", "no", "NO", "false", "False", "FALSE", "0")

_MISSING = frozenset({"", "na", "n/a", "#n/a", "null", "none", "nil"})
_NOT_A_NUMBER = re.compile(r"[+-]?nan(\(.*\))?|-?1\.#(ind|qnan|snan)0*", re.IGNORECASE)
_INFINITY = re.compile(r"([+-]?)(?:inf(?:inity)?|1\.#inf0*)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"([+-]?[0-9]*),([0-9]+(?:[eE][+-]?[0-9]+)?)")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
_DIGITS = re.compile(r"\s*[+-]?[0-9]+\s*")
_BEYOND_INT64 = 2.0**63
_REMEDY = "correct the file, leave the export out, or give the column a type with column_types"


@dataclass(frozen=True, slots=True)
class Repair:
    """Text in a numeric column and the value that replaces it: `null`, or a number. `count` values are alike."""

    column: str
    text: str
    became: str
    count: int


def parse_number(text: str) -> float | None:
    """Parse a number, NaN and infinities included; None for a missing value. Raises ValueError for other text.

    `0,5` is a half, as some locales write it. `1,234` is ambiguous, and therefore not a number.
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
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def is_number(text: str) -> bool:
    """Return True if text can stand in a numeric column, as a number or as a missing value."""
    try:
        # Python parses nearly all of it, but also accepts 1_000.
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


def as_integer(number: float, raw: object, column: str, where: str) -> int:
    """Convert a number to the integer that it is. `raw` is the value in the file.

    Raises FractionError if the number has a fraction, InvalidTableError if it is too large for int64.
    """
    if number.is_integer() and abs(number) < _BEYOND_INT64:
        # Beyond 2**53 neighbouring integers are the same float, so the digits are read again.
        is_exact = isinstance(raw, int) or (isinstance(raw, str) and _DIGITS.fullmatch(raw))
        return int(raw) if is_exact and isinstance(raw, int | str) else int(number)
    why = f"the value is {raw!r}"
    if number.is_integer() or not math.isfinite(number):
        raise InvalidTableError(
            f"too large a number in integer column {column!r}", where=where, why=why, remedy=_REMEDY
        )
    error = FractionError(f"a fraction in integer column {column!r}", where=where, why=why, remedy=_REMEDY)
    error.column = column
    raise error


def read_numbers(
    column: str, texts: pa.ChunkedArray, type_: pa.DataType, where: str, *, otherwise_null: bool = False
) -> tuple[pa.ChunkedArray, list[Repair]]:
    """Convert a column of text to numbers.

    Parameters
    ----------
    column
        Name of the column.
    texts
        string, (rows,). Null stays null.
    type_
        int64 or float64.
    where
        Name of the file, for errors.
    otherwise_null
        Whether text that is not a number becomes null.

    Returns
    -------
    The numbers, of the given type, (rows,); and the texts that Arrow does not parse, with what they became. NaN and
    infinities are null in an integer column.

    Raises
    ------
    InvalidTableError
        If text is not a number, unless it becomes null, or if an integer column holds a fraction or too large a number.
    """
    try:
        return pc.cast(texts, type_), []
    except pa.ArrowInvalid:
        pass
    to_integers = pa.types.is_integer(type_)
    values: list[float | int | None] = []
    counts = Counter[tuple[str, str]]()
    for row, text in enumerate(texts.to_pylist(), start=1):
        number = None if text is None else _number_at(column, text, row, where, otherwise_null=otherwise_null)
        # A number that is plain and infinite as a double, such as 1e400, is too large for an integer.
        if number is None or (to_integers and not math.isfinite(number) and not is_plain(text)):
            value = None
        else:
            value = as_integer(number, text, column, where) if to_integers else number
        if text and not is_plain(text):
            counts[text.strip(), "null" if value is None else str(value)] += 1
        values.append(value)
    repairs = [Repair(column, text, became, count) for (text, became), count in counts.items()]
    return pa.chunked_array([pa.array(values, type_)]), repairs


def _number_at(column: str, text: str, row: int, where: str, *, otherwise_null: bool) -> float | None:
    try:
        return parse_number(text)
    except ValueError as error:
        if otherwise_null:
            return None
        raise InvalidTableError(
            f"text in numeric column {column!r}", where=where, why=f"row {row} holds {text!r}", remedy=_REMEDY
        ) from error


def is_plain(text: str) -> bool:
    """Return True if text is a number as every program writes it, so that parsing it is not a repair."""
    try:
        float(text)
    except ValueError:
        return False
    return text.strip()[-1] in "0123456789." and "_" not in text


def flags_from_text(column: str, texts: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Convert a column of Yes and No to booleans.

    Parameters
    ----------
    column
        Name of the column.
    texts
        string, (rows,). Null stays null.
    where
        Name of the file, for errors.

    Returns
    -------
    bool, (rows,).

    Raises
    ------
    InvalidTableError
        If a text is in neither YES nor NO.
    """
    flags: dict[str | None, bool | None] = {None: None} | dict.fromkeys(YES, True) | dict.fromkeys(NO, False)
    words = texts.to_pylist()
    unknown = next((word for word in words if word not in flags), None)
    if unknown is not None:
        raise InvalidTableError(
            f"neither yes nor no in column {column!r}", where=where, why=f"it holds {unknown!r}", remedy=_REMEDY
        )
    return pa.chunked_array([pa.array([flags[word] for word in words], pa.bool_())])


def convert_to_inferred_type(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert a column of text to the narrowest type that all its values have.

    Parameters
    ----------
    texts
        string, (rows,). Blank text becomes null.

    Returns
    -------
    int64, float64 or string, (rows,); Arrow's null type where all values are blank.
    """
    is_blank = pc.equal(pc.utf8_trim_whitespace(texts), "")
    filled = pc.if_else(is_blank, pa.scalar(None, pa.string()), texts)
    if filled.null_count == len(filled):
        return pa.chunked_array([pa.nulls(len(filled))])
    for type_ in (pa.int64(), pa.float64()):
        try:
            return pc.cast(filled, type_)
        except pa.ArrowInvalid:
            continue
    return filled


def are_numbers(line: str) -> bool:
    """Return True if Arrow parses all values of a line as numbers: three times as fast as Python's float for each."""
    values = pc.split_pattern(pa.array([line.rstrip("\r\n")], pa.string()), ",").values
    try:
        values.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def text_values(row: Mapping[str, str]) -> dict[str, str]:
    """Return those values of a row, by column, that are neither numbers nor missing values."""
    return {name: value for name, value in row.items() if not is_number(value)}
