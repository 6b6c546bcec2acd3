"""Text that stands where a number should: what it means, and how often it was met."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.errors import UnsoundTableError

_MISSING = frozenset({"", "na", "n/a", "#n/a", "null", "none", "nil"})
_NOT_A_NUMBER = re.compile(r"[+-]?nan(\(.*\))?|-?1\.#(ind|qnan|snan)0*", re.IGNORECASE)
_INFINITY = re.compile(r"([+-]?)(?:inf(?:inity)?|1\.#inf0*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Repair:
    """Text that was met in a numeric column and what it became: `null` or the float it means."""

    column: str
    text: str
    became: str
    count: int


def parse_number(text: str) -> float | None:
    """The number that text means; NaN and infinities included; None for a missing value. Raises ValueError."""
    text = text.strip()
    if text.lower() in _MISSING:
        return None
    if _NOT_A_NUMBER.fullmatch(text):
        return float("nan")
    infinity = _INFINITY.fullmatch(text)
    if infinity:
        return float(f"{infinity[1]}inf")
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


def numbers_from_text(
    column: str, text: pa.ChunkedArray, kind: pa.DataType, where: str
) -> tuple[pa.Array, list[Repair]]:
    """A text column as numbers of type `kind` (int64 or float64), and the repairs this took.

    Raises UnsoundTableError where text is no number, or a fraction stands in an integer column.
    """
    values, met = [], Counter[tuple[str, str]]()
    for row, item in enumerate(text.to_pylist(), start=1):
        try:
            number = None if item is None else parse_number(item)
        except ValueError as error:
            raise UnsoundTableError(
                f"text in numeric column {column!r}", where=where, why=f"row {row} holds {item!r}",
                remedy="mend the file, or leave the export out",
            ) from error  # fmt: skip
        value = _as_kind(number, kind, item, column, where)
        if item and not _plain(item):
            met[item.strip(), "null" if value is None else str(value)] += 1
        values.append(value)
    return pa.array(values, kind), [Repair(column, word, became, count) for (word, became), count in met.items()]


def _as_kind(number: float | None, kind: pa.DataType, item: str | None, column: str, where: str) -> float | int | None:
    if number is None or not pa.types.is_integer(kind):
        return number
    if not math.isfinite(number):
        return None
    if number != int(number):
        raise UnsoundTableError(
            f"a fraction in integer column {column!r}", where=where, why=f"the value is {item!r}",
            remedy="mend the file, or leave the export out",
        )  # fmt: skip
    if abs(number) >= 2.0**63:
        raise UnsoundTableError(
            f"too large a number in integer column {column!r}", where=where, why=f"the value is {item!r}",
            remedy="mend the file, or leave the export out",
        )  # fmt: skip
    return int(item) if item is not None and re.fullmatch(r"\s*[+-]?[0-9]+\s*", item) else int(number)


def _plain(text: str) -> bool:
    return text.strip().lower() not in _MISSING and text.strip()[-1] in "0123456789."


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


def text_values(columns: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    """Those values of a row that are text rather than a number or nothing, by column."""
    return {column: value for column, value in zip(columns, row, strict=False) if not is_number(value)}
