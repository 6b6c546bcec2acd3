"""Derive profiles of files with whole rows again: CSV files, and archives of arrays. Nothing is joined there."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from cytobatch.config.plural import plural
from cytobatch.pipeline.verification.arrays import read_arrays
from cytobatch.pipeline.verification.check import OWN_NUMBER, SourceCheck
from cytobatch.pipeline.verification.derive import ProfileRow, value_difference
from cytobatch.pipeline.verification.exports import OBJECTS, Export, Files, by_number, exports_of
from cytobatch.pipeline.verification.likeliest_origins import LikeliestOrigins
from cytobatch.pipeline.verification.links import sourced_columns
from cytobatch.pipeline.verification.location import is_same_place, places
from cytobatch.pipeline.verification.model import Derived, Difference, DifferenceKind
from cytobatch.pipeline.verification.profile import drawn, key_columns, repeated, row_count, rows_at
from cytobatch.pipeline.verification.tables import Row, UnreadableTableError, WholeTable, read_rows, whole_number
from cytobatch.pipeline.verification.values import Published, Raw, Repairs, is_missing, is_same

_KEYS = ("OBJECT ID", "Plate ID", "WELL LABEL", "Row", "Column", "FOV", "Z", "T")
_ROWS_AT_ONCE = 2_000
_ZIP_MAGIC = b"PK"

Key = tuple[str, ...]


class Origins(Protocol):
    """How rows of a profile lead to rows of files."""

    @property
    def columns(self) -> Sequence[str]:
        """The profile's columns that lead there, which are not compared otherwise."""
        ...

    @property
    def exports(self) -> Sequence[object]:
        """What identifies the export of each row of the profile."""
        ...

    def repeated(self) -> Sequence[int]:
        """Return the positions of rows whose keys an earlier row has."""
        ...

    def differences(self, row: ProfileRow, export: Export) -> Iterator[Difference]:
        """Yield the values of `columns` that differ from those of an export."""
        ...

    def candidates(self, row: ProfileRow) -> Sequence[Export]:
        """Return the exports that a row may be of."""
        ...

    def rows_of(self, table: WholeTable, export: Export) -> Callable[[ProfileRow], Sequence[Row]]:
        """Return a function that finds the rows of an export's table that a row may come from."""
        ...


def whole_rows(check: SourceCheck, files: Files) -> Derived | None:
    """Derive rows again, and compare them. None if rows are joined from several tables."""
    exports = exports_of(check.report.ledger)
    if not exports or any(export.tables.keys() != {OBJECTS} for export in exports):
        return None
    with files.whole(exports[0].tables[OBJECTS].path).open("rb") as stream:
        is_archive = stream.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    if not is_archive:
        return _WholeRows(check, files, _ByKeys.of(check, exports, files), read_rows).run()
    if check.report.counts.rows_dropped_as_null:
        raise check.not_derivable("rows were dropped, and only their order tells objects without numbers apart")
    return _WholeRows(check, files, _ByOrder.of(check, exports, files), read_arrays).run()


def _key(values: Sequence[Published | Raw]) -> Key:
    """Return keys in one spelling: numbers of a file are text."""
    plain = ("" if isinstance(value, bytes) or _is_absent(value) else str(value).strip() for value in values)
    return tuple(text if (number := whole_number(text)) is None else str(number) for text in plain)


def _is_absent(value: Published | Raw) -> bool:
    return value is None or (isinstance(value, str) and is_missing(value))


@dataclass(frozen=True, slots=True)
class _ByKeys:
    """Rows that have the number of their object, and the well and field that count objects: `keys` by source column."""

    keys: Mapping[str, str]
    number: str | None
    published: Mapping[str, Sequence[object]]
    by_number: Mapping[object, Sequence[Export]]
    every: Sequence[Export]
    repairs: Repairs

    @classmethod
    def of(cls, check: SourceCheck, exports: Sequence[Export], files: Files) -> "_ByKeys":
        sources = {str(column["source_column"]): str(column["name"]) for column in check.columns}
        keys = {name: sources[name] for name in _KEYS if name in sources}
        number = OWN_NUMBER if OWN_NUMBER in check.names and OWN_NUMBER not in keys.values() else None
        names = [*keys.values(), *([number] if number else [])]
        published = key_columns(check.profile, names)
        numbered = by_number(exports, files, published[number]) if number else {}
        return cls(keys, number, published, numbered, exports, check.repairs())

    @property
    def columns(self) -> Sequence[str]:
        return list(self.published)

    @property
    def exports(self) -> Sequence[object]:
        return self.published[self.number] if self.number else list(zip(*self.published.values(), strict=True))

    def repeated(self) -> Sequence[int]:
        return repeated(self.published) if self.number or len(self.every) == 1 else ()

    def differences(self, row: ProfileRow, export: Export) -> Iterator[Difference]:  # noqa: ARG002
        yield from ()  # the keys are those by which the row was found

    def candidates(self, row: ProfileRow) -> Sequence[Export]:
        return self.by_number.get(row.values[self.number], ()) if self.number else self.every

    def rows_of(self, table: WholeTable, export: Export) -> Callable[[ProfileRow], Sequence[Row]]:  # noqa: ARG002
        found: dict[Key, list[Row]] = defaultdict(list)
        for row in table.rows:
            found[_key([self.repairs.repaired(OBJECTS, name, row.get(name)) for name in self.keys])].append(row)
        return lambda row: found.get(_key([row.values[name] for name in self.keys.values()]), ())


