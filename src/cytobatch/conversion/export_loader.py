"""Read exports ahead of their use: table by table, in batches of bounded size, or in slices of one large export."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pyarrow as pa

from cytobatch.conversion.batch_read import BatchRead, index_of_each_row
from cytobatch.conversion.export_batch import ExportBatch
from cytobatch.conversion.ledger import RunLedger
from cytobatch.conversion.out_of_core import ExportSlice, OutOfCoreExport
from cytobatch.conversion.run_resources import RunResources
from cytobatch.conversion.table_loader import LoadedTable, TableLoader
from cytobatch.engine.executor import Task
from cytobatch.errors import FastPathUnavailable, FractionError, InvalidTableError
from cytobatch.formats.base import SurveyedTable
from cytobatch.readers.fallback import ConcatenatedTables
from cytobatch.readers.numbers import Repair
from cytobatch.survey.model import Survey, SurveyedExport

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ReadExport:
    """The result of reading tables of an export: the tables, or the name of the invalid one and the reason."""

    export: SurveyedExport
    tables: Mapping[str, LoadedTable]
    invalid: str | None = None
    reason: str = ""


class ExportLoader:
    """Reads exports ahead, several at once, and records in the ledger which of their tables are invalid.

    `slice_bytes` is the size at the source of a slice of a large export.
    """

    def __init__(self, survey: Survey, resources: RunResources, ledger: RunLedger) -> None:
        self._survey = survey
        self._inputs = resources.inputs
        self._loader = TableLoader(survey.plan, resources)
        self._ledger = ledger
        self._executor = resources.executor
        self._work = resources.work
        self._table_bytes: dict[int, float] = {}
        self._tables_left = Counter[int]()
        self._pending_reads = Counter[str]()
        self._pending_lock = threading.Lock()
        self._keeps_files = False
        self._ahead_bytes = resources.ahead_bytes
        self.batch_bytes = resources.batch_bytes
        # The rows of a slice are in memory twice while they are read: as bytes, and as columns.
        self.slice_bytes = resources.batch_bytes // 2

    def expect(self, names: Collection[str]) -> None:
        """Announce that these tables of all exports will be read, once each. Files of other tables are released."""
        self._expect_work(names)
        self._expect([table for e in self._survey.exports for name, table in e.tables.items() if name in names])

    def expect_batches(
        self, names: Sequence[str], outputs: Iterable[Iterable[Sequence[SurveyedExport]]]
    ) -> list[list[BatchRead]]:
        """Announce the same for exports that are read in batches, table by table; return the batches of each output.

        An output has ranges of exports. No batch has exports of two ranges.
        """
        loader, schemas = self._loader, self._survey.schemas
        self._expect_work(names)
        batches = [
            [BatchRead(loader, schemas, group, names) for exports in ranges for group in self._groups(exports)]
            for ranges in outputs
        ]
        self._expect([table for read in itertools.chain.from_iterable(batches) for table in read.tables])
        return batches

    def batches(self, reads: Iterable[BatchRead], process: Callable[[ExportBatch], Result]) -> Iterator[Result]:
        """Yield the result of `process` for each batch, in order. Worker threads read and process batches ahead."""
        tasks = (self._batch_task(read, process) for read in reads)
        for read, exports, result in self._executor.map_ordered(tasks, self._ahead_bytes):
            for export in exports:
                self._record(export, whole_export=True)
            yield result
            # Freed before the wait for the next batch.
            del exports, result
            self._take(read.exports, read.names)

    def index(self, read: BatchRead) -> OutOfCoreExport | None:
        """Index the rows of a large export; return None if its tables must be read whole."""
        if not read.is_out_of_core:
            return None
        (export,) = read.exports
        schemas = [self._survey.schemas[name] for name in read.names if name in export.tables]
        try:
            tables = {
                table.name: self._loader.index(
                    export.tables[table.name], table.schema, table.keys.columns if table.keys else ()
                )
                for table in schemas
            }
        except (FastPathUnavailable, InvalidTableError):
            # Reading the tables whole finds the defect and reports it.
            return None
        return OutOfCoreExport(export, tables)

    def slices(
        self,
        out_of_core: OutOfCoreExport,
        slices: Sequence[ExportSlice],
        process: Callable[[ExportBatch, pa.Table], Result],
    ) -> Iterator[Result]:
        """Yield the result of `process` for each slice of a large export, given its tables and its profile rows."""
        export = out_of_core.export
        repairs: dict[str, list[Repair]] = {name: [] for name in out_of_core.tables}
        tasks = (out_of_core.task(slice_, self.slice_bytes, process) for slice_ in slices)
        slice_bytes = export.export.size / max(1, len(slices))
        try:
            for result, tables in self._executor.map_ordered(tasks, self._ahead_bytes):
                for name, table in zip(out_of_core.tables, tables, strict=True):
                    repairs[name] = _sum_repairs([*repairs[name], *table.repairs])
                yield result
                # Freed before the wait for the next slice.
                del result, tables, table
                self._work.read(slice_bytes)
                self._work.taken(slice_bytes, 0)
        finally:
            self._release(export.tables[name].source for name in out_of_core.tables)
        self._work.taken(0, 1)
        for name, of_table in repairs.items():
            self._ledger.add_repairs(export, export.tables[name].shown_name, of_table)

    def exports(
        self, exports: Sequence[SurveyedExport], names: Collection[str]
    ) -> Iterator[tuple[SurveyedExport, dict[str, pa.Table]]]:
        """Yield the exports whose tables `names` are all valid, with these tables."""
        for read in self._read_ahead(exports, names):
            if self._record(read, whole_export=True):
                yield read.export, {name: loaded.table for name, loaded in read.tables.items()}
            self._take((read.export,), names)

    def rows(
        self, exports: Sequence[SurveyedExport], name: str, *, whole_export: bool
    ) -> Iterator[tuple[SurveyedExport, pa.Table]]:
        """Yield one table of the exports in which it is valid; with `whole_export` an invalid one fails its export."""
        for read in self._read_ahead(exports, (name,)):
            if self._record(read, whole_export=whole_export):
                yield read.export, read.tables[name].table
            self._take((read.export,), (name,))

    def _expect(self, tables: Sequence[SurveyedTable]) -> None:
        """Count the reads of each file, release the files that are not read, and fetch the others in this order."""
        self._pending_reads.update(table.source for table in tables)
        planned = {table.file.path for e in self._survey.plan.exports for table in e.tables.values()}
        for path in sorted(planned - self._pending_reads.keys()):
            self._inputs.release(path)
        self._inputs.expect(dict.fromkeys(table.source for table in tables))

    def _expect_work(self, names: Collection[str]) -> None:
        """Announce to the counter of work how much is read, if these tables of all exports are."""
        exports = self._survey.exports
        self._tables_left = Counter({e.index: sum(name in names for name in e.tables) for e in exports})
        read = [export for export in exports if self._tables_left[export.index]]
        self._table_bytes = {e.index: e.export.size / self._tables_left[e.index] for e in read}
        self._work.expect(sum(export.export.size for export in read), len(exports) - len(read))

    def _take(self, exports: Iterable[SurveyedExport], names: Collection[str]) -> None:
        """Count these tables of exports as work whose rows the writer has taken."""
        size, done = 0.0, 0
        for export in exports:
            tables = sum(name in names for name in export.tables)
            self._tables_left[export.index] -= tables
            size += tables * self._table_bytes.get(export.index, 0.0)
            done += tables > 0 and not self._tables_left[export.index]
        self._work.taken(size, done)

    def keep_files(self) -> None:
        """Release no more files, because another loader reads them: threads may still end reads of this one."""
        with self._pending_lock:
            self._keeps_files = True

    def _release(self, sources: Iterable[str]) -> None:
        """Count a read of each file as done, and release the files that have no other."""
        for source in sources:
            with self._pending_lock:
                self._pending_reads[source] -= 1
                if not self._pending_reads[source] and not self._keeps_files:
                    self._inputs.release(source)

    def _record(self, read: ReadExport, *, whole_export: bool) -> bool:
        """Record the result of reading an export in the ledger; return whether it is valid."""
        if read.invalid is not None:
            self._ledger.fail(read.export, read.invalid, read.reason, whole_export=whole_export)
            return False
        for name, loaded in read.tables.items():
            self._ledger.add_repairs(read.export, read.export.tables[name].shown_name, loaded.repairs)
        return True

    def _read_ahead(self, exports: Sequence[SurveyedExport], names: Collection[str]) -> Iterator[ReadExport]:
        tasks = (Task(partial(self._read, export, names), export.export.size) for export in exports)
        return self._executor.map_ordered(tasks, self._ahead_bytes)

    def _read(self, export: SurveyedExport, names: Collection[str]) -> ReadExport:
        try:
            return self._read_tables(export, names)
        finally:
            self._release([export.tables[name].source for name in names if name in export.tables])

    def _read_tables(self, export: SurveyedExport, names: Collection[str]) -> ReadExport:
        tables = {}
        for name in names:
            table = export.tables.get(name)
            if table is not None:
                try:
                    tables[name] = self._loader.read(table, self._survey.schemas[name].schema)
                    self._work.read(self._table_bytes.get(export.index, 0.0))
                except InvalidTableError as error:
                    if self._must_be_a_double(name, error):
                        raise
                    return ReadExport(export, {}, name, error.reason)
        return ReadExport(export, tables)

    def _must_be_a_double(self, name: str, error: InvalidTableError) -> bool:
        """Return True if a table holds a fraction in a column that is an integer by its name only."""
        return isinstance(error, FractionError) and error.column in self._survey.integers_by_name.get(name, ())

    def _groups(self, exports: Sequence[SurveyedExport]) -> Iterator[list[SurveyedExport]]:
        """Yield as many exports together as stay below a batch's size, in order."""
        group: list[SurveyedExport] = []
        size = 0
        for export in exports:
            if group and size + export.export.size > self.batch_bytes:
                yield group
                group, size = [], 0
            group.append(export)
            size += export.export.size
        if group:
            yield group

    def _batch_task(
        self, read: BatchRead, process: Callable[[ExportBatch], Result]
    ) -> Task[tuple[BatchRead, tuple[ReadExport, ...], Result]]:
        """Return a task whose subtasks read one table each; the thread that finishes the last one makes the batch."""
        subtasks = read.subtasks()
        part = read.size / max(1, len(subtasks))
        counted = tuple(partial(self._counted, subtask, part) for subtask in subtasks)
        return Task(partial(self._process_batch, read, process), read.size, counted)

    def _counted(self, subtask: Callable[[], ConcatenatedTables | None], size: float) -> ConcatenatedTables | None:
        """Read a table of a batch, and count it unless it must be read again."""
        if (read := subtask()) is not None:
            self._work.read(size)
        return read

    def _process_batch(
        self, read: BatchRead, process: Callable[[ExportBatch], Result], *results: ConcatenatedTables | None
    ) -> tuple[BatchRead, tuple[ReadExport, ...], Result]:
        """Make the batch and process it; its exports are read one by one if their tables cannot be read as one."""
        exports: tuple[ReadExport, ...] = ()
        try:
            batch = read.batch(results)
            if batch is None:
                exports = tuple(self._read_tables(export, read.names) for export in read.exports)
                batch = self._batch_of([export for export in exports if export.invalid is None], read.names)
        finally:
            self._release(table.source for table in read.tables)
        return read, exports, process(batch)

    def _batch_of(self, valid: Sequence[ReadExport], names: Sequence[str]) -> ExportBatch:
        """Return the batch of exports that were read one by one."""
        tables, export_of_row = {}, {}
        for name in names:
            having = [read for read in valid if name in read.tables]
            own = [read.tables[name].table for read in having]
            tables[name] = pa.concat_tables(own or [self._survey.schemas[name].schema.empty_table()])
            export_of_row[name] = index_of_each_row([read.export for read in having], [table.num_rows for table in own])
        return ExportBatch(tuple(read.export for read in valid), tables, export_of_row)


def _sum_repairs(repairs: Iterable[Repair]) -> list[Repair]:
    """Return repairs with the counts of equal ones added up."""
    counts = Counter[tuple[str, str, str]]()
    for repair in repairs:
        counts[repair.column, repair.text, repair.became] += repair.count
    return [Repair(column, text, became, count) for (column, text, became), count in counts.items()]
