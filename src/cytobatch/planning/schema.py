"""Arrow schemas of tables: types from names or declarations, and one schema for a table of several exports.

A plate has one schema for each table, with every column that any export has. It is null where an export lacks it.
"""

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.option_types import CastGroup, ColumnType
from cytobatch.errors import ConfigurationError, LayoutError
from cytobatch.planning.columns import HEADERS, TABLE_NUMBER, ColumnKind, is_key, kind_of

_KIND_TYPES = {ColumnKind.INTEGER: pa.int64(), ColumnKind.TEXT: pa.string()}
_REQUESTED_TYPES = {ColumnType.NUMBER: pa.float64(), ColumnType.INTEGER: pa.int64(), ColumnType.TEXT: pa.string()}


@dataclass(frozen=True, slots=True)
class ExportColumns:
    """The columns of one table in one export, with their types, and the path of the export."""

    export: str
    schema: pa.Schema


@dataclass(frozen=True, slots=True)
class MissingColumn:
    """A column that one export lacks and other exports have. The rows of this export are null there."""

    export: str
    table: str
    column: str


def requested_types(table: str, columns: Iterable[str], types: Mapping[str, ColumnType]) -> dict[str, pa.DataType]:
    """Return the Arrow types that the job requests for columns of a table.

    Parameters
    ----------
    table
        The lower-case name of the table.
    columns
        The names of its columns at the source.
    types
        The job's `column_types`, by `column` or `table.column`; the latter wins.

    Returns
    -------
    float64, int64 or string by column, for the columns in `types`.

    Raises
    ------
    ConfigurationError
        If a key, by which objects are joined, is to be anything but an integer.
    """
    requested = {column: types.get(f"{table}.{column}", types.get(column)) for column in columns} if types else {}
    for column, kind in requested.items():
        if kind not in (None, ColumnType.INTEGER) and is_key(column):
            raise ConfigurationError(
                f"column {column!r} of table {table!r} cannot be {kind}",
                where="column_types",
                why="it numbers images or objects, by which tables are joined",
                remedy="leave it out",
            )
    return {column: _REQUESTED_TYPES[kind] for column, kind in requested.items() if kind is not None}


def with_types(schema: pa.Schema, types: Mapping[str, pa.DataType]) -> pa.Schema:
    """Return the schema with the types `types` for the columns that it names."""
    return pa.schema([field.with_type(types.get(field.name, field.type)) for field in schema]) if types else schema


def schema_by_names(columns: Sequence[str], types: Mapping[str, pa.DataType]) -> pa.Schema:
    """Return a schema by the meaning of CellProfiler's column names, for files that declare no types.

    Keys and counts are int64, names and paths of files are strings, all others are float64. `types` are known
    otherwise, for example from all values of a column.
    """
    return with_types(_schema_by_names(tuple(columns)), types)


@functools.lru_cache(maxsize=HEADERS)
def _schema_by_names(columns: tuple[str, ...]) -> pa.Schema:
    return pa.schema([(column, _KIND_TYPES.get(kind_of(column), pa.float64())) for column in columns])


def schema_by_declarations(declared: pa.Schema) -> pa.Schema:
    """Return a schema from declared types: keys as int64, measurements as float64, others as declared.

    A measurement may be declared as an integer, because its writer chose the type from rows with whole numbers only.
    """
    return pa.schema([(field.name, _type_of_declared(field.name, field.type)) for field in declared])


def _type_of_declared(column: str, declared: pa.DataType) -> pa.DataType:
    if is_key(column):
        return pa.int64()
    if pa.types.is_integer(declared):
        return pa.float64() if kind_of(column) is ColumnKind.MEASUREMENT else pa.int64()
    return pa.float64() if pa.types.is_floating(declared) or pa.types.is_decimal(declared) else declared


def unify_schemas(table: str, exports: Iterable[ExportColumns]) -> pa.Schema:
    """Return one schema for a table of several exports. It does not depend on their order.

    Parameters
    ----------
    table
        The name of the table, for messages.
    exports
        The schema of the table in each export.

    Returns
    -------
    All columns, those of the widest export first. An integer and a float make float64. A column of Arrow's null type
    takes the type of the others, or string. A TableNumber, or a column under `Metadata_`, is a string if any export has
    it as text.

    Raises
    ------
    LayoutError
        If another column is text in one export and a number in another. The message names both exports.
    """
    # Thousands of exports have few schemas between them.
    distinct: list[ExportColumns] = []
    for export in exports:
        if not any(export.schema.equals(known.schema) for known in reversed(distinct)):
            distinct.append(export)
    if len(distinct) == 1 and not any(map(pa.types.is_null, distinct[0].schema.types)):
        return distinct[0].schema
    types: dict[str, pa.DataType] = {}
    first: dict[str, str] = {}
    for export in distinct:
        for field in export.schema:
            known_type = types.setdefault(field.name, field.type)
            origin = first.setdefault(field.name, export.export)
            if not known_type.equals(field.type):
                types[field.name] = _common_type(table, field.name, (origin, known_type), (export.export, field.type))
    names = _unified_names({tuple(export.schema.names) for export in distinct})
    return pa.schema([(name, pa.string() if pa.types.is_null(types[name]) else types[name]) for name in names])


