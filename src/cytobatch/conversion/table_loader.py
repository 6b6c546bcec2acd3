"""One table of one export as Arrow: in memory if it is small, memory-mapped from the scratch folder if it is not."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from cytobatch.conversion.resources import RunResources
from cytobatch.errors import FastPathUnavailable
from cytobatch.planning.schema import conform
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.body import CsvGroup, text_of
from cytobatch.readers.csv.chunks import stream_chunks
from cytobatch.readers.csv.concat import ConcatenatedTables, read_group
from cytobatch.readers.csv.header import CUT_END, CsvShape, ends_with_newline, unsound
from cytobatch.readers.fallback import ReadStrategy, read_with_fallback
from cytobatch.readers.npz import read as npz
from cytobatch.readers.numbers import Repair
from cytobatch.readers.sqlite import read as sqlite
from cytobatch.readers.sqlite.native.pages import Numbers
from cytobatch.readers.sqlite.native.scan import OutOfCoreRows, TableAt, find_rows, stream_pages
from cytobatch.survey.model import SurveyedTable


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """All rows of a table under the plate's unified schema, and what was repaired on the way."""

    table: pa.Table
    repairs: tuple[Repair, ...]


@dataclass(frozen=True, slots=True)
class OutOfCoreTable:
    """A table whose rows are read when they are wanted, under the plate's unified schema; and the keys of all rows."""

    rows: OutOfCoreRows
    keys: pa.Table
    unified: pa.Schema

    def read(self, numbers: Numbers) -> LoadedTable:
        """Some rows by their numbers, in ascending order. Raises InvalidTableError."""
        table, repairs = self.rows.read(numbers)
        return LoadedTable(conform(table, self.unified), tuple(repairs))


class TableLoader:
    """Reads tables. Those of the largest files go through the scratch disk, so that memory stays bounded.

    Several threads may read at once.
    """

    def __init__(self, resources: RunResources) -> None:
        self._inputs = resources.inputs
        self._engine = resources.engine
        self._executor = resources.executor
        self._scratch = resources.scratch
        self._group_bytes = resources.batch_bytes
        self._table_bytes = resources.table_bytes
        self._numbers = itertools.count(1)

    def read(self, table: SurveyedTable, unified: pa.Schema) -> LoadedTable:
        """The whole table. Raises InvalidTableError where it cannot be read whole, StorageError."""
        path = self._inputs.whole(table.source)
        if table.complete is None and not ends_with_newline(path):
            raise unsound(path, *CUT_END)
        own = _own(table.schema, unified)
        repairs: list[Repair] = []
        take = self._spill if self.is_large(path.stat().st_size) else _collect
        read = read_with_fallback(self._strategies(table, path, own, repairs), repairs, functools.partial(take, own))
        return LoadedTable(conform(read, unified), tuple(repairs))

    def out_of_core(self, table: SurveyedTable, unified: pa.Schema, keys: Sequence[str]) -> OutOfCoreTable:
        """A SQLite table by its pages. Raises FastPathUnavailable where it cannot be read so, InvalidTableError."""
        if table.sql_table is None:
            raise FastPathUnavailable("no SQLite")
        path, own = self._inputs.whole(table.source), _own(table.schema, unified)
        asked = pa.schema([unified.field(name) for name in keys if name in unified.names])
        there = pa.schema([field for field in asked if field.name in own.names])
        rows, found = find_rows(TableAt(path, table.sql_table), own, there, self._executor)
        return OutOfCoreTable(rows, conform(found, asked), unified)

    def is_large(self, size: int) -> bool:
        """Whether tables of a file of so many bytes are not held in memory."""
        return size > self._table_bytes

    def together(self, tables: Sequence[SurveyedTable], size: int) -> CsvGroup | None:
        """The files of CSV tables, of so many bytes, as one text; None where they must be read one by one."""
        shape, schema = tables[0].shape, tables[0].schema
        if shape is None or shape.own is not None or size > self._group_bytes:
            return None
        if not all(table.shape == shape and table.schema.equals(schema) for table in tables):
            return None
        return CsvGroup(tuple(table.source for table in tables), shape.header_lines)

    def read_group(self, files: CsvGroup, shape: CsvShape, own: pa.Schema, unified: pa.Schema) -> ConcatenatedTables:
        """Tables of this shape and schema as one.

        Raises FastPathUnavailable where they must be read one by one, and StorageError.
        """
        text = text_of([self._inputs.whole(path) for path in files.paths], files.header_lines)
        found = read_group(text, shape, _own(own, unified))
        return ConcatenatedTables(conform(found.table, unified), found.rows)

    def _strategies(
        self, table: SurveyedTable, path: Path, own: pa.Schema, repairs: list[Repair]
    ) -> tuple[ReadStrategy, ...]:
        if table.sql_table is not None:
            whole = functools.partial(stream_pages, TableAt(path, table.sql_table), own, self._executor, repairs)
            return whole, *sqlite.strategies(self._engine, path, table.sql_table, own, repairs)
        if table.shape is not None:
            alone = functools.partial(csv.stream, path, table.shape, own, repairs, table.forced)
            if table.shape.own is not None or path.stat().st_size <= csv.SMALL_FILE:
                return (alone,)
            return functools.partial(stream_chunks, path, table.shape, own, self._executor), alone
        return (functools.partial(npz.stream, path, own, repairs, table.forced),)

    def _spill(self, schema: pa.Schema, strategy: ReadStrategy) -> pa.Table:
        path = self._scratch / f"table-{next(self._numbers)}.arrow"
        with pa.ipc.new_file(path, schema) as writer:
            for batch in strategy():
                writer.write_batch(batch)
        mapped = pa.memory_map(str(path))
        # The mapping keeps the bytes until the table is dropped; the name is not needed any more.
        path.unlink()
        return pa.ipc.open_file(mapped).read_all()


def _own(schema: pa.Schema, unified: pa.Schema) -> pa.Schema:
    """A table's own columns with the plate's types; the plate's very schema where the table has all of it."""
    if schema.equals(unified):
        return unified
    return pa.schema([unified.field(name) for name in schema.names])


def _collect(schema: pa.Schema, strategy: ReadStrategy) -> pa.Table:
    return pa.Table.from_batches(strategy(), schema)
