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
from cytobatch.planning.schema import schema_by_declarations, schema_by_names, with_types
from cytobatch.readers.numbers import is_number
from cytobatch.readers.sqlite import read as sqlite
from cytobatch.readers.sqlite.affinity import Value

_SAMPLE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class ColumnTypes:
    """The types of a table's columns.

    `numbers_by_name` are the columns that are declared as something else, and hold numbers by their name. `undecided`
    are those of them without a value among the first rows.
    """

    schema: pa.Schema
    numbers_by_name: frozenset[str] = frozenset()
    undecided: frozenset[str] = frozenset()


def column_types(path: Path, table: str, declared: pa.Schema, requested: Mapping[str, pa.DataType]) -> ColumnTypes:
    """Return the types of a table's columns. Raises InvalidTableError if the first rows cannot be read.

    `declared` has the types of the declarations. `requested` are the job's own types by column.
    """
    schema = schema_by_declarations(declared)
    others = [field.name for field in declared if not _is_number(field.type) and field.name not in requested]
    by_name = schema_by_names(others, {})
    doubtful = [name for name in others if _needs_values(name, schema.field(name).type)]
    sample = sqlite.first_values(path, table, doubtful, _SAMPLE_ROWS) if doubtful else {}
    types = dict(requested)
    numbers, undecided = set(), set()
    for name in others:
        if kind_of(name) is ColumnKind.TEXT:
            types[name] = pa.string()
        elif name in sample and _is_named_number(name):
            values = [value for value in sample[name] if not _is_missing(value)]
            if 2 * sum(map(_is_numeric, values)) >= len(values):
                types[name] = by_name.field(name).type
                numbers.add(name)
            if not values:
                undecided.add(name)
        if name in sample and name not in types and pa.types.is_binary(schema.field(name).type):
            types[name] = _type_of_values(sample[name])
    return ColumnTypes(with_types(schema, types), frozenset(numbers), frozenset(undecided))


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def _needs_values(column: str, type_: pa.DataType) -> bool:
    """Whether the type of a column follows from its values, because it is not declared as a number."""
    return not is_key(column) and (_is_named_number(column) or pa.types.is_binary(type_))


def _is_named_number(column: str) -> bool:
    # A TableNumber may be a checksum in text.
    return kind_of(column) in (ColumnKind.MEASUREMENT, ColumnKind.INTEGER) and not column.endswith(TABLE_NUMBER)


def _is_missing(value: Value | None) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _is_numeric(value: Value | None) -> bool:
    """Whether a value can stand in a column of numbers. Bytes are a number if they are its text."""
    if isinstance(value, bytes):
        with suppress(UnicodeDecodeError):
            return is_number(value.decode("ascii"))
        return False
    return not isinstance(value, str) or is_number(value)


def _type_of_values(values: Sequence[Value | None]) -> pa.DataType:
    """Return the type for a column under `Metadata_` that has none: what most programs declare for such values."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int) for value in known):
        return pa.int64()
    if known and all(isinstance(value, int | float) for value in known):
        return pa.float64()
    return pa.binary() if any(isinstance(value, bytes) for value in known) else pa.string()
