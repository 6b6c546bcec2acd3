"""Exports read ahead of who uses their rows: table by table, or in units of bounded size."""

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
from cytobatch.conversion.table_loader import LoadedTable, TableLoader
from cytobatch.engine.executor import Task
from cytobatch.errors import FastPathUnavailable, InvalidTableError
from cytobatch.readers.csv.body import CsvGroup
from cytobatch.readers.csv.concat import ConcatenatedTables
from cytobatch.readers.sqlite.affinity import ValueCoercer
from cytobatch.survey.model import Survey, SurveyedExport, SurveyedTable, TableSchema

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ReadExport:
    """What reading some tables of an export gave: the tables, or the one that is unsound and why."""

    export: SurveyedExport
    tables: Mapping[str, LoadedTable]
    unsound: str | None = None
    reason: str = ""


class ExportLoader:
    """Reads exports ahead, side by side; those of which a table turns out unsound go to the account."""

    def __init__(self, survey: Survey, resources: RunResources, ledger: RunLedger) -> None:
        self._survey = survey
        self._inputs = resources.inputs
        self._loader = TableLoader(resources)
        self._ledger = ledger
        self._executor = resources.executor
        self._readers_of_file = Counter[str]()
        self._counting = threading.Lock()
        self._ahead_bytes = resources.ahead_bytes
        self.batch_bytes = resources.batch_bytes
        # A part's rows are there twice while they are read: as bytes, and as columns.
        self.part_bytes = resources.batch_bytes // 2

    def expect(self, names: Collection[str]) -> None:
        """These tables of all exports will be read, once each; other files, and afterwards these, are not needed."""
        tables = [table for e in self._survey.exports for name, table in e.tables.items() if name in names]
        self._will_read(tables)
        self._inputs.expect(dict.fromkeys(table.source for table in tables))

    def expect_batches(
        self, names: Sequence[str], outputs: Iterable[Sequence[SurveyedExport]]
    ) -> list[list["BatchRead"]]:
        """The same, where each output's exports will be read in units, table by table of these; the units of each."""
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
        """What `then` makes of each unit: as many exports together as stay below a unit's size."""
        tasks = (self._batch_task(reading, then) for reading in readings)
        for read, result in self._executor.map_ordered(tasks, self._ahead_bytes):
            for one in read:
                self._enter(one, whole_export=True)
            yield result
            # While the next unit is waited for, this one is let go of.
            del read, result

    def out_of_core(self, reading: "BatchRead") -> OutOfCoreExport | None:
        """A large export by the pages of its file; None where its tables must be read whole."""
        if not reading.is_large:
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
            # Who reads it whole finds out what is odd, and tells it.
            return None
        return OutOfCoreExport(export, tables)

    def slices(
        self,
        out_of_core: OutOfCoreExport,
        slices: Sequence[ExportSlice],
        then: Callable[[ExportBatch, pa.Table], Result],
    ) -> Iterator[Result]:
        """What `then` makes of each part of a paged export: its tables, and the profile's rows among theirs."""
        met = {name: ValueCoercer(name) for name in out_of_core.tables}
        tasks = (out_of_core.task(slice_, self.part_bytes, then) for slice_ in slices)
        try:
            for result, loaded in self._executor.map_ordered(tasks, self._ahead_bytes):
                for coercer, one in zip(met.values(), loaded, strict=True):
                    coercer.add(one.repairs)
                yield result
                # While the next part is waited for, this one is let go of.
                del result, loaded, one
        finally:
            self._let_go(out_of_core.export.tables[name].source for name in out_of_core.tables)
        for name, coercer in met.items():
            self._ledger.repaired(out_of_core.export, out_of_core.export.tables[name].shown_name, coercer.repairs)

    def exports(
        self, exports: Sequence[SurveyedExport], names: Collection[str]
    ) -> Iterator[tuple[SurveyedExport, dict[str, pa.Table]]]:
        """Those of the exports of which all tables `names` are sound, with these tables."""
        tasks = (Task(partial(self._read, export, names), export.export.size) for export in exports)
        for read in self._executor.map_ordered(tasks, self._ahead_bytes):
            if self._enter(read, whole_export=True):
                yield read.export, {name: loaded.table for name, loaded in read.tables.items()}

    def rows(
        self, exports: Sequence[SurveyedExport], name: str, *, whole_export: bool
    ) -> Iterator[tuple[SurveyedExport, pa.Table]]:
        """One table of those exports in which it is sound; with `whole_export` others are left out with it."""
        tasks = (Task(partial(self._read, export, (name,)), export.export.size) for export in exports)
        for read in self._executor.map_ordered(tasks, self._ahead_bytes):
            if self._enter(read, whole_export=whole_export):
                yield read.export, read.tables[name].table

    def _enter(self, read: ReadExport, *, whole_export: bool) -> bool:
        """Enters what reading an export gave into the account; whether it is sound."""
        if read.unsound is not None:
            self._ledger.fail(read.export, read.unsound, read.reason, whole_export=whole_export)
            return False
        for name, loaded in read.tables.items():
            self._ledger.repaired(read.export, read.export.tables[name].shown_name, loaded.repairs)
        return True

    def _read(self, export: SurveyedExport, names: Collection[str]) -> ReadExport:
        try:
            return self._tables(export, names)
        finally:
            self._let_go([export.tables[name].source for name in names if name in export.tables])

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

    def _let_go(self, sources: Iterable[str]) -> None:
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
        """Reads each table of the exports at once for all of them, by any thread; who is last makes the unit."""
        size = sum(export.export.size for export in reading.exports)
        return Task(partial(self._made, reading, then), size, reading.slices())

    def _made(
        self, reading: "BatchRead", then: Callable[[ExportBatch], Result], *found: ConcatenatedTables | None
    ) -> tuple[tuple[ReadExport, ...], Result]:
        """What comes of a unit, and of what was read export by export where its tables are none."""
        exports, names = reading.exports, reading.names
        read: tuple[ReadExport, ...] = ()
        try:
            batch = reading.batch(found)
            if batch is None:
                read = tuple(self._tables(export, names) for export in exports)
                batch = self._one_by_one([one for one in read if one.unsound is None], names)
        finally:
            self._let_go(table.source for table in reading.tables)
        return read, then(batch)

    def _one_by_one(self, sound: Sequence[ReadExport], names: Sequence[str]) -> ExportBatch:
        """The tables of exports that were read each by itself."""
        tables, owners = {}, {}
        for name in names:
            own = [one for one in sound if name in one.tables]
            slices = [one.tables[name].table for one in own]
            tables[name] = pa.concat_tables(slices or [self._survey.schemas[name].schema.empty_table()])
            owners[name] = _owners([one.export for one in own], [slice_.num_rows for slice_ in slices])
        return ExportBatch(tuple(one.export for one in sound), tables, owners)


