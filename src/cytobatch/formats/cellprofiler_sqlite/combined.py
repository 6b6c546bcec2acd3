"""The single object table of ExportToDatabase: all compartments side by side, each with its name before its columns."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.formats.cellprofiler_sqlite.names import OBJECT
from cytobatch.formats.cellprofiler_sqlite.table import DatabaseTable
from cytobatch.planning.columns import IMAGE_NUMBER, OBJECT_NUMBER, TABLE_NUMBER
from cytobatch.planning.joins import BASE_ORDER
from cytobatch.readers.fallback import ReadStrategy

_NUMBER = "_Number_Object_Number"
_SHARED = (TABLE_NUMBER, IMAGE_NUMBER)


def compartments_of(columns: Collection[str]) -> list[str]:
    """Return the labels of the compartments in a single object table: those with an object number of their own."""
    return sorted(name.removesuffix(_NUMBER) for name in columns if name.endswith(_NUMBER) and name != _NUMBER)


def split_combined(tables: list[DatabaseTable]) -> tuple[list[DatabaseTable], list[DatabaseTable]]:
    """Return the tables, with a single object table as a table for each of its compartments; and repeated ones.

    Where its compartments have tables of their own, a single object table repeats them.
    """
    result, repeated = [], []
    for table in tables:
        own = {each.name for each in tables if each.name != OBJECT and each.origin.set_key == table.origin.set_key}
        labels = compartments_of(table.schema.names) if table.name == OBJECT else []
        if labels and all(label.lower() in own for label in labels):
            repeated.append(table)
        elif own & {label.lower() for label in labels} or not labels:
            result.append(table)
        else:
            result += [_compartment(table, label, labels) for label in labels]
    return result, repeated


def _compartment(table: DatabaseTable, label: str, labels: Collection[str]) -> DatabaseTable:
    """Return the table of one compartment: the image's keys and its own columns, and what belongs to no compartment."""
    owners = {name: _owner(name, labels) for name in table.schema.names if name not in (*_SHARED, OBJECT_NUMBER)}
    # A column that names no compartment goes to the base of the profile, so that it is not lost.
    base = next((name for usual in BASE_ORDER for name in labels if name.lower() == usual), next(iter(labels)))
    own = [name for name, owner in owners.items() if (owner or base) == label]
    columns = [name for name in table.schema.names if name in _SHARED or name in own]
    return replace(
        table,
        name=label.lower(),
        label=label,
        schema=pa.schema([table.schema.field(name) for name in columns]),
        numbers_only=table.numbers_only & set(columns),
        undecided=table.undecided & set(columns),
        presence_column=f"{label}{_NUMBER}",
    )


def _owner(column: str, labels: Collection[str]) -> str | None:
    """Return the compartment with the longest label that a column begins with."""
    return max((label for label in labels if column.startswith(f"{label}_")), key=len, default=None)


def only_present(strategy: ReadStrategy, column: str) -> ReadStrategy:
    """Return a way to read a table without the rows that are null in `column`, which are of other compartments."""
    return partial(_present_rows, strategy, column)


def _present_rows(strategy: ReadStrategy, column: str) -> Iterator[pa.RecordBatch]:
    for batch in strategy():
        yield batch.filter(pc.is_valid(batch[column])) if batch[column].null_count else batch