def _unified_names(headers: Collection[tuple[str, ...]]) -> list[str]:
    """Return all names: those of the longest header in its order, then those that only others have, sorted."""
    longest = max(headers, key=lambda header: (len(header), header), default=())
    return [*longest, *sorted({name for header in headers for name in header} - set(longest))]


_INTEGERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
_NUMBER_IDS = frozenset(type_.id for type_ in (*_INTEGERS, pa.float16(), pa.float32(), pa.float64()))


def is_number_type(type_: pa.DataType) -> bool:
    """Return True for integers and floats."""
    return type_.id in _NUMBER_IDS


def _common_type(table: str, column: str, one: tuple[str, pa.DataType], other: tuple[str, pa.DataType]) -> pa.DataType:
    """Return the type for a column that has two types; `one` and `other` are an export's path and its type."""
    types = (one[1], other[1])
    with_values = [each for each in types if not pa.types.is_null(each)]
    if len(with_values) < len(types):
        return with_values[0]
    if all(is_number_type(each) for each in types):
        return pa.float64()
    if kind_of(column) is ColumnKind.UNKNOWN or column == TABLE_NUMBER:
        return pa.string()
    raise LayoutError(
        f"column {column!r} of table {table!r} has two types",
        where=f"{one[0]} and {other[0]}",
        why=f"it is {types[0]} in the first and {types[1]} in the second",
        remedy=f"mend one of the two, leave it out, or declare a type: column_types {column}=text or {column}=number",
    )


def missing_columns(table: str, unified: pa.Schema, export: ExportColumns) -> list[MissingColumn]:
    """Return the columns of the unified schema that one export lacks."""
    present = set(export.schema.names)
    return [MissingColumn(export.export, table, name) for name in unified.names if name not in present]


def align_to_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of a schema, in its order and with its types.

    Parameters
    ----------
    table
        Rows with any columns. Those that the schema lacks are left out.
    schema
        The schema of the result. A column that the table lacks is null in all rows.

    Returns
    -------
    The same number of rows; the table itself if it has the schema already.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a value cannot be cast to the type of its column.
    """
    if table.schema.equals(schema):
        return table
    present = set(table.column_names)
    return pa.table(
        [
            table[field.name].cast(field.type) if field.name in present else pa.nulls(table.num_rows, field.type)
            for field in schema
        ],
        schema=schema,
    )


def text_keys(table: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """Return one text for each row, equal for rows with the same values in the columns `names`.

    Parameters
    ----------
    table
        Rows with columns of any type that casts to string.
    names
        The columns that identify a row. A null is a value of its own.

    Returns
    -------
    string, (rows,): the values as text, joined by the unit separator U+001F; a null is U+0000.
    """
    values = [table[name].cast(pa.string()) for name in names]
    return pc.binary_join_element_wise(*values, "\x1f", null_handling="replace", null_replacement="\x00")


def cast_groups(schema: pa.Schema, casts: Mapping[str, str]) -> pa.Schema:
    """Return the schema with whole groups of types cast, as CytoTable's `data_type_cast_map` does.

    Parameters
    ----------
    schema
        The types before the cast.
    casts
        Names of Arrow types by group, such as `{"float": "float32"}`: those that a job spec allows.

    Returns
    -------
    The same columns. An integer TableNumber is a checksum of 32 bits and keeps its type.
    """
    if not casts:
        return schema
    targets = {CastGroup(group): pa.type_for_alias(name) for group, name in casts.items()}
    return pa.schema([f.with_type(_cast_type(f.type, targets)) if _may_be_cast(f) else f for f in schema])


def _may_be_cast(field: pa.Field) -> bool:
    return not (field.name.endswith(TABLE_NUMBER) and pa.types.is_integer(field.type))


def _cast_type(before: pa.DataType, targets: dict[CastGroup, pa.DataType]) -> pa.DataType:
    tests = (
        (CastGroup.FLOAT, pa.types.is_floating),
        (CastGroup.INTEGER, pa.types.is_integer),
        (CastGroup.STRING, pa.types.is_string),
    )
    return next((targets[group] for group, test in tests if group in targets and test(before)), before)
