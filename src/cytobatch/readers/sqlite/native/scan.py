"""A SQLite table read from its pages: streamed in pieces that are decoded side by side, or some rows at a time."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from cytobatch.engine import sql
from cytobatch.engine.executor import Executor, Task
from cytobatch.errors import FastPathUnavailable, InvalidTableError
from cytobatch.readers.numbers import Repair
from cytobatch.readers.sqlite.affinity import ValueCoercer
from cytobatch.readers.sqlite.native.btree import TableFile
from cytobatch.readers.sqlite.native.pages import Geometry, Numbers
from cytobatch.readers.sqlite.native.records import Wanted, columns_of
from cytobatch.readers.sqlite.read import REFUSED, connect

_PIECE = 16 * 2**20
_BEFORE_ALL = -(2**63) - 1
_KINDS = (pa.int64(), pa.float64(), pa.string())


@dataclass(frozen=True, slots=True)
class _Read:
    """Rows that were read and their numbers, what was no plain value of its column, and how many rows each leaf has."""

    batch: pa.RecordBatch
    repairs: list[Repair]
    rowids: Numbers
    counts: Numbers


@dataclass(frozen=True, slots=True)
class _Leaves:
    """Where a table is in its file: the leaves that hold its rows, and about how many bytes of rows each holds."""

    path: Path
    root: int
    geometry: Geometry
    leaves: Numbers
    bytes_of_leaf: int

    @classmethod
    def of(cls, path: Path, root: int) -> "_Leaves":
        """Raises FastPathUnavailable."""
        with path.open("rb", buffering=0) as stream:
            file = TableFile(stream, root)
            leaves = file.leaves()
            some = leaves[[0, len(leaves) // 2, -1]]
            each = max(int(file.records(leaf).sizes.sum()) for leaf in some[:, None])
            return cls(path, root, file.geometry, leaves, max(file.geometry.page, each))

    def read(self, wanted: Wanted, leaves: Numbers, rows: Numbers | None = None) -> _Read:
        """Columns of the rows on these leaves, or of some of them. Raises FastPathUnavailable, InvalidTableError."""
        coercer = ValueCoercer(self.path.name)
        with self.path.open("rb", buffering=0) as stream:
            file = TableFile(stream, self.root)
            if file.geometry != self.geometry:
                raise FastPathUnavailable("a file that was changed meanwhile")
            records = file.records(leaves, rows)
        return _Read(columns_of(records, wanted, coercer), coercer.repairs, records.rowids, records.counts)

    def in_pieces(self, wanted: Wanted, executor: Executor, piece: int) -> Iterator[_Read]:
        """All rows, some leaves at a time, read side by side. Raises FastPathUnavailable for unordered leaves."""
        count = max(1, piece // self.bytes_of_leaf)
        tasks = (
            Task(partial(self.read, wanted, self.leaves[begin : begin + count]), piece)
            for begin in range(0, len(self.leaves), count)
        )
        last = _BEFORE_ALL
        for read in executor.map_ordered(tasks, (2 * executor.count + 1) * piece):
            if len(read.rowids):
                if read.rowids[0] <= last:
                    raise FastPathUnavailable("leaves that are not in their order")
                last = read.rowids[-1]
            yield read


@dataclass(frozen=True, slots=True)
class TableAt:
    """A table by the path of its file and its name."""

    path: Path
    name: str


def stream_pages(
    table: TableAt, schema: pa.Schema, executor: Executor, repairs: list[Repair], piece: int = _PIECE
) -> Iterator[pa.RecordBatch]:
    """Streams the columns of `schema`, typed by it; what was no plain value of its column is told in `repairs`.

    Raises FastPathUnavailable, at its end at the latest, where SQLite must read the table: it finds out what is odd.
    Raises InvalidTableError where a key is no integer.
    """
    coercer = ValueCoercer(table.path.name)
    with _left_to_sqlite():
        root, (wanted,) = _described(table, schema)
        for read in _Leaves.of(table.path, root).in_pieces(wanted, executor, piece):
            coercer.add(read.repairs)
            yield read.batch
    repairs.extend(coercer.repairs)


class OutOfCoreRows:
    """The rows of a table, of which some are read when they are wanted: each leaf's rows are known by their numbers.

    Several threads may read at once.
    """

    def __init__(self, pages: _Leaves, wanted: Wanted, counts: Numbers) -> None:
        self._pages = pages
        self._wanted = wanted
        self._begins = np.append(0, np.cumsum(counts))

    def leaves_of(self, rows: Numbers) -> int:
        """How many leaves hold these rows, of which there are `leaves` in all."""
        return len(np.unique(self._leaf(rows)))

    @property
    def leaves(self) -> int:
        """How many there are."""
        return len(self._pages.leaves)

    def _leaf(self, rows: Numbers) -> Numbers:
        return np.searchsorted(self._begins, rows, "right") - 1

    def read(self, rows: Numbers) -> tuple[pa.Table, list[Repair]]:
        """Some rows by their numbers, in ascending order, and what was no plain value of its column.

        Raises InvalidTableError where the file was changed since.
        """
        leaf = self._leaf(rows)
        leaves = np.unique(leaf)
        counts = self._begins[leaves + 1] - self._begins[leaves]
        before = np.cumsum(counts) - counts
        places = before[np.searchsorted(leaves, leaf)] + rows - self._begins[leaf]
        try:
            read = self._pages.read(self._wanted, self._pages.leaves[leaves], places)
        except FastPathUnavailable as error:
            raise InvalidTableError(
                "changed while it was read", where=self._pages.path.name, why=str(error), remedy="convert it again"
            ) from error
        return pa.Table.from_batches([read.batch]), read.repairs


def find_rows(
    table: TableAt, schema: pa.Schema, keys: pa.Schema, executor: Executor, piece: int = _PIECE
) -> tuple[OutOfCoreRows, pa.Table]:
    """The rows of a table, to be read as `schema`, and all rows' columns `keys`, which are some of these.

    Integers are always looked at, so that they are found to be some before any row is used. Raises FastPathUnavailable
    where SQLite must read the table, InvalidTableError where a key is no integer.
    """
    looked_at = pa.schema([field for field in schema if pa.types.is_integer(field.type) or field.name in keys.names])
    with _left_to_sqlite():
        root, (keys_of, whole) = _described(table, looked_at, schema)
        pages = _Leaves.of(table.path, root)
        read = list(pages.in_pieces(keys_of, executor, piece))
        rows = OutOfCoreRows(pages, whole, np.concatenate([one.counts for one in read]))
    return rows, pa.Table.from_batches([one.batch for one in read]).select(keys.names)


@contextmanager
def _left_to_sqlite() -> Iterator[None]:
    try:
        yield
    except FastPathUnavailable as error:
        raise FastPathUnavailable(str(error)) from error


def _described(table: TableAt, *schemas: pa.Schema) -> tuple[int, list[Wanted]]:
    """A table's first page, and its columns by schema.

    Raises FastPathUnavailable where its records would not be what SQLite reads.
    """
    if not all(kind in _KINDS for schema in schemas for kind in schema.types):
        raise FastPathUnavailable("columns of other types")
    with table.path.open("rb", buffering=0) as stream:
        # A write-ahead log that DuckDB reads must not be opened by another SQLite.
        Geometry.of(stream)
    try:
        with closing(connect(table.path)) as connection:
            roots = connection.execute(sql.sqlite_root(table.name)).fetchall()
            columns = connection.execute(sql.sqlite_columns(table.name)).fetchall()
    except REFUSED as error:
        raise FastPathUnavailable("a file that SQLite does not read") from error
    keys = [kind.upper() for _, kind, key, _ in columns if key]
    # A whole key is not stored in its column, nor is a column that is computed.
    if len(roots) != 1 or keys == ["INTEGER"] or any(hidden for *_, hidden in columns):
        raise FastPathUnavailable("no plain table")
    places = {name: place for place, (name, *_) in enumerate(columns)}
    if not all(places.keys() >= set(schema.names) for schema in schemas):
        raise FastPathUnavailable("columns of other names")
    return roots[0][0], [Wanted([places[name] for name in one.names], len(columns), one) for one in schemas]
