"""A table of a SQLite file, as the scan finds it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from cytobatch.formats.base import ExportScan, SurveyedTable
from cytobatch.formats.cellprofiler_sqlite.names import TableName
from cytobatch.formats.table_facts import numbers_rows

_MADE_UP = re.compile(r"C[0-9]+")
"""The names that DuckDB makes up for columns without one."""


@dataclass(frozen=True, slots=True)
class DatabaseTable(SurveyedTable):
    """A table or view of a SQLite file.

    `origin` is its name with the prefix of its set. Text that is no number is an error in the columns `numbers_only`,
    which are declared as text and hold numbers; `undecided` are those of them without a value among the first rows.
    `left_out` are columns without a meaning, in which an importer numbered the rows, or without a name.
    Rows without a value in `presence_column` are of other compartments, because one table holds several.
    """

    origin: TableName = field(kw_only=True)
    numbers_only: frozenset[str] = field(default=frozenset(), kw_only=True)
    undecided: frozenset[str] = field(default=frozenset(), kw_only=True)
    left_out: tuple[str, ...] = field(default=(), kw_only=True)
    presence_column: str | None = field(default=None, kw_only=True)


def left_out_facts(table: SurveyedTable) -> Iterator[str]:
    """Yield the columns of a table that are left out."""
    for column in table.left_out if isinstance(table, DatabaseTable) else ():
        is_named = column and not _MADE_UP.fullmatch(column)
        yield numbers_rows(column) if is_named else "a column without a name is left out"


def resolve_undecided(scans: Sequence[ExportScan]) -> list[ExportScan]:
    """Return the scans with columns without values as text where another export has text in them."""
    text = {
        (name, field.name)
        for scan in scans
        for name, table in scan.tables.items()
        for field in table.schema
        if pa.types.is_string(field.type)
    }
    return [
        replace(scan, tables={name: _resolved(table, text) for name, table in scan.tables.items()}) for scan in scans
    ]


def _resolved(table: SurveyedTable, text: set[tuple[str, str]]) -> SurveyedTable:
    if not isinstance(table, DatabaseTable):
        return table
    columns = {column for column in table.undecided if (table.name, column) in text}
    if not columns:
        return table
    fields = [each.with_type(pa.string()) if each.name in columns else each for each in table.schema]
    return replace(table, schema=pa.schema(fields), numbers_only=table.numbers_only - columns)
