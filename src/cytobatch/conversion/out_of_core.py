"""An export too large for memory whose rows are known by number: keys are joined at once, rows read some at a time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.conversion.key_join import ExportBatch
from cytobatch.conversion.table_loader import LoadedTable, OutOfCoreTable
from cytobatch.engine.executor import Task
from cytobatch.readers.sqlite.native.arrays import Int64Array
from cytobatch.survey.model import SurveyedExport

Result = TypeVar("Result")

_MOST_TIMES = 2


@dataclass(frozen=True, slots=True)
class ExportSlice:
    """Some rows of a profile, and which rows of each table are read with them, in ascending order.

    Every row of each table is read with one part at least, whether the profile has it or not.
    """

    rows: pa.Table
    read: Mapping[str, Int64Array]


@dataclass(frozen=True, slots=True)
class OutOfCoreExport:
    """An export, and where the rows of its tables are."""

    export: SurveyedExport
    tables: Mapping[str, OutOfCoreTable]

    @property
    def keys(self) -> ExportBatch:
        """The keys of all rows: enough to join them."""
        tables = {name: table.keys for name, table in self.tables.items()}
        owner = pa.scalar(self.export.index, pa.int64())
        return ExportBatch(
            (self.export,), tables, {name: pa.repeat(owner, keys.num_rows) for name, keys in tables.items()}
        )

    def slices(self, rows: pa.Table, size: int) -> list[ExportSlice] | None:
        """The joined `rows` in parts of about `size` bytes at the source.

        None where rows lie so far apart that leaves would be read again and again.
        """
        each = max(1, rows.num_rows * size // max(1, self.export.export.size))
        counts = {name: table.keys.num_rows for name, table in self.tables.items()}
        slices = split(rows, counts, each)
        for name, table in self.tables.items():
            leaves = sum(table.rows.leaves_of(slice_.read[name]) for slice_ in slices)
            if leaves > _MOST_TIMES * table.rows.leaves + len(slices):
                return None
        return slices

    def task(
        self, slice_: ExportSlice, size: int, then: Callable[[ExportBatch, pa.Table], Result]
    ) -> Task[tuple[Result, tuple[LoadedTable, ...]]]:
        """Reads each table of a part, by any thread; what `then` makes of them, by who is last."""
        reads = tuple(partial(table.read, slice_.read[name]) for name, table in self.tables.items())
        return Task(partial(self._made, slice_, then), size, reads)

    def _made(
        self, slice_: ExportSlice, then: Callable[[ExportBatch, pa.Table], Result], *loaded: LoadedTable
    ) -> tuple[Result, tuple[LoadedTable, ...]]:
        tables = dict(zip(self.tables, (one.table for one in loaded), strict=True))
        return then(ExportBatch((self.export,), tables, {}), slice_.rows), loaded


def split(rows: pa.Table, counts: Mapping[str, int], each: int) -> list[ExportSlice]:
    """Joined rows in parts of `each` rows, their indices those of the rows that are read with them.

    `counts` are the rows of each table. A row that no part has is read with the one before it.
    """
    number = -(-rows.num_rows // each)
    read = {name: list(_read_with(rows[name], count, each, number)) for name, count in counts.items()}
    return [
        _part(rows.slice(slice_ * each, each), {name: wanted[slice_] for name, wanted in read.items()})
        for slice_ in range(number)
    ]


def _read_with(places: pa.ChunkedArray, count: int, each: int, number: int) -> Iterator[Int64Array]:
    """The rows of a table that are read with each part."""
    there = places.is_valid().to_numpy()
    used, slices = places.drop_null().to_numpy(), np.flatnonzero(there) // each
    part_of = np.full(count, -1, np.int64)
    part_of[used] = slices
    last = np.maximum.accumulate(np.where(part_of >= 0, np.arange(count), 0))
    part_of = np.maximum(part_of[last], 0)
    order = np.argsort(part_of, kind="stable")
    begins = np.searchsorted(part_of[order], np.arange(number + 1))
    of_used = np.searchsorted(slices, np.arange(number + 1))
    for slice_ in range(number):
        own = order[begins[slice_] : begins[slice_ + 1]]
        yield np.union1d(own, used[of_used[slice_] : of_used[slice_ + 1]])


def _part(rows: pa.Table, read: Mapping[str, Int64Array]) -> ExportSlice:
    for name, wanted in read.items():
        found = pc.index_in(rows[name], pa.array(wanted)).cast(pa.int64())
        rows = rows.set_column(rows.column_names.index(name), name, found)
    return ExportSlice(rows, read)
