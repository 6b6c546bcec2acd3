"""Exports cut into units of bounded size, each read whole."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa

from cytobatch.convert.account import Account
from cytobatch.errors import UnsoundTableError
from cytobatch.join import Unit
from cytobatch.staging import Stager
from cytobatch.survey import Survey, SurveyedExport

Read = Callable[[SurveyedExport, str], pa.Table]


class UnitReader:
    """Reads exports; those of which a table turns out unsound go to the account and not into a unit."""

    def __init__(self, survey: Survey, stager: Stager, account: Account, unit_bytes: int) -> None:
        self._survey = survey
        self._stager = stager
        self._account = account
        self.unit_bytes = unit_bytes

    def units(self, names: Sequence[str], exports: Sequence[SurveyedExport]) -> Iterator[Unit]:
        """The tables `names` of exports in order, as many together as stay below the size of a unit."""
        for group in self._groups(exports):
            yield self._unit(group, names)

    def table(self, export: SurveyedExport, name: str) -> pa.Table:
        """One table of one export under its unified schema. Raises UnsoundTableError."""
        table = export.tables[name]
        staged = self._stager.read(table, self._survey.schemas[name].schema)
        self._account.repaired(export, table.shown_name, staged.repairs)
        return staged.table

    def tables(self, export: SurveyedExport, names: Iterable[str], read: Read) -> dict[str, pa.Table] | None:
        """Tables of one export, each read by `read`; None, and an entry in the account, if one of them is unsound."""
        tables = {}
        for name in names:
            if name in export.tables:
                try:
                    tables[name] = read(export, name)
                except UnsoundTableError as error:
                    self._account.fail(export, name, error.reason, whole_export=True)
                    return None
        return tables

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

    def _unit(self, exports: Sequence[SurveyedExport], names: Sequence[str]) -> Unit:
        read = [
            (export, tables) for export in exports if (tables := self.tables(export, names, self.table)) is not None
        ]
        together, owners = {}, {}
        for name in names:
            parts = [(export.index, tables[name]) for export, tables in read if name in tables]
            empty = self._survey.schemas[name].schema.empty_table()
            together[name] = pa.concat_tables([empty, *(table for _, table in parts)])
            owned = [pa.repeat(pa.scalar(index, pa.int64()), table.num_rows) for index, table in parts]
            owners[name] = pa.concat_arrays([pa.array([], pa.int64()), *owned])
        return Unit(tuple(export for export, _ in read), together, owners)
