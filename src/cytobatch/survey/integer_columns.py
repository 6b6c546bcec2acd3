"""Columns that are integers only by their names, and become doubles where an export holds a fraction.

Image and object numbers, and the parents that a join uses, must be integers, because rows are joined by them. Other
counts and numbers of objects may have been averaged or rescaled.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.option_types import ColumnType
from cytobatch.errors import FractionError
from cytobatch.formats.base import SingleTable, SurveyedTable
from cytobatch.planning.columns import IMAGE_NUMBER, TABLE_NUMBER, ColumnKind, kind_of
from cytobatch.planning.joins import JoinKind, JoinPlan
from cytobatch.planning.schema import requested_types, with_types
from cytobatch.report.model import ReportWarning
from cytobatch.survey.model import TableSchema

_EXPORTS_NAMED = 10

Table = TypeVar("Table", bound=SurveyedTable)
Result = TypeVar("Result")


def integers_by_name(
    schemas: Iterable[TableSchema],
    join: JoinPlan | None,
    single: SingleTable | None,
    types: Mapping[str, ColumnType],
) -> dict[str, frozenset[str]]:
    """Return by table the integer columns by which nothing is joined and to which the job gives no type.

    Parameters
    ----------
    schemas
        The tables over all exports.
    join
        The joins of compartments; only compartments in it are read. None if nothing is joined.
    single
        The keys of files of whole rows, or None for other formats.
    types
        The job's `column_types`.
    """
    result = {}
    for table in schemas:
        if table.keys is None and single is None:
            continue
        if join is not None and table.name not in join.compartments:
            continue
        fixed = {*_joined_columns(table, join, single), *requested_types(table.name, table.schema.names, types)}
        free = frozenset(f.name for f in table.schema if pa.types.is_integer(f.type) and f.name not in fixed)
        if free:
            result[table.name] = free
    return result


def _joined_columns(table: TableSchema, join: JoinPlan | None, single: SingleTable | None) -> set[str]:
    """Return the columns of a table that identify images, objects, and the parents that a join uses."""
    if single is not None:
        return {*single.object_keys[:1], *single.image_set_keys}
    columns = {IMAGE_NUMBER, TABLE_NUMBER, table.keys.object_number if table.keys else ""}
    for each in join.joins if join else ():
        owner = each.via if each.kind is JoinKind.PARENT else each.compartment
        if owner == table.name:
            columns.add(each.column)
    return columns


def fraction_warning(table: str, column: str, exports: Sequence[str]) -> ReportWarning:
    """Return the warning for a column that holds fractions in the exports with these paths."""
    what = f"column {column!r} of table {table!r} holds fractions, and is a double where its name asks for an integer"
    return ReportWarning(what=what, table=table, exports=len(exports), first_exports=list(exports[:_EXPORTS_NAMED]))


def holds_fraction(values: pa.ChunkedArray) -> bool:
    """Return True if a value has a fraction.

    Parameters
    ----------
    values
        float64, (rows,).
    """
    return pc.any(has_fractions(values)).as_py() is True


def has_fractions(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return which values have a fraction: bool, (rows,).

    Parameters
    ----------
    values
        float64, (rows,). Nulls, NaN and infinities have no fraction.
    """
    has_fraction = pc.and_(pc.is_finite(values), pc.not_equal(values, pc.floor(values)))
    return pc.fill_null(has_fraction, fill_value=False)


def read_with_fractions(
    table: Table, requested: Collection[str], read: Callable[[Table], Result]
) -> tuple[Table, Result]:
    """Read an image table. Its counts become doubles as soon as they hold a fraction.

    Parameters
    ----------
    table
        The image table.
    requested
        The columns to which the job gives a type.
    read
        Reads the table by its schema.

    Returns
    -------
    The table with the types that it was read with, and what `read` returned.

    Raises
    ------
    InvalidTableError
        If an image number holds a fraction, or `read` raises it.
    """
    while True:
        try:
            return table, read(table)
        except FractionError as error:
            column = error.column
            if column in {IMAGE_NUMBER, TABLE_NUMBER, *requested} or not _is_integer(table.schema, column):
                raise
            table = replace(table, schema=with_types(table.schema, {column: pa.float64()}))


def _is_integer(schema: pa.Schema, column: str) -> bool:
    return column in schema.names and pa.types.is_integer(schema.field(column).type)


def image_fraction_warnings(
    name: str, table: pa.Table, owners: pa.ChunkedArray, paths: Mapping[int, str]
) -> list[ReportWarning]:
    """Return the warnings for counts of an image table that hold fractions.

    Parameters
    ----------
    name
        The name of the table.
    table
        The image rows of all exports, with their types.
    owners
        The index of each row's export: int64, (rows,).
    paths
        The paths of the exports by index.
    """
    warnings = []
    for field in table.schema:
        if kind_of(field.name) is ColumnKind.INTEGER and pa.types.is_floating(field.type):
            indices = pc.unique(owners.filter(has_fractions(table[field.name]))).to_pylist()
            if indices:
                warnings.append(fraction_warning(name, field.name, [paths[index] for index in indices]))
    return warnings
