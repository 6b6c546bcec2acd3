"""Unifying what exports say of the same table: every column that any of them has, null where one lacks it."""

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.option_types import CastGroup, ColumnType
from cytobatch.errors import ConfigurationError, LayoutError
from cytobatch.planning.columns import HEADERS, TABLE_NUMBER, ColumnKind, is_key, kind_of

_KINDS = {ColumnKind.INTEGER: pa.int64(), ColumnKind.TEXT: pa.string()}


@dataclass(frozen=True, slots=True)
class ExportColumns:
    """The columns of one table in one export, with their types, and what the export is called."""

    export: str
    schema: pa.Schema


@dataclass(frozen=True, slots=True)
class MissingColumn:
    """A column that other exports have and this one lacks; it is null there."""

    export: str
    table: str
    column: str


_TYPES = {ColumnType.NUMBER: pa.float64(), ColumnType.INTEGER: pa.int64(), ColumnType.TEXT: pa.string()}


def requested_types(table: str, columns: Iterable[str], types: Mapping[str, ColumnType]) -> dict[str, pa.DataType]:
    """The types that the job gives to columns of a table, by `column` or `table.column`.

    Raises ConfigurationError where a key, by which objects are joined, is to be anything but an integer.
    """
    asked = {column: types.get(f"{table}.{column}", types.get(column)) for column in columns} if types else {}
    for column, kind in asked.items():
        if kind not in (None, ColumnType.INTEGER) and is_key(column):
            raise ConfigurationError(
                f"column {column!r} of table {table!r} cannot be {kind}",
                where="column_types",
                why="it numbers images or objects, by which tables are joined",
                remedy="leave it out",
            )
    return {column: _TYPES[kind] for column, kind in asked.items() if kind is not None}


def with_types(schema: pa.Schema, types: Mapping[str, pa.DataType]) -> pa.Schema:
    """The schema with other types for some columns."""
    return pa.schema([field.with_type(types.get(field.name, field.type)) for field in schema]) if types else schema


def schema_by_names(columns: Sequence[str], seen: Mapping[str, pa.DataType]) -> pa.Schema:
    """Types for a CSV table's columns by the meaning of their names; `seen` are types learnt from values."""
    return with_types(_by_names(tuple(columns)), seen)


@functools.lru_cache(maxsize=HEADERS)
def _by_names(columns: tuple[str, ...]) -> pa.Schema:
    return pa.schema([(column, _KINDS.get(kind_of(column), pa.float64())) for column in columns])


def schema_by_declarations(declared: pa.Schema) -> pa.Schema:
    """A SQLite table's types: keys as int64 whatever is declared, measurements as float64, the rest as declared.

    A measurement may be declared as an integer because the rows that its writer saw happened to be whole.
    """
    return pa.schema([(field.name, _sqlite_type(field.name, field.type)) for field in declared])


def _sqlite_type(column: str, kind: pa.DataType) -> pa.DataType:
    if is_key(column):
        return pa.int64()
    if pa.types.is_integer(kind):
        return pa.float64() if kind_of(column) is ColumnKind.MEASUREMENT else pa.int64()
    return pa.float64() if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else kind


def unify_schemas(table: str, parts: Iterable[ExportColumns]) -> pa.Schema:
    """One schema for a table of several exports, whatever their order: all columns, those of the widest export first.

    An integer and a float make a float, a column without values takes the others' type, and a TableNumber, or one under
    Metadata_, that is text anywhere is text. Raises LayoutError where another column is text in one export and a number
    in another, naming both.
    """
    # Thousands of exports have few schemas between them.
    distinct: list[ExportColumns] = []
    for part in parts:
        if not any(part.schema.equals(known.schema) for known in reversed(distinct)):
            distinct.append(part)
    if len(distinct) == 1 and not any(map(pa.types.is_null, distinct[0].schema.types)):
        return distinct[0].schema
    types: dict[str, pa.DataType] = {}
    first: dict[str, str] = {}
    for part in distinct:
        for field in part.schema:
            known = types.setdefault(field.name, field.type)
            origin = first.setdefault(field.name, part.export)
            if not known.equals(field.type):
                types[field.name] = _common(table, field.name, (origin, known), (part.export, field.type))
    names = _in_order({tuple(part.schema.names) for part in distinct})
    return pa.schema([(name, pa.string() if pa.types.is_null(types[name]) else types[name]) for name in names])


def _in_order(headers: Collection[tuple[str, ...]]) -> list[str]:
    """All names: those of the longest header in its order, then those that only others have."""
    longest = max(headers, key=lambda header: (len(header), header), default=())
    return [*longest, *sorted({name for header in headers for name in header} - set(longest))]


def _common(table: str, column: str, one: tuple[str, pa.DataType], other: tuple[str, pa.DataType]) -> pa.DataType:
    kinds = (one[1], other[1])
    told = [kind for kind in kinds if not pa.types.is_null(kind)]
    if len(told) < len(kinds):
        return told[0]
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        return pa.float64()
    if kind_of(column) is ColumnKind.UNKNOWN or column == TABLE_NUMBER:
        return pa.string()
    raise LayoutError(
        f"column {column!r} of table {table!r} has two types",
        where=f"{one[0]} and {other[0]}",
        why=f"it is {kinds[0]} in the first and {kinds[1]} in the second",
        remedy=f"mend one of the two, leave it out, or say what it is: column_types {column}=text or {column}=number",
    )


def missing_columns(table: str, unified: pa.Schema, part: ExportColumns) -> list[MissingColumn]:
    """The columns of the unified schema that one export lacks."""
    own = set(part.schema.names)
    return [MissingColumn(part.export, table, name) for name in unified.names if name not in own]


def align_to_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the schema's columns in its order: cast where types differ, null where it has none."""
    if table.schema.equals(schema):
        return table
    own = set(table.column_names)
    return pa.table(
        [
            table[field.name].cast(field.type) if field.name in own else pa.nulls(table.num_rows, field.type)
            for field in schema
        ],
        schema=schema,
    )


def text_keys(table: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """For each row one text that tells rows apart by some columns; a null is a value of its own."""
    parts = [table[name].cast(pa.string()) for name in names]
    return pc.binary_join_element_wise(*parts, "\x1f", null_handling="replace", null_replacement="\x00")


def cast_groups(schema: pa.Schema, casts: Mapping[str, str]) -> pa.Schema:
    """The schema with whole groups of types cast, `{"float": "float32"}` as CytoTable has it.

    The types are those that a job spec may name. A TableNumber is a checksum of 32 bits and keeps its type.
    """
    if not casts:
        return schema
    targets = {CastGroup(group): pa.type_for_alias(name) for group, name in casts.items()}
    return pa.schema([f.with_type(_cast_type(f.type, targets)) if _may_be_cast(f) else f for f in schema])


def _may_be_cast(field: pa.Field) -> bool:
    return not (field.name.endswith(TABLE_NUMBER) and pa.types.is_integer(field.type))


def _cast_type(kind: pa.DataType, targets: dict[CastGroup, pa.DataType]) -> pa.DataType:
    tests = (
        (CastGroup.FLOAT, pa.types.is_floating),
        (CastGroup.INTEGER, pa.types.is_integer),
        (CastGroup.STRING, pa.types.is_string),
    )
    return next((targets[group] for group, test in tests if group in targets and test(kind)), kind)