@dataclass(frozen=True, slots=True)
class _ByOrder:
    """Rows in the order of the files, of which `starts` has the position of the first row of each."""

    output: str
    columns: Sequence[str]
    starts: Sequence[int]
    numbers: Mapping[str, frozenset[object]]
    every: Sequence[Export]
    rows: int

    @classmethod
    def of(cls, check: SourceCheck, exports: Sequence[Export], files: Files) -> "_ByOrder":
        counts = [export.tables[OBJECTS].rows or 0 for export in exports]
        starts = [sum(counts[:index]) for index in range(len(counts))]
        columns = [name for name in check.names if name == OWN_NUMBER]
        numbered = bool(check.report.options.get("add_tablenumber"))
        numbers = {each.path: each.numbers(files) if numbered else frozenset({None}) for each in exports}
        return cls(check.output, columns, starts, numbers, exports, row_count(check.profile))

    @property
    def exports(self) -> Sequence[object]:
        return [self._export_at(position).path for position in range(self.rows)]

    def repeated(self) -> Sequence[int]:
        return ()

    def differences(self, row: ProfileRow, export: Export) -> Iterator[Difference]:
        expected = self.numbers[export.path]
        for name in self.columns:
            if row.values[name] not in expected:
                yield value_difference(self.output, row, name, " or ".join(map(str, expected)))

    def candidates(self, row: ProfileRow) -> Sequence[Export]:
        return [self._export_at(row.position)]

    def _export_at(self, position: int) -> Export:
        return self.every[bisect_right(self.starts, position) - 1]

    def rows_of(self, table: WholeTable, export: Export) -> Callable[[ProfileRow], Sequence[Row]]:
        start = self.starts[self.every.index(export)]
        return lambda row: list(islice(table.rows, row.position - start, row.position - start + 1))


class _WholeRows:
    """One verification of whole rows against the source."""

    def __init__(self, check: SourceCheck, files: Files, origins: Origins, read: Callable[[Path], WholeTable]) -> None:
        self._check, self._files, self._origins, self._read = check, files, origins, read
        self._columns = sourced_columns(check.columns, {OBJECTS})
        self._places = check.places({column.name for column in self._columns})
        self._repairs = check.repairs()
        self._exports = exports_of(check.report.ledger)
        self._unread: dict[str, str] = {}
        self._skipped = 0

    def run(self) -> Derived:
        differences = [
            Difference(DifferenceKind.IDENTITY, self._check.output, "an earlier row has the same keys", position)
            for position in self._origins.repeated()
        ]
        positions = drawn(self._origins.exports, self._check.cells, self._check.seed)
        names = [*self._origins.columns, *(column.name for column in self._columns), *self._places]
        for start in range(0, len(positions), _ROWS_AT_ONCE):
            at_once = positions[start : start + _ROWS_AT_ONCE]
            differences += self._compared(list(rows_at(self._check.profile, at_once, list(dict.fromkeys(names)))))
        if self._check.cells is None and not self._unread:
            objects = sum(len(table.rows) for export in self._exports if (table := self._table(export)) is not None)
            differences += self._check.lost_rows(len(positions), objects)
        cells = len(positions) - self._skipped
        return Derived(cells, cells * len(self._columns), self._not_derived(), differences)

    def _compared(self, rows: Sequence[ProfileRow]) -> Iterator[Difference]:
        """Yield the differences of rows, each looked for in some exports; those of its likeliest origin."""
        groups: dict[str, list[ProfileRow]] = defaultdict(list)
        exports = {export.path: export for row in rows for export in self._origins.candidates(row)}
        for row in rows:
            for export in self._origins.candidates(row):
                groups[export.path].append(row)
        origins = LikeliestOrigins(self._check.output)
        for path, group in groups.items():
            table = self._table(exports[path])
            if table is None:
                origins.add_unread(group)
            else:
                self._add_export(origins, group, exports[path], table)
        self._skipped += origins.skipped()
        return origins.differences(rows)

    def _add_export(
        self, origins: LikeliestOrigins, rows: Sequence[ProfileRow], export: Export, table: WholeTable
    ) -> None:
        """Add the differences of rows from each row of an export that they may come from."""
        find = self._origins.rows_of(table, export)
        for row in rows:
            for source in find(row):
                found = [*self._origins.differences(row, export), *self._differences(row, source, table)]
                origins.add(row, found)

    def _table(self, export: Export) -> WholeTable | None:
        try:
            return self._read(self._files.whole(export.tables[OBJECTS].path))
        except UnreadableTableError as error:
            self._unread[export.path] = str(error)
            return None

    def _differences(self, row: ProfileRow, source: Row, table: WholeTable) -> Iterator[Difference]:
        for column in self._columns:
            raw = self._repairs.repaired(OBJECTS, column.column, source.get(column.column))
            if not is_same(row.values[column.name], raw, column.type, table.notation):
                yield value_difference(self._check.output, row, column.name, raw)
        expected = places(lambda name: self._repairs.repaired(OBJECTS, name, source.get(name)))
        for name in self._places:
            if name in expected and not is_same_place(name, row.values[name], expected[name]):
                yield value_difference(self._check.output, row, name, expected[name])

    def _not_derived(self) -> list[str]:
        skipped = [f"{plural(self._skipped, 'row')} of files that were not read"] if self._skipped else []
        return [*skipped, *(f"file {path}: {why}" for path, why in sorted(self._unread.items()))]
