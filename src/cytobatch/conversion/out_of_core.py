"""An export too large for memory whose rows are known by number: keys are joined at once, rows read some at a time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.conversion.key_join import Unit
from cytobatch.conversion.table_loader import PagedTable, StagedTable
from cytobatch.engine.executor import Task
from cytobatch.readers.sqlite.native.pages import Numbers
from cytobatch.survey.model import SurveyedExport

Result = TypeVar("Result")

_MOST_TIMES = 2


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a profile, and which rows of each table are read with them, in ascending order.

    Every row of each table is read with one part at least, whether the profile has it or not.
    """

    rows: pa.Table
    read: Mapping[str, Numbers]


@dataclass(frozen=True, slots=True)
class PagedExport:
    """An export, and where the rows of its tables are."""

    export: SurveyedExport
    tables: Mapping[str, PagedTable]

    @property
    def keys(self) -> Unit:
        """The keys of all rows: enough to join them."""
        tables = {name: table.keys for name, table in self.tables.items()}
        owner = pa.scalar(self.export.index, pa.int64())
        return Unit((self.export,), tables, {name: pa.repeat(owner, keys.num_rows) for name, keys in tables.items()})

    def parts(self, rows: pa.Table, size: int) -> list[Part] | None:
        """The joined `rows` in parts of about `size` bytes at the source.

        None where rows lie so far apart that leaves would be read again and again.
        """
        each = max(1, rows.num_rows * size // max(1, self.export.export.size))
        counts = {name: table.keys.num_rows for name, table in self.tables.items()}
        parts = split(rows, counts, each)
        for name, table in self.tables.items():
            leaves = sum(table.rows.leaves_of(part.read[name]) for part in parts)
            if leaves > _MOST_TIMES * table.rows.leaves + len(parts):
                return None
        return parts

    def task(
        self, part: Part, size: int, then: Callable[[Unit, pa.Table], Result]
    ) -> Task[tuple[Result, tuple[StagedTable, ...]]]:
        """Reads each table of a part, by any thread; what `then` makes of them, by who is last."""
        reads = tuple(partial(table.read, part.read[name]) for name, table in self.tables.items())
        return Task(partial(self._made, part, then), size, reads)

    def _made(
        self, part: Part, then: Callable[[Unit, pa.Table], Result], *staged: StagedTable
    ) -> tuple[Result, tuple[StagedTable, ...]]:
        tables = dict(zip(self.tables, (one.table for one in staged), strict=True))
        return then(Unit((self.export,), tables, {}), part.rows), staged


def split(rows: pa.Table, counts: Mapping[str, int], each: int) -> list[Part]:
    """Joined rows in parts of `each` rows, their indices those of the rows that are read with them.

    `counts` are the rows of each table. A row that no part has is read with the one before it.
    """
    number = -(-rows.num_rows // each)
    read = {name: list(_read_with(rows[name], count, each, number)) for name, count in counts.items()}
    return [
        _part(rows.slice(part * each, each), {name: wanted[part] for name, wanted in read.items()})
        for part in range(number)
    ]


def _read_with(places: pa.ChunkedArray, count: int, each: int, number: int) -> Iterator[Numbers]:
    """The rows of a table that are read with each part."""
    there = places.is_valid().to_numpy()
    used, parts = places.drop_null().to_numpy(), np.flatnonzero(there) // each
    part_of = np.full(count, -1, np.int64)
    part_of[used] = parts
    last = np.maximum.accumulate(np.where(part_of >= 0, np.arange(count), 0))
    part_of = np.maximum(part_of[last], 0)
    order = np.argsort(part_of, kind="stable")
    begins = np.searchsorted(part_of[order], np.arange(number + 1))
    of_used = np.searchsorted(parts, np.arange(number + 1))
    for part in range(number):
        own = order[begins[part] : begins[part + 1]]
        yield np.union1d(own, used[of_used[part] : of_used[part + 1]])


def _part(rows: pa.Table, read: Mapping[str, Numbers]) -> Part:
    for name, wanted in read.items():
        found = pc.index_in(rows[name], pa.array(wanted)).cast(pa.int64())
        rows = rows.set_column(rows.column_names.index(name), name, found)
    return Part(rows, read)
