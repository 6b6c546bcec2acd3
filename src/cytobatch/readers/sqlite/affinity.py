"""What values of SQLite mean in columns of another type: SQLite stores any value in any column.

cytominer-database, for one, wrote missing measurements as the text `nan` into columns declared as FLOAT.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress

import pyarrow as pa

from cytobatch.readers.numbers import Repair, as_integer, is_plain, parse_number

Value = int | float | str | bytes


class ValueCoercer:
    """Finds the meaning of values of one file, and keeps count of what was no plain value of its column."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._met = Counter[tuple[str, str, str]]()

    @property
    def repairs(self) -> list[Repair]:
        """What was met so far."""
        return [Repair(column, text, became, count) for (column, text, became), count in self._met.items()]

    def add(self, others: Iterable[Repair]) -> None:
        """Counts what was met elsewhere, too."""
        for other in others:
            self._met[other.column, other.text, other.became] += other.count

    def array(self, values: Sequence[Value | None], field: pa.Field) -> pa.Array:
        """A column of Python's values. Raises InvalidTableError as `number` does."""
        if pa.types.is_string(field.type):
            return pa.array([None if value is None else self.text(value, field.name) for value in values], pa.string())
        whole = pa.types.is_integer(field.type)
        if not (whole or pa.types.is_floating(field.type)):
            return self._other(values, field)
        # Arrow makes integers of floats without a word, so those are looked at one by one.
        if not (whole and any(isinstance(value, float) for value in values)):
            with suppress(pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
                return pa.array(values, field.type)
        numbers = [None if value is None else self.number(value, field.name, whole=whole) for value in values]
        return pa.array(numbers, field.type)

    def _other(self, values: Sequence[Value | None], field: pa.Field) -> pa.Array:
        """Dates and the like, which SQLite has as text; what cannot be read as such becomes null."""
        try:
            return pa.array(values, pa.string()).cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            self._met[field.name, "text that is no " + str(field.type), "null"] += len(values)
            return pa.nulls(len(values), field.type)

    def text(self, value: Value, column: str, count: int = 1) -> str:
        """A value as text; bytes that are not UTF-8 are kept as far as they can be, and counted."""
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if "\ufffd" in text:
            self._met[column, "bytes that are not UTF-8", text] += count
        return text

    def number(self, value: Value, column: str, *, whole: bool, count: int = 1) -> float | int | None:
        """A value as a number, which `count` rows hold; text that is none, NaN and blobs become null, and are counted.

        SQLite has null for what is missing, so NaN is text that some writer put in its place. Raises InvalidTableError
        for a fraction or too large a number in an integer column.
        """
        if isinstance(value, int):
            return value
        number = value if isinstance(value, float) else _meaning(str(value))
        if number is None or math.isnan(number):
            self._met[column, str(value), "null"] += count
            return None
        if isinstance(value, str) and not is_plain(value):
            self._met[column, value, str(number)] += count
        return as_integer(number, value, column, self._where) if whole else number


def _meaning(text: str) -> float | None:
    try:
        return parse_number(text)
    except ValueError:
        return None