class BatchRead:
    """The tables of a unit's exports while they are read, each at once for all exports that have it.

    Once anything about one of them is odd, the others need not be read: exports are read one by one then.
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
        self._files = {name: self._together(name, having) for name, having in self._having.items() if having}
        self._odd = None in self._files.values()

    @property
    def tables(self) -> list[SurveyedTable]:
        """All of them, in the order in which they are read."""
        return [export.tables[name] for name, having in self._having.items() for export in having]

    @property
    def is_large(self) -> bool:
        """Whether it is one export in a SQLite file that is not read into memory as a whole."""
        export = self.exports[0]
        in_database = all(table.sql_table is not None for table in export.tables.values())
        return in_database and self._loader.is_large(export.export.size)

    def slices(self) -> tuple[Callable[[], ConcatenatedTables | None], ...]:
        """One for each table, which reads it."""
        return tuple(partial(self._read, name) for name in self._having)

    def _together(self, name: str, having: Sequence[SurveyedExport]) -> CsvGroup | None:
        own = [export.export.tables.get(name) for export in having]
        size = sum(table.file.size for table in own if table is not None)
        return self._loader.together([export.tables[name] for export in having], size)

    def _read(self, name: str) -> ConcatenatedTables | None:
        """One table; None where it, or another one, is odd. Raises StorageError."""
        if self._odd:
            return None
        schema, having = self._schemas[name].schema, self._having[name]
        if not having:
            return ConcatenatedTables(schema.empty_table(), ())
        files, first = self._files[name], having[0].tables[name]
        if files is None or first.shape is None:
            raise ValueError(f"the tables {name} are no text")
        try:
            return self._loader.read_group(files, first.shape, first.schema, schema)
        except FastPathUnavailable:
            self._odd = True
            return None

    def batch(self, found: Sequence[ConcatenatedTables | None]) -> ExportBatch | None:
        """The unit of what the parts gave; None where one of the tables is odd."""
        tables, owners = {}, {}
        for (name, having), together in zip(self._having.items(), found, strict=True):
            if together is None:
                return None
            tables[name] = together.table
            owners[name] = _owners(having, together.rows)
        return ExportBatch(self.exports, tables, owners)


def _owners(exports: Sequence[SurveyedExport], rows: Sequence[int]) -> pa.Array:
    """For each row the index of its export."""
    indices = np.array([export.index for export in exports], np.int64)
    return pa.array(np.repeat(indices, np.array(rows, np.int64)))
