"""Load one table of one export as Arrow: in memory if it is small, memory-mapped from the scratch folder if large."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cytobatch.conversion.run_resources import RunResources
from cytobatch.formats.base import ConversionPlan, ReadContext, SurveyedTable
from cytobatch.planning.inventory import SourceFile
from cytobatch.planning.schema import align_to_schema
from cytobatch.readers.fallback import ConcatenatedTables, ConcatReader, ReadStrategy, read_with_fallback
from cytobatch.readers.indexed_rows import IndexedRows
from cytobatch.readers.numbers import Repair


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """Rows of a table under the plate's unified schema, and the repairs of values that were made in them."""

    table: pa.Table
    repairs: tuple[Repair, ...]


@dataclass(frozen=True, slots=True)
class OutOfCoreTable:
    """A table whose rows are read by number, and the key columns of all its rows.

    `unified` is the plate's schema, under which rows are read.
    """

    rows: IndexedRows
    keys: pa.Table
    unified: pa.Schema

    def read(self, numbers: npt.NDArray[np.int64]) -> LoadedTable:
        """Read rows by number.

        Parameters
        ----------
        numbers
            Row numbers from 0, ascending and distinct: `int64, (rows,)`.

        Raises
        ------
        InvalidTableError
            If the file has changed since it was indexed.
        """
        table, repairs = self.rows.read(numbers)
        return LoadedTable(align_to_schema(table, self.unified), tuple(repairs))


@dataclass(frozen=True, slots=True)
class TableGroup:
    """Small tables of one schema that are read as one: their files, and the reader."""

    sources: tuple[str, ...]
    schema: pa.Schema
    read: ConcatReader


class TableLoader:
    """Loads tables with the readers of the plan's format. Tables of the largest files go through the scratch disk.

    Several threads may load at once.
    """

    def __init__(self, plan: ConversionPlan, resources: RunResources) -> None:
        self._format = plan.format
        self._inputs = resources.inputs
        self._context = ReadContext(plan.job, resources.engine, resources.executor)
        self._scratch = resources.scratch
        self._group_bytes = resources.batch_bytes
        self._table_bytes = resources.table_bytes
        self._spill_numbers = itertools.count(1)

    def read(self, table: SurveyedTable, unified: pa.Schema) -> LoadedTable:
        """Load the whole table. Raises InvalidTableError if it cannot be read whole, StorageError."""
        path = self._inputs.whole(table.source)
        own = _own_schema(table.schema, unified)
        repairs: list[Repair] = []
        strategies = self._format.readers(table, path, own, repairs, self._context)
        file = SourceFile(table.source, path.stat().st_size)
        consume = self._spill if self.is_large(file.content_size) else _collect
        if consume is _collect and file.is_compressed:
            consume = functools.partial(self._collect_or_spill, repairs)
        rows = read_with_fallback(strategies, repairs, functools.partial(consume, own))
        return LoadedTable(align_to_schema(rows, unified), tuple(repairs))

    def index(self, table: SurveyedTable, unified: pa.Schema, keys: Sequence[str]) -> OutOfCoreTable:
        """Index a table's rows by number, and read its key columns.

        Raises FastPathUnavailable if the rows cannot be read by number, InvalidTableError.
        """
        path, own = self._inputs.whole(table.source), _own_schema(table.schema, unified)
        key_schema = pa.schema([unified.field(name) for name in keys if name in unified.names])
        own_keys = pa.schema([field for field in key_schema if field.name in own.names])
        rows, key_columns = self._format.index_rows(table, path, own, own_keys, self._context)
        return OutOfCoreTable(rows, align_to_schema(key_columns, key_schema), unified)

    def is_large(self, size: int) -> bool:
        """Return whether tables of a file of this size in bytes are too large for memory."""
        return size > self._table_bytes

    def is_out_of_core(self, size: int) -> bool:
        """Return whether tables of a file of this size in bytes are read by row number."""
        return self._format.traits.indexed_rows and self.is_large(size)

    def group(self, tables: Sequence[SurveyedTable], size: int) -> TableGroup | None:
        """Return tables of `size` bytes in all as a group that is read as one; None if they must be read one by one."""
        reader = self._format.concat_reader(tables) if size <= self._group_bytes else None
        return reader and TableGroup(tuple(table.source for table in tables), tables[0].schema, reader)

    def read_group(self, group: TableGroup, unified: pa.Schema) -> ConcatenatedTables:
        """Load a group. Raises FastPathUnavailable if its tables must be read one by one, StorageError."""
        paths = [self._inputs.whole(source) for source in group.sources]
        concatenated = group.read(paths, _own_schema(group.schema, unified))
        return ConcatenatedTables(align_to_schema(concatenated.table, unified), concatenated.rows)

    def _collect_or_spill(self, repairs: list[Repair], schema: pa.Schema, strategy: ReadStrategy) -> pa.Table:
        """Collect a compressed table, or spill it from its beginning if it is larger than its file lets expect."""
        batches: list[pa.RecordBatch] = []
        size = 0
        for batch in strategy():
            batches.append(batch)
            size += batch.nbytes
            if self.is_large(size):
                batches.clear()
                repairs.clear()
                return self._spill(schema, strategy)
        return pa.Table.from_batches(batches, schema)

    def _spill(self, schema: pa.Schema, strategy: ReadStrategy) -> pa.Table:
        """Stream a table to the scratch disk, and return it memory-mapped."""
        path = self._scratch / f"table-{next(self._spill_numbers)}.arrow"
        with pa.ipc.new_file(path, schema) as writer:
            for batch in strategy():
                writer.write_batch(batch)
        mapped = pa.memory_map(str(path))
        # The mapping keeps the bytes until the table is dropped, without the file's name.
        path.unlink()
        return pa.ipc.open_file(mapped).read_all()


def _own_schema(schema: pa.Schema, unified: pa.Schema) -> pa.Schema:
    """Return a table's own columns with the plate's types; the plate's very schema if the table has all of it."""
    if schema.equals(unified):
        return unified
    return pa.schema([unified.field(name) for name in schema.names])


def _collect(schema: pa.Schema, strategy: ReadStrategy) -> pa.Table:
    return pa.Table.from_batches(strategy(), schema)
