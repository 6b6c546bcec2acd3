"""Types of the columns of a SQLite table: as declared if that is a number, else by name, as files without types have.

Importers of CSV files declare measurements as TEXT, VARCHAR or BLOB, or not at all. SQLite stores any value in any
column, so that the first values decide whether such a column holds numbers.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from cytobatch.planning.columns import TABLE_NUMBER, ColumnKind, is_key, kind_of
from cytobatch.planning.schema import is_number_type, schema_by_declarations, schema_by_names, with_types
from cytobatch.readers.numbers import is_number
from cytobatch.readers.sqlite import read as sqlite
from cytobatch.readers.sqlite.affinity import Value

_SAMPLE_ROWS, _IMAGE_ROWS = 1000, 100_000


@dataclass(frozen=True, slots=True)
class ColumnTypes:
    """The types of a table's columns.

    `numbers_by_name` are the columns that are declared as something else, and hold numbers by their name. `undecided`
    are those of them without a value among the first rows.
    """

    schema: pa.Schema
    numbers_by_name: frozenset[str] = frozenset()
    undecided: frozenset[str] = frozenset()


def column_types(
    path: Path, table: str, declared: pa.Schema, requested: Mapping[str, pa.DataType], *, is_image: bool
) -> ColumnTypes:
    """Return the types of a table's columns. Raises InvalidTableError if the first rows cannot be read.

    `declared` has the types of the declarations. `requested` are the job's own types by column. `is_image` is True for
    image tables, which are small, so that most rows are read.
    """
    schema = schema_by_declarations(declared)
    pairs = zip(declared.names, declared.types, strict=True)
    free = [(name, type_) for name, type_ in pairs if name not in requested and not is_key(name)]
    doubtful = [name for name, type_ in free if _needs_values(name, type_)]
    rows = _IMAGE_ROWS if is_image else _SAMPLE_ROWS
    sample = sqlite.first_values(path, table, doubtful, rows) if doubtful else {}
    types = {name: pa.string() for name, _ in free if kind_of(name) is ColumnKind.TEXT} | dict(requested)
    by_name = schema_by_names(doubtful, {})
    numbers, undecided = set(), set()
    for name in doubtful:
        values = [value for value in sample[name] if value is not None and not _is_missing(value)]
        if _is_number(declared.field(name).type):
            if any(isinstance(value, str) and not is_number(value) for value in values):
                types[name] = pa.string()
        elif _is_named_number(name) and 2 * sum(map(_is_numeric, values)) >= len(values):
            types[name] = by_name.field(name).type
            numbers.add(name)
            undecided |= set() if values else {name}
        elif pa.types.is_binary(declared.field(name).type):
            types[name] = _type_of_values(values)
    return ColumnTypes(with_types(schema, types), frozenset(numbers), frozenset(undecided))


def _is_number(type_: pa.DataType) -> bool:
    return is_number_type(type_) or pa.types.is_decimal(type_)


def _needs_values(column: str, declared: pa.DataType) -> bool:
    """Whether the type of a column follows from its values: named as a number and not declared so, or the reverse.

    A well under a column that is declared as a number would be lost.
    """
    if _is_number(declared):
        return kind_of(column) is ColumnKind.UNKNOWN
    return _is_named_number(column) or (pa.types.is_binary(declared) and kind_of(column) is not ColumnKind.TEXT)


def _is_named_number(column: str) -> bool:
    # A TableNumber may be a checksum in text.
    return kind_of(column) in (ColumnKind.MEASUREMENT, ColumnKind.INTEGER) and not column.endswith(TABLE_NUMBER)


def _is_missing(value: Value) -> bool:
    return isinstance(value, str) and not value.strip()


def _is_numeric(value: Value) -> bool:
    """Whether a value can stand in a column of numbers. Bytes are a number if they are its text."""
    if isinstance(value, bytes):
        with suppress(UnicodeDecodeError):
            return is_number(value.decode("ascii"))
        return False
    return not isinstance(value, str) or is_number(value)


def _type_of_values(values: Sequence[Value]) -> pa.DataType:
    """Return the type for a column under `Metadata_` that has none: what most programs declare for such values."""
    if values and all(isinstance(value, int) for value in values):
        return pa.int64()
    if values and all(isinstance(value, int | float) for value in values):
        return pa.float64()
    return pa.binary() if any(isinstance(value, bytes) for value in values) else pa.string()
