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
class Repairs:
    """The texts that a run replaced by numbers, as its report has them: by table, column and text."""

    became: Mapping[tuple[str, str, str], str] = field(default_factory=dict)

    def repaired(self, table: str, column: str, raw: Raw) -> Raw:
        """Return the replacement of a text, or the value itself. A report has bytes as text, or as Python shows."""
        if isinstance(raw, bytes):
            texts = [raw.decode("utf-8", "replace"), str(raw)]
        else:
            texts = [raw, raw.strip()] if isinstance(raw, str) else []
        found = (self.became.get((table, column, text)) for text in texts)
        return next((became for became in found if became is not None), raw)


def is_same(published: Published, raw: Raw, type_: str, decimal: str = ".") -> bool:
    """Return whether a published value is what a source's value becomes in a column of an Arrow type.

    Parameters
    ----------
    published
        The value of the profile.
    raw
        The value of the source.
    type_
        Arrow's name of the type of the profile's column.
    decimal
        The decimal mark of texts.
    """
    if isinstance(published, float) and isinstance(raw, str) and decimal == "." and raw == repr(published):
        return True  # as most of millions of values are
    if isinstance(published, bytes):
        return published == (raw.encode() if isinstance(raw, str) else raw)
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    if type_ in ("string", "large_string"):
        return _is_same_text(published, text)
    return _is_same_number(published, text, type_, decimal)


def _is_same_text(published: Published, raw: str | float | None) -> bool:
    """Whether a text is that of the source; a number of SQLite may be a text, such as a TableNumber."""
    if isinstance(raw, int | float) and published == str(raw):
        return True
    return published == raw or (published in (None, "") and is_missing(raw))


def _is_same_number(published: Published, raw: str | float | None, type_: str, decimal: str) -> bool:
    if is_missing(raw) or _is_missing_number(published):
        return is_missing(raw) and _is_missing_number(published)
    if isinstance(published, date | time):
        return isinstance(raw, str) and published == _moment(raw, type(published))
    expected = _number(raw, decimal)
    if expected is None or not isinstance(published, int | float):
        return False
    return (_single(expected) if type_ == "float" else expected) == published


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
        return int(text, 16 if _HEXADECIMAL.fullmatch(text) else 10)
    with suppress(ValueError):
        return float(text)
    return None


def _single(value: float) -> float:
    """Return the nearest float32."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)
