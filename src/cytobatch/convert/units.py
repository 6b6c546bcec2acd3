"""Exports read ahead of who uses their rows: table by table, or in units of bounded size that are joined as one."""

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from cytobatch.convert.account import Account
from cytobatch.convert.means import Means
from cytobatch.errors import UnsoundTableError
from cytobatch.join import JoinedRows, Joiner, Unit
from cytobatch.staging import StagedTable, Stager
from cytobatch.survey import Survey, SurveyedExport
from cytobatch.workers import Task


@dataclass(frozen=True, slots=True)
class ReadExport:
    """What reading some tables of an export gave: the tables, or the one that is unsound and why."""

    export: SurveyedExport
    tables: Mapping[str, StagedTable]
    unsound: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReadUnit:
    """A unit, what reading each of its exports gave, and which of its rows make the profile."""

    read: tuple[ReadExport, ...]
    unit: Unit
    joined: JoinedRows


class UnitReader:
    """Reads exports ahead, side by side; those of which a table turns out unsound go to the account."""

    def __init__(self, survey: Survey, means: Means, account: Account) -> None:
        self._survey = survey
        self._inputs = means.inputs
        self._stager = Stager(means.inputs, means.engine, means.scratch, means.unit_bytes)
        self._account = account
        self._workers = means.workers
        self._readers_of_file = Counter[str]()
        self._counting = threading.Lock()
        self.unit_bytes = means.unit_bytes

    def expect(self, names: Collection[str]) -> None:
        """These tables of all exports will be read, once each; their files are not needed afterwards."""
        tables = [table for e in self._survey.exports for name, table in e.tables.items() if name in names]
        self._readers_of_file.update(table.source for table in tables)
        self._inputs.expect(dict.fromkeys(table.source for table in tables))

    def units(self, names: Sequence[str], exports: Sequence[SurveyedExport], joiner: Joiner) -> Iterator[ReadUnit]:
        """The tables `names` of exports in order, as many together as stay below the size of a unit."""
        tasks = (
            Task(partial(self._unit, group, names, joiner), sum(export.export.size for export in group))
            for group in self._groups(exports)
        )
        for read in self._workers.ahead(tasks, self._room):
            for one in read.read:
                self._enter(one, whole_export=True)
            yield read

    def exports(
        self, exports: Sequence[SurveyedExport], names: Collection[str]
    ) -> Iterator[tuple[SurveyedExport, dict[str, pa.Table]]]:
        """Those of the exports of which all tables `names` are sound, with these tables."""
        tasks = (Task(partial(self._read, export, names), export.export.size) for export in exports)
        for read in self._workers.ahead(tasks, self._room):
            if self._enter(read, whole_export=True):
                yield read.export, {name: staged.table for name, staged in read.tables.items()}

    def rows(
        self, exports: Sequence[SurveyedExport], name: str, *, whole_export: bool
    ) -> Iterator[tuple[SurveyedExport, pa.Table]]:
        """One table of those exports in which it is sound; with `whole_export` others are left out with it."""
        tasks = (Task(partial(self._read, export, (name,)), export.export.size) for export in exports)
        for read in self._workers.ahead(tasks, self._room):
            if self._enter(read, whole_export=whole_export):
                yield read.export, read.tables[name].table

    @property
    def _room(self) -> int:
        """One unit for each thread, and one that waits to be used."""
        return self.unit_bytes * (self._workers.count + 1) if self._workers.count > 1 else 1

    def _enter(self, read: ReadExport, *, whole_export: bool) -> bool:
        """Enters what reading an export gave into the account; whether it is sound."""
        if read.unsound is not None:
            self._account.fail(read.export, read.unsound, read.reason, whole_export=whole_export)
            return False
        for name, staged in read.tables.items():
            self._account.repaired(read.export, read.export.tables[name].shown_name, staged.repairs)
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
                    tables[name] = self._stager.read(table, self._survey.schemas[name].schema)
                except UnsoundTableError as error:
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
            if waiting and size + export.export.size > self.unit_bytes:
                yield waiting
                waiting, size = [], 0
            waiting.append(export)
            size += export.export.size
        if waiting:
            yield waiting

    def _unit(self, exports: Sequence[SurveyedExport], names: Sequence[str], joiner: Joiner) -> ReadUnit:
        read = tuple(self._read(export, names) for export in exports)
        sound = [one for one in read if one.unsound is None]
        together, owners = {}, {}
        for name in names:
            parts = [(one.export.index, one.tables[name].table) for one in sound if name in one.tables]
            empty = self._survey.schemas[name].schema.empty_table()
            together[name] = pa.concat_tables([empty, *(table for _, table in parts)])
            owned = [pa.repeat(pa.scalar(index, pa.int64()), table.num_rows) for index, table in parts]
            owners[name] = pa.concat_arrays([pa.array([], pa.int64()), *owned])
        unit = Unit(tuple(one.export for one in sound), together, owners)
        return ReadUnit(read, unit, joiner.rows_of(unit))
