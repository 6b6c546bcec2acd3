"""Exports read ahead of their use: table by table, or in batches of bounded size."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pyarrow as pa

from cytobatch.conversion.key_join import ExportBatch
from cytobatch.conversion.ledger import RunLedger
from cytobatch.conversion.out_of_core import ExportSlice, OutOfCoreExport
from cytobatch.conversion.resources import RunResources
from cytobatch.conversion.table_loader import LoadedTable, TableGroup, TableLoader
from cytobatch.engine.executor import Task
from cytobatch.errors import FastPathUnavailable, InvalidTableError
from cytobatch.formats.base import SurveyedTable
from cytobatch.readers.fallback import ConcatenatedTables
from cytobatch.readers.numbers import Repair
from cytobatch.survey.model import Survey, SurveyedExport, TableSchema

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ReadExport:
    """The result of reading tables of an export: the tables, or the invalid one and the reason."""

    export: SurveyedExport
    tables: Mapping[str, LoadedTable]
    invalid: str | None = None
    reason: str = ""


class ExportLoader:
    """Reads exports ahead, side by side; an export with an invalid table goes to the ledger."""

    def __init__(self, survey: Survey, resources: RunResources, ledger: RunLedger) -> None:
        self._survey = survey
        self._inputs = resources.inputs
        self._loader = TableLoader(survey.plan, resources)
        self._ledger = ledger
        self._executor = resources.executor
        self._readers_of_file = Counter[str]()
        self._counting = threading.Lock()
        self._ahead_bytes = resources.ahead_bytes
        self.batch_bytes = resources.batch_bytes
        # The rows of a slice are in memory twice while they are read: as bytes, and as columns.
        self.slice_bytes = resources.batch_bytes // 2

    def expect(self, names: Collection[str]) -> None:
        """Announce that these tables of all exports will be read, once each. Other files are released."""
        tables = [table for e in self._survey.exports for name, table in e.tables.items() if name in names]
        self._will_read(tables)
        self._inputs.expect(dict.fromkeys(table.source for table in tables))

    def expect_batches(
        self, names: Sequence[str], outputs: Iterable[Sequence[SurveyedExport]]
    ) -> list[list["BatchRead"]]:
        """Announce the same for exports that are read in batches, table by table; return the batches of each output."""
        loader, schemas = self._loader, self._survey.schemas
        batches = [[BatchRead(loader, schemas, group, names) for group in self._groups(exports)] for exports in outputs]
        tables = [table for reading in itertools.chain.from_iterable(batches) for table in reading.tables]
        self._will_read(tables)
        self._inputs.expect(dict.fromkeys(table.source for table in tables))
        return batches

    def _will_read(self, tables: Sequence[SurveyedTable]) -> None:
        self._readers_of_file.update(table.source for table in tables)
        looked_at = {table.file.path for e in self._survey.plan.exports for table in e.tables.values()}
        for path in sorted(looked_at - self._readers_of_file.keys()):
            self._inputs.release(path)

    def batches(self, readings: Iterable["BatchRead"], then: Callable[[ExportBatch], Result]) -> Iterator[Result]:
        """Yield the result of `then` for each batch: as many exports together as stay below a batch's size."""
        tasks = (self._batch_task(reading, then) for reading in readings)
        for read, result in self._executor.map_ordered(tasks, self._ahead_bytes):
            for one in read:
                self._enter(one, whole_export=True)
            yield result
            # Freed before the wait for the next batch.
            del read, result

    def out_of_core(self, reading: "BatchRead") -> OutOfCoreExport | None:
        """Index the rows of a large export; return None if its tables must be read whole."""
        if not reading.is_out_of_core:
            return None
        (export,) = reading.exports
        schemas = {name: self._survey.schemas[name] for name in reading.names if name in export.tables}
        try:
            tables = {
                name: self._loader.out_of_core(
                    export.tables[name], schema.schema, schema.keys.columns if schema.keys else ()
                )
                for name, schema in schemas.items()
            }
        except (FastPathUnavailable, InvalidTableError):
            # Reading the tables whole finds the defect and reports it.
            return None
        return OutOfCoreExport(export, tables)

    def slices(
        self,
        out_of_core: OutOfCoreExport,
        slices: Sequence[ExportSlice],
        then: Callable[[ExportBatch, pa.Table], Result],
    ) -> Iterator[Result]:
        """Yield the result of `then` for each slice of a large export: its tables, and its profile rows."""
        repairs: dict[str, list[Repair]] = {name: [] for name in out_of_core.tables}
        tasks = (out_of_core.task(slice_, self.slice_bytes, then) for slice_ in slices)
        try:
            for result, loaded in self._executor.map_ordered(tasks, self._ahead_bytes):
                for name, one in zip(out_of_core.tables, loaded, strict=True):
                    repairs[name] = _add_up([*repairs[name], *one.repairs])
                yield result
                # Freed before the wait for the next slice.
                del result, loaded, one
        finally:
            self._release(out_of_core.export.tables[name].source for name in out_of_core.tables)
        for name, found in repairs.items():
            self._ledger.repaired(out_of_core.export, out_of_core.export.tables[name].shown_name, found)

    def exports(
        self, exports: Sequence[SurveyedExport], names: Collection[str]
    ) -> Iterator[tuple[SurveyedExport, dict[str, pa.Table]]]:
        """Yield the exports whose tables `names` are all valid, with these tables."""
        tasks = (Task(partial(self._read, export, names), export.export.size) for export in exports)
        for read in self._executor.map_ordered(tasks, self._ahead_bytes):
            if self._enter(read, whole_export=True):
                yield read.export, {name: loaded.table for name, loaded in read.tables.items()}

    def rows(
        self, exports: Sequence[SurveyedExport], name: str, *, whole_export: bool
    ) -> Iterator[tuple[SurveyedExport, pa.Table]]:
        """Yield one table of the exports in which it is valid; with `whole_export` an invalid one fails its export."""
        tasks = (Task(partial(self._read, export, (name,)), export.export.size) for export in exports)
        for read in self._executor.map_ordered(tasks, self._ahead_bytes):
            if self._enter(read, whole_export=whole_export):
                yield read.export, read.tables[name].table

    def _enter(self, read: ReadExport, *, whole_export: bool) -> bool:
        """Record the result of reading an export in the ledger; return whether it is valid."""
        if read.invalid is not None:
            self._ledger.fail(read.export, read.invalid, read.reason, whole_export=whole_export)
            return False
        for name, loaded in read.tables.items():
            self._ledger.repaired(read.export, read.export.tables[name].shown_name, loaded.repairs)
        return True

    def _read(self, export: SurveyedExport, names: Collection[str]) -> ReadExport:
        try:
            return self._tables(export, names)
        finally:
            self._release([export.tables[name].source for name in names if name in export.tables])

    def _tables(self, export: SurveyedExport, names: Collection[str]) -> ReadExport:
        tables = {}
        for name in names:
            table = export.tables.get(name)
            if table is not None:
                try:
                    tables[name] = self._loader.read(table, self._survey.schemas[name].schema)
                except InvalidTableError as error:
                    return ReadExport(export, {}, name, error.reason)
        return ReadExport(export, tables)

    def _release(self, sources: Iterable[str]) -> None:
        for source in sources:
            with self._counting:
                self._readers_of_file[source] -= 1
                last = not self._readers_of_file[source]
            if last:
                self._inputs.release(source)

    def _groups(self, exports: Sequence[SurveyedExport]) -> Iterator[list[SurveyedExport]]:
        waiting: list[SurveyedExport] = []
        size = 0
        for export in exports:
            if waiting and size + export.export.size > self.batch_bytes:
                yield waiting
                waiting, size = [], 0
            waiting.append(export)
            size += export.export.size
        if waiting:
            yield waiting

    def _batch_task(
        self, reading: "BatchRead", then: Callable[[ExportBatch], Result]
    ) -> Task[tuple[tuple[ReadExport, ...], Result]]:
        """Return a task whose subtasks read one table each; the thread that finishes the last one makes the batch."""
        size = sum(export.export.size for export in reading.exports)
        return Task(partial(self._made, reading, then), size, reading.subtasks())

    def _made(
        self, reading: "BatchRead", then: Callable[[ExportBatch], Result], *found: ConcatenatedTables | None
    ) -> tuple[tuple[ReadExport, ...], Result]:
        """Make the batch, from exports read one by one if its tables could not be read as one."""
        exports, names = reading.exports, reading.names
        read: tuple[ReadExport, ...] = ()
        try:
            batch = reading.batch(found)
            if batch is None:
                read = tuple(self._tables(export, names) for export in exports)
                batch = self._one_by_one([one for one in read if one.invalid is None], names)
        finally:
            self._release(table.source for table in reading.tables)
        return read, then(batch)

    def _one_by_one(self, valid: Sequence[ReadExport], names: Sequence[str]) -> ExportBatch:
        """Return the batch of exports that were read one by one."""
        tables, owners = {}, {}
        for name in names:
            own = [one for one in valid if name in one.tables]
            slices = [one.tables[name].table for one in own]
            tables[name] = pa.concat_tables(slices or [self._survey.schemas[name].schema.empty_table()])
            owners[name] = _owners([one.export for one in own], [slice_.num_rows for slice_ in slices])
        return ExportBatch(tuple(one.export for one in valid), tables, owners)


