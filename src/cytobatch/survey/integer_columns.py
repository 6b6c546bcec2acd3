"""Columns that are integers only by their names, and become doubles where an export holds a fraction.

Image and object numbers, and the parents that a join uses, must be integers, because rows are joined by them. Other
counts and numbers of objects may have been averaged or rescaled.
"""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from cytobatch.config.option_types import ColumnType
from cytobatch.formats.base import SingleTable
from cytobatch.planning.columns import IMAGE_NUMBER, TABLE_NUMBER
from cytobatch.planning.joins import JoinKind, JoinPlan
from cytobatch.planning.schema import requested_types
from cytobatch.report.model import ReportWarning
from cytobatch.survey.model import TableSchema

_EXPORTS_NAMED = 10


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
