"""A SQLite table read from its pages: streamed in chunks that are decoded side by side, or chosen rows at a time."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from cytobatch.engine import sql
from cytobatch.engine.executor import Executor, Task
from cytobatch.errors import FastPathUnavailable, InvalidTableError
from cytobatch.readers.numbers import Repair
from cytobatch.readers.sqlite.affinity import ValueCoercer
from cytobatch.readers.sqlite.guard import SQLITE_ERRORS, connect
from cytobatch.readers.sqlite.native.arrays import Int64Array
from cytobatch.readers.sqlite.native.btree import TableTree
from cytobatch.readers.sqlite.native.pages import Geometry
from cytobatch.readers.sqlite.native.records import ColumnSelection, decode_columns
from cytobatch.readers.sqlite.read import SqliteTable

_CHUNK_BYTES = 16 * 2**20
_BEFORE_ALL_ROWIDS = -(2**63) - 1
_TYPES = (pa.int64(), pa.float64(), pa.string())


@dataclass(frozen=True, slots=True)
class _DecodedRows:
    """Rows of some leaves.

    Attributes
    ----------
    batch
        The selected columns.
    repairs
        Values that were not of their column's type.
    rowids
        int64, (rows,).
    rows_per_leaf
        int64, (leaves,). All rows of each leaf, whether they were selected or not.
    record_bytes
        Bytes of the rows in the file.
    """

    batch: pa.RecordBatch
    repairs: list[Repair]
    rowids: Int64Array
    rows_per_leaf: Int64Array
    record_bytes: int


@dataclass(frozen=True, slots=True)
class _TableLeaves:
    """The leaves of a table, and what reading them takes.

    Attributes
    ----------
    table
        The table.
    root
        Number of the table's root page.
    geometry
        That of the file when the leaves were found.
    leaves
        int64, (leaves,). Page numbers in the order of the rows.
    leaf_bytes
        Estimated bytes of records on one leaf, those on overflow pages included.
    """

    table: SqliteTable
    root: int
    geometry: Geometry
    leaves: Int64Array
    leaf_bytes: int

    @classmethod
    def find(cls, table: SqliteTable, root: int) -> "_TableLeaves":
        """Find the leaves below a root page. Raises FastPathUnavailable if a page is damaged."""
        with table.path.open("rb", buffering=0) as stream:
            tree = TableTree(stream, root)
            leaves = tree.leaves()
            sample = leaves[[0, len(leaves) // 2, -1]]
            largest = max(int(tree.records(leaf).sizes.sum()) for leaf in sample[:, None])
            return cls(table, root, tree.geometry, leaves, max(tree.geometry.page_size, largest))

    def decode(self, selection: ColumnSelection, leaves: Int64Array, rows: Int64Array | None = None) -> _DecodedRows:
        """Decode columns of the rows on some leaves.

        Parameters
        ----------
        selection
            The columns.
        leaves
            int64, (leaves,). Page numbers in the order of the rows.
        rows
            int64, (rows,), ascending. Indices of the selected rows among all rows of these leaves; all if None.

        Raises
        ------
        FastPathUnavailable
            If the file changed since the leaves were found, or a page or record is damaged.
        InvalidTableError
            If an integer column holds a fraction or too large a number.
        """
        coercer = ValueCoercer(self.table.path.name, self.table.numbers_only)
        with self.table.path.open("rb", buffering=0) as stream:
            tree = TableTree(stream, self.root)
            if tree.geometry != self.geometry:
                raise FastPathUnavailable("the file changed while it was read")
            records = tree.records(leaves, rows)
        batch = decode_columns(records, selection, coercer)
        record_bytes = int(records.sizes.sum())
        return _DecodedRows(batch, coercer.repairs, records.rowids, records.rows_per_leaf, record_bytes)

    def stream(self, selection: ColumnSelection, executor: Executor, chunk_bytes: int) -> Iterator[_DecodedRows]:
        """Decode all rows in order, in chunks of about `chunk_bytes` side by side.

        Raises FastPathUnavailable as `decode` does, and if the row ids of the chunks do not ascend, or some records
        share pages.
        """
        count = max(1, chunk_bytes // self.leaf_bytes)
        tasks = (
            Task(partial(self.decode, selection, self.leaves[begin : begin + count]), chunk_bytes)
            for begin in range(0, len(self.leaves), count)
        )
        last, unread = _BEFORE_ALL_ROWIDS, self.geometry.page_size * self.geometry.page_count
        for decoded in executor.map_ordered(tasks, (2 * executor.count + 1) * chunk_bytes):
            unread -= decoded.record_bytes
            if unread < 0:
                raise FastPathUnavailable("the rows of the table have more bytes than the file")
            if len(decoded.rowids):
                if decoded.rowids[0] <= last:
                    raise FastPathUnavailable("row ids do not ascend")
                last = decoded.rowids[-1]
            yield decoded


def stream_pages(
    table: SqliteTable, schema: pa.Schema, executor: Executor, repairs: list[Repair], chunk_bytes: int = _CHUNK_BYTES
) -> Iterator[pa.RecordBatch]:
    """Stream columns of a table from the pages of its file.

    Parameters
    ----------
    table
        The table.
    schema
        The columns and their types, of int64, float64 and string.
    executor
        Decodes chunks side by side.
    repairs
        Gets the values that were not of their column's type, once all rows are read.
    chunk_bytes
        Bytes of records in a chunk.

    Yields
    ------
    Batches under the schema, in the order of the row ids.

    Raises
    ------
    FastPathUnavailable
        If DuckDB or SQLite must read the table, which report the defect if it has one. It can be raised after batches
        were yielded, at the end at the latest.
    InvalidTableError
        If an integer column holds a fraction or too large a number.
    """
    coercer = ValueCoercer(table.path.name)
    root, (selection,) = _locate(table, schema)
    for decoded in _TableLeaves.find(table, root).stream(selection, executor, chunk_bytes):
        coercer.add(decoded.repairs)
        yield decoded.batch
    repairs.extend(coercer.repairs)


class OutOfCoreRows:
    """The rows of a table that is too large for memory, read by their numbers. Several threads may read at once.

    Rows are numbered from 0 in the order of their row ids. The number of rows of each leaf locates a row by its number.
    """

    def __init__(self, leaves: _TableLeaves, selection: ColumnSelection, rows_per_leaf: Int64Array) -> None:
        self._leaves = leaves
        self._selection = selection
        self._first_rows = np.append(0, np.cumsum(rows_per_leaf))

    @property
    def leaves(self) -> int:
        """Return the number of leaves that the table has."""
        return len(self._leaves.leaves)

    def leaves_of(self, rows: Int64Array) -> int:
        """Return the number of leaves that hold these rows: int64, (rows,), row numbers."""
        return len(np.unique(self._leaf_indices(rows)))

    def _leaf_indices(self, rows: Int64Array) -> Int64Array:
        """Return the index of the leaf of each row: int64, (rows,)."""
        return np.searchsorted(self._first_rows, rows, "right") - 1

    def read(self, rows: Int64Array) -> tuple[pa.Table, list[Repair]]:
        """Read some rows.

        Parameters
        ----------
        rows
            int64, (rows,), ascending row numbers.

        Returns
        -------
        The rows under the schema, and the values that were not of their column's type.

        Raises
        ------
        InvalidTableError
            If the file changed since its rows were numbered.
        """
        leaf_of_row = self._leaf_indices(rows)
        leaves = np.unique(leaf_of_row)
        counts = self._first_rows[leaves + 1] - self._first_rows[leaves]
        rows_before = np.cumsum(counts) - counts
        indices = rows_before[np.searchsorted(leaves, leaf_of_row)] + rows - self._first_rows[leaf_of_row]
        try:
            decoded = self._leaves.decode(self._selection, self._leaves.leaves[leaves], indices)
        except FastPathUnavailable as error:
            raise InvalidTableError(
                "changed while it was read",
                where=self._leaves.table.path.name,
                why=error.reason,
                remedy="convert it again",
            ) from error
        return pa.Table.from_batches([decoded.batch]), decoded.repairs


def find_rows(
    table: SqliteTable, schema: pa.Schema, keys: pa.Schema, executor: Executor, chunk_bytes: int = _CHUNK_BYTES
) -> tuple[OutOfCoreRows, pa.Table]:
    """Number the rows of a table, and read the key columns of all of them.

    All integer columns are decoded once, so that a value that is not an integer is found before any row is used.

    Parameters
    ----------
    table
        The table.
    schema
        The columns of the rows and their types, of int64, float64 and string.
    keys
        Those columns of `schema` that are read of all rows.
    executor
        Decodes chunks side by side.
    chunk_bytes
        Bytes of records in a chunk.

    Returns
    -------
    The rows, to be read by their numbers under `schema`; and the columns `keys` of all rows.

    Raises
    ------
    FastPathUnavailable
        If DuckDB or SQLite must read the table.
    InvalidTableError
        If an integer column holds a fraction or too large a number.
    """
    checked = pa.schema([field for field in schema if pa.types.is_integer(field.type) or field.name in keys.names])
    root, (checked_columns, all_columns) = _locate(table, checked, schema)
    leaves = _TableLeaves.find(table, root)
    chunks = list(leaves.stream(checked_columns, executor, chunk_bytes))
    rows = OutOfCoreRows(leaves, all_columns, np.concatenate([chunk.rows_per_leaf for chunk in chunks]))
    return rows, pa.Table.from_batches([chunk.batch for chunk in chunks]).select(keys.names)


def _locate(table: SqliteTable, *schemas: pa.Schema) -> tuple[int, list[ColumnSelection]]:
    """Return a table's root page, and its columns for each schema.

    Raises FastPathUnavailable if the values of its records are not what SQLite returns for its columns.
    """
    if not all(type_ in _TYPES for schema in schemas for type_ in schema.types):
        raise FastPathUnavailable("a column is wanted as another type than int64, float64 or string")
    with table.path.open("rb", buffering=0) as stream:
        # A write-ahead log that DuckDB reads must not be opened by another SQLite: this raises first.
        Geometry.read(stream)
    try:
        with closing(connect(table.path)) as connection:
            roots = connection.execute(sql.sqlite_root(table.name)).fetchall()
            columns = connection.execute(sql.sqlite_columns(table.name)).fetchall()
    except SQLITE_ERRORS as error:
        raise FastPathUnavailable(f"SQLite cannot read the schema: {error}") from error
    if len(roots) != 1:
        raise FastPathUnavailable("the database has no table of this name")
    if [type_.upper() for _, type_, key, _ in columns if key] == ["INTEGER"]:
        # Such a column is stored as null in the record.
        raise FastPathUnavailable("the primary key is the row id")
    if any(hidden for *_, hidden in columns):
        raise FastPathUnavailable("a column is generated or hidden")
    positions = {name: position for position, (name, *_) in enumerate(columns)}
    if not all(positions.keys() >= set(schema.names) for schema in schemas):
        raise FastPathUnavailable("the table does not have all wanted columns")
    selections = [ColumnSelection([positions[name] for name in one.names], len(columns), one) for one in schemas]
    return roots[0][0], selections
