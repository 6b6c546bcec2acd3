"""Values of SQLite coerced to the types of their columns: SQLite stores any value in any column.

cytominer-database, for one, wrote missing measurements as the text `nan` into columns declared as FLOAT.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

import pyarrow as pa

from cytobatch.errors import InvalidTableError
from cytobatch.readers.numbers import Repair, as_integer, is_plain, parse_number

Value = int | float | str | bytes
NUMBERS_IN_TEXT = "numbers in text"
"""The text of the repair that counts all plain numbers that a column holds as text."""
_SHOWN = 40


class ValueCoercer:
    """Converts the values of one file to the types of their columns, and counts those that were of another type.

    Text that is no number is an error in the columns `numbers_only`, and null in the others.
    """

    def __init__(self, where: str, numbers_only: Collection[str] = ()) -> None:
        self._where = where
        self._numbers_only = numbers_only
        self._counts = Counter[tuple[str, str, str]]()

    @property
    def repairs(self) -> list[Repair]:
        """Return the repairs so far."""
        return [Repair(column, text, became, count) for (column, text, became), count in self._counts.items()]

    def add(self, others: Iterable[Repair]) -> None:
        """Add repairs that another coercer counted."""
        for other in others:
            self._counts[other.column, other.text, other.became] += other.count

    def array(self, values: Sequence[Value | None], field: pa.Field) -> pa.Array:
        """Convert a column.

        Parameters
        ----------
        values
            Python objects as sqlite3 returns them, a value for each row; None is null.
        field
            Name and type of the column.

        Returns
        -------
        An array of the field's type, (rows,).

        Raises
        ------
        InvalidTableError
            If an integer column holds a fraction or too large a number, or a column of `numbers_only` text.
        """
        if pa.types.is_string(field.type):
            return pa.array([None if value is None else self.text(value, field.name) for value in values], pa.string())
        integer = pa.types.is_integer(field.type)
        if not (integer or pa.types.is_floating(field.type)):
            return self._cast_from_text(values, field)
        # Arrow converts floats to integers silently, so a column with floats is checked value by value.
        if not (integer and any(isinstance(value, float) for value in values)):
            with suppress(pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
                return pa.array(values, field.type)
        numbers = [None if value is None else self.number(value, field.name, integer=integer) for value in values]
        return pa.array(numbers, field.type)

    def _cast_from_text(self, values: Sequence[Value | None], field: pa.Field) -> pa.Array:
        """Convert a column of another type, as dates, which SQLite stores as text; all null if one value fails."""
        try:
            return pa.array(values, pa.string()).cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            self._counts[field.name, "text that is no " + str(field.type), "null"] += len(values)
            return pa.nulls(len(values), field.type)

    def text(self, value: Value, column: str, count: int = 1) -> str:
        """Return a value as text. Bytes that are not UTF-8 become U+FFFD, and the text counts as repaired."""
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if "\ufffd" in text:
            self._counts[column, "bytes that are not UTF-8", text] += count
        return text

    def number(self, value: Value, column: str, *, integer: bool, count: int = 1) -> float | int | None:
        """Return a value that `count` rows hold as a number; None for NaN, blobs and text that is not a number.

        Whatever was not a number is counted as a repair. SQLite has null for a missing value, so NaN is text that some
        program wrote in its place. Raises InvalidTableError if it shall be an `integer`
        and has a fraction or is too large, or if it is text in a column of `numbers_only`.
        """
        if isinstance(value, int):
            return value
        raw = _text_of(value)
        number = raw if isinstance(raw, float) else self._parsed(raw, column)
        if number is None or math.isnan(number):
            self._counts[column, str(raw), "null"] += count
            return None
        if isinstance(raw, str):
            plain = is_plain(raw)
            self._counts[column, *((NUMBERS_IN_TEXT, "numbers") if plain else (raw, str(number)))] += count
        return as_integer(number, raw, column, self._where) if integer else number

    def _parsed(self, text: str, column: str) -> float | None:
        """Return text as a number; None if it is none. Raises InvalidTableError in a column of `numbers_only`."""
        try:
            return parse_number(text)
        except ValueError as error:
            if column in self._numbers_only:
                raise InvalidTableError(
                    f"text in numeric column {column!r}",
                    where=self._where,
                    why=f"the value is {text[:_SHOWN]!r}, where the first rows have numbers",
                    remedy=f"correct the file, or declare a type: column_types {column}=number or {column}=text",
                ) from error
            return None


def _text_of(value: float | str | bytes) -> float | str:
    """Return bytes as the text that they are, or as Python shows them."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        return str(value)