class BatchRead:
    """The tables of a batch of exports while they are read, each table as one for all exports that have it.

    As soon as one table cannot be read as one, the others are not read so either: exports are then read one by one.
    """

    def __init__(
        self,
        loader: TableLoader,
        schemas: Mapping[str, TableSchema],
        exports: Sequence[SurveyedExport],
        names: Sequence[str],
    ) -> None:
        self.exports = tuple(exports)
        self.names = tuple(names)
        self._loader = loader
        self._schemas = schemas
        self._having = {name: [export for export in exports if name in export.tables] for name in names}
        self._groups = {name: self._group(name, having) for name, having in self._having.items() if having}
        self._reads_singly = None in self._groups.values()

    @property
    def tables(self) -> list[SurveyedTable]:
        """All tables, in the order in which they are read."""
        return [export.tables[name] for name, having in self._having.items() for export in having]

    @property
    def is_out_of_core(self) -> bool:
        """Whether the batch is one export whose rows are read by number, because it is larger than memory."""
        return self._loader.is_out_of_core(self.exports[0].export.size)

    def subtasks(self) -> tuple[Callable[[], ConcatenatedTables | None], ...]:
        """Return a subtask for each table, which reads it."""
        return tuple(partial(self._read, name) for name in self._having)

    def _group(self, name: str, having: Sequence[SurveyedExport]) -> TableGroup | None:
        own = [export.export.tables.get(name) for export in having]
        size = sum(table.file.size for table in own if table is not None)
        return self._loader.group([export.tables[name] for export in having], size)

    def _read(self, name: str) -> ConcatenatedTables | None:
        """Read one table; return None if it, or another table, cannot be read as one. Raises StorageError."""
        if self._reads_singly:
            return None
        schema, group = self._schemas[name].schema, self._groups.get(name)
        if group is None:
            return ConcatenatedTables(schema.empty_table(), ())
        try:
            return self._loader.read_group(group, schema)
        except FastPathUnavailable:
            self._reads_singly = True
            return None

    def batch(self, found: Sequence[ConcatenatedTables | None]) -> ExportBatch | None:
        """Return the batch of the subtasks' results; None if exports must be read one by one."""
        tables, owners = {}, {}
        for (name, having), concatenated in zip(self._having.items(), found, strict=True):
            if concatenated is None:
                return None
            tables[name] = concatenated.table
            owners[name] = _owners(having, concatenated.rows)
        return ExportBatch(self.exports, tables, owners)


def _add_up(repairs: Iterable[Repair]) -> list[Repair]:
    """Return repairs with equal ones added up."""
    counts = Counter[tuple[str, str, str]]()
    for repair in repairs:
        counts[repair.column, repair.text, repair.became] += repair.count
    return [Repair(column, text, became, count) for (column, text, became), count in counts.items()]


def _owners(exports: Sequence[SurveyedExport], rows: Sequence[int]) -> pa.Array:
    """Return for each row the index of its export: int64, one value a row."""
    indices = np.array([export.index for export in exports], np.int64)
    return pa.array(np.repeat(indices, np.array(rows, np.int64)))
