"""Compare a published value with the text or number that the source has for it."""

import math
import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time

Raw = str | int | float | bytes | None
"""A value of a source: text of a CSV file, or a value of SQLite."""
Published = str | int | float | bool | bytes | date | time | None

_NAN = re.compile(r"[+-]?(?:nan(?:\(.*\))?|1\.#(?:QNAN|IND|SNAN)0*)", re.IGNORECASE)
_INFINITY = re.compile(r"(?P<sign>[+-]?)(?:inf(?:inity)?|1\.#INF0*)", re.IGNORECASE)
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]{1,15}")
_MISSING = frozenset({"", "nan", "na", "n/a", "none", "null"})


@dataclass(frozen=True, slots=True)
class Notation:
    """How a table writes values: the decimal mark of numbers in texts, and what becomes null.

    A NaN of SQLite becomes null. In CSV a text without characters is a missing value, in arrays it is a text.
    """

    decimal: str = "."
    keeps_nan: bool = True
    keeps_empty: bool = False


PLAIN = Notation()


@dataclass(frozen=True, slots=True)
class Repairs:
    """The texts that a run replaced by numbers, as its report has them: by table, column and text."""

    became: Mapping[tuple[str, str, str], str] = field(default_factory=dict)

    def repaired(self, table: str, column: str, raw: Raw) -> Raw:
        """Return the replacement of a text, or the value itself. A report has bytes as text, or as Python shows."""
        if not self.became:
            return raw
        if isinstance(raw, bytes):
            texts = [raw.decode("utf-8", "replace"), str(raw)]
        else:
            texts = [raw, raw.strip()] if isinstance(raw, str) else []
        found = (self.became.get((table, column, text)) for text in texts)
        return next((became for became in found if became is not None), raw)


def is_same(published: Published, raw: Raw, type_: str, notation: Notation = PLAIN) -> bool:
    """Return whether a published value is what a source's value becomes in a column of an Arrow type.

    Parameters
    ----------
    published
        The value of the profile.
    raw
        The value of the source.
    type_
        Arrow's name of the type of the profile's column.
    notation
        How the table writes values.
    """
    if isinstance(published, float) and isinstance(raw, str) and notation.decimal == "." and raw == repr(published):
        return True  # as most of millions of values are
    if isinstance(raw, float) and raw == published and raw:
        return True
    if isinstance(published, bytes):
        return published == (raw.encode() if isinstance(raw, str) else raw)
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    if type_ in ("string", "large_string"):
        return _is_same_text(published, text, notation)
    return _is_same_number(published, text, type_, notation)


def _is_same_text(published: Published, raw: str | float | None, notation: Notation) -> bool:
    """Whether a text is that of the source; a number of SQLite may be a text, such as a TableNumber."""
    if isinstance(raw, int | float) and published == str(raw):
        return True
    if notation.keeps_empty and (published == "" or raw == ""):
        return published == raw
    return published == raw or (published in (None, "") and is_missing(raw))


def _is_same_number(published: Published, raw: str | float | None, type_: str, notation: Notation) -> bool:
    if is_missing(raw) or _is_missing_number(published):
        both = is_missing(raw) and _is_missing_number(published)
        return both and (published is not None) == _becomes_nan(raw, type_, notation)
    if type_ == "bool":
        return isinstance(published, bool) and published is _truth(raw)
    if isinstance(published, date | time):
        return isinstance(raw, str) and published == _moment(raw, type(published))
    expected = _number(raw, notation.decimal)
    if expected is None or not isinstance(published, int | float):
        return False
    if isinstance(published, float):
        return _bits(_single(expected) if type_ == "float" else _double(expected)) == _bits(published)
    return expected == published


def _truth(raw: str | float | None) -> bool | None:
    if isinstance(raw, str):
        return {"yes": True, "true": True, "no": False, "false": False}.get(raw.strip().lower())
    return bool(raw) if raw in (0, 1) else None


def _double(value: float) -> float:
    """Return the nearest double of an integer, however large."""
    with suppress(OverflowError):
        return float(value)
    return math.copysign(math.inf, value)


def _bits(value: float) -> bytes:
    """Return the bits of a double, by which the two zeros differ."""
    return struct.pack("<d", value)


def _becomes_nan(raw: str | float | None, type_: str, notation: Notation) -> bool:
    """Whether a missing value is a NaN in the profile, not null: only columns of floats have NaN."""
    is_nan = _NAN.fullmatch(raw.strip()) is not None if isinstance(raw, str) else raw is not None
    return is_nan and notation.keeps_nan and type_ in ("float", "double")


def is_missing(raw: Raw) -> bool:
    """Return whether a source's value stands for none."""
    if isinstance(raw, str):
        return raw.strip().lower() in _MISSING or _NAN.fullmatch(raw.strip()) is not None
    return raw is None or _is_missing_number(raw)


def _is_missing_number(value: Published) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _moment(text: str, kind: type[date | time]) -> date | time | None:
    """Return a text of ISO 8601 as a date or time of day, without the offset from UTC."""
    with suppress(ValueError):
        moment = kind.fromisoformat(text.strip())
        return moment.replace(tzinfo=None) if isinstance(moment, datetime | time) else moment
    return None


def _number(raw: Raw, decimal: str) -> float | int | None:
    if not isinstance(raw, str):
        return raw if isinstance(raw, int | float) else None
    text = raw.strip().replace(decimal, ".")
    infinity = _INFINITY.fullmatch(text)
    if infinity:
        return float(f"{infinity['sign']}inf")
    with suppress(ValueError):
        # Arrow takes hexadecimal whole numbers of a CSV file for numbers.
        number = int(text, 16 if _HEXADECIMAL.fullmatch(text) else 10)
        return number if number or not text.startswith("-") else -0.0
    with suppress(ValueError):
        return float(text)
    return None


def _single(value: float) -> float:
    """Return the nearest float32."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)
