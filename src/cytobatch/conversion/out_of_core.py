"""Convert an export that is larger than memory: join the keys of all rows at once, then read rows in slices, by number.

A format that indexes rows finds the bytes of each row by its number (`IndexedRows`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.conversion.export_batch import ExportBatch
from cytobatch.conversion.row_lists import is_row_list, used_rows, with_rows
from cytobatch.conversion.table_loader import LoadedTable, OutOfCoreTable
from cytobatch.engine.executor import Task
from cytobatch.survey.model import SurveyedExport

Result = TypeVar("Result")
RowNumbers = npt.NDArray[np.int64]
"""Row numbers in a table, from 0: `int64, (rows,)`."""

_MAX_READS_OF_A_LEAF = 2
"""How often the average leaf may be read. Beyond, the table is read whole and goes through the scratch disk."""


@dataclass(frozen=True, slots=True)
class ExportSlice:
    """Some rows of a profile, and the rows of each table that are read with them.

    Every row of each table is read with at least one slice, whether the profile has it or not, because reading a row
    finds its defects.

    Attributes
    ----------
    rows
        The profile rows, as `JoinedRows.rows`. Row indices of a compartment count the rows that are read with this
        slice.
    read
        By table, the numbers of the rows that are read, ascending: `int64, (rows read,)`.
    """

    rows: pa.Table
    read: Mapping[str, RowNumbers]


@dataclass(frozen=True, slots=True)
class OutOfCoreExport:
    """An export whose tables are indexed by row number."""

    export: SurveyedExport
    tables: Mapping[str, OutOfCoreTable]

    @property
    def keys(self) -> ExportBatch:
        """The key columns of all rows as a batch, which can be joined."""
        tables = {name: table.keys for name, table in self.tables.items()}
        index = pa.scalar(self.export.index, pa.int64())
        return ExportBatch(
            (self.export,), tables, {name: pa.repeat(index, keys.num_rows) for name, keys in tables.items()}
        )

    def slices(self, rows: pa.Table, size: int) -> list[ExportSlice] | None:
        """Split the profile rows into slices of bounded size.

        Parameters
        ----------
        rows
            The profile rows of all keys, as `JoinedRows.rows`.
        size
            Bytes of a slice at the source, about.

        Returns
        -------
        list of ExportSlice, or None
            None if rows of one slice lie so far apart in the file that leaves would be read again and again.
        """
        slice_rows = max(1, rows.num_rows * size // max(1, self.export.export.size))
        row_counts = {name: table.keys.num_rows for name, table in self.tables.items()}
        slices = split_rows(rows, row_counts, slice_rows)
        for name, table in self.tables.items():
            leaves = sum(table.rows.leaves_of(slice_.read[name]) for slice_ in slices)
            if leaves > _MAX_READS_OF_A_LEAF * table.rows.leaves + len(slices):
                return None
        return slices

    def task(
        self, slice_: ExportSlice, size: int, process: Callable[[ExportBatch, pa.Table], Result]
    ) -> Task[tuple[Result, tuple[LoadedTable, ...]]]:
        """Return a task whose subtasks read one table each; the thread that finishes the last one processes them."""
        reads = tuple(partial(table.read, slice_.read[name]) for name, table in self.tables.items())
        return Task(partial(self._process, slice_, process), size, reads)

    def _process(
        self, slice_: ExportSlice, process: Callable[[ExportBatch, pa.Table], Result], *loaded: LoadedTable
    ) -> tuple[Result, tuple[LoadedTable, ...]]:
        tables = dict(zip(self.tables, (one.table for one in loaded), strict=True))
        return process(ExportBatch((self.export,), tables, {}), slice_.rows), loaded


def split_rows(rows: pa.Table, row_counts: Mapping[str, int], slice_rows: int) -> list[ExportSlice]:
    """Split joined rows into slices, each with the rows of each table that it needs.

    Parameters
    ----------
    rows
        Joined rows: for each table of `row_counts` a column of row numbers, `int64`, null where the row has no object
        of this table.
    row_counts
        The number of rows of each table.
    slice_rows
        Rows of a slice; the last one may be shorter.

    Returns
    -------
    list of ExportSlice
        Row indices are renumbered to the rows that a slice reads. A table's row that no joined row refers to is read
        with the slice of the row before it.
    """
    count = -(-rows.num_rows // slice_rows)
    read = {name: list(_rows_to_read(rows[name], total, slice_rows, count)) for name, total in row_counts.items()}
    return [
        _renumbered(rows.slice(n * slice_rows, slice_rows), {name: of_slices[n] for name, of_slices in read.items()})
        for n in range(count)
    ]


def _rows_to_read(indices: pa.ChunkedArray, total: int, slice_rows: int, count: int) -> Iterator[RowNumbers]:
    """Yield for each slice the rows of one table that are read with it.

    Parameters
    ----------
    indices
        For each joined row its row number in the table, a list of them, or null: `(joined rows,)`.
    total
        Rows of the table.
    slice_rows, count
        Joined rows of a slice, and the number of slices.

    Yields
    ------
    RowNumbers
        Ascending row numbers: `int64, (rows read,)`.
    """
    used, owners = used_rows(indices)
    slice_of_used = owners // slice_rows
    slice_of_row = np.full(total, -1, np.int64)
    slice_of_row[used] = slice_of_used
    # Rows that are not used take the slice of the last used row before them, or the first slice.
    last_used = np.maximum.accumulate(np.where(slice_of_row >= 0, np.arange(total), 0))
    slice_of_row = np.maximum(slice_of_row[last_used], 0)
    by_slice = np.argsort(slice_of_row, kind="stable")
    row_starts = np.searchsorted(slice_of_row[by_slice], np.arange(count + 1))
    used_starts = np.searchsorted(slice_of_used, np.arange(count + 1))
    for n in range(count):
        own = by_slice[row_starts[n] : row_starts[n + 1]]
        # A row that several slices use is in `own` of one of them only.
        yield np.union1d(own, used[used_starts[n] : used_starts[n + 1]])


def _renumbered(rows: pa.Table, read: Mapping[str, RowNumbers]) -> ExportSlice:
    """Return a slice whose row numbers are replaced by their positions among the rows that it reads."""
    for name, numbers in read.items():
        is_list = is_row_list(rows[name])
        indices = pc.list_flatten(rows[name]) if is_list else rows[name]
        positions = pc.index_in(indices, pa.array(numbers)).cast(pa.int64())
        if is_list:
            positions = with_rows(rows[name], positions.combine_chunks())
        rows = rows.set_column(rows.column_names.index(name), name, positions)
    return ExportSlice(rows, read)
