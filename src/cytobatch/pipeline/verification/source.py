"""Derive rows of a profile again from the files of its source."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cytobatch.config.plural import plural
from cytobatch.pipeline.verification.check import OWN_NUMBER, SourceCheck
from cytobatch.pipeline.verification.derive import ExportTables, Plan, ProfileRow, RowKey, row_differences
from cytobatch.pipeline.verification.exports import IMAGE_TABLES, Export, Files, by_number, exports_of
from cytobatch.pipeline.verification.likeliest_origins import LikeliestOrigins
from cytobatch.pipeline.verification.links import Links, sourced_columns
from cytobatch.pipeline.verification.model import Derived, Difference, DifferenceKind
from cytobatch.pipeline.verification.profile import drawn, key_columns, repeated, rows_at
from cytobatch.pipeline.verification.tables import (
    IMAGE_NUMBER,
    OBJECT_NUMBER,
    TABLE_NUMBER,
    ImageKey,
    SourceTable,
    UnreadableTableError,
    count_rows,
    read_table,
)
from cytobatch.pipeline.verification.whole_rows import whole_rows
from cytobatch.planning.inventory import Inventory
from cytobatch.report.lines import shortened
from cytobatch.report.model import Outcome, RunReport
from cytobatch.storage.source import Source

_SHOWN = 5
_LOG_INDEX = "-shm"
_ROWS_AT_ONCE = 2_000
"""Rows that are held in memory, with the rows of the source for them. A row may have thousands of values."""


@dataclass(frozen=True, slots=True)
class _Keys:
    """The columns of the profile that lead a row to its object.

    `number` is None if rows have no TableNumber; `is_made` is True if the run made it, and no table has it.
    """

    image: str
    object_number: str
    number: str | None
    is_made: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.number, self.image, self.object_number) if name)

    def made_number(self, row: ProfileRow) -> object:
        """Return the number that the run has made for the export of a row; None if it made none."""
        return row.values[self.number] if self.number and self.is_made else None

    def of(self, row: ProfileRow) -> RowKey:
        number = None if self.number is None or self.is_made else row.values[self.number]
        return RowKey(
            (None if number is None else str(number), _whole(row, self.image)), _whole(row, self.object_number)
        )


def _whole(row: ProfileRow, column: str) -> int:
    value = row.values[column]
    return value if isinstance(value, int) else -1


def derived_again(check: SourceCheck, cache: Path) -> Derived:
    """Derive rows again, and compare them with the published ones.

    Raises
    ------
    InputDataError
        If rows of this layout cannot be derived again.
    StorageError
        If the source cannot be reached.
    """
    _check_joins(check)
    source = Source(check.job, cache)
    inventory = source.inventory()
    changed = list(_changed_files(check.report, inventory))
    if any(difference.kind is DifferenceKind.MISSING for difference in changed):
        return Derived(0, 0, ("no row, because files of the source are missing",), changed)
    # SQLite writes the index of a write-ahead log when it reads: that is no change of the source.
    read = [file for file in inventory.files if not file.path.endswith(_LOG_INDEX)]
    with source.inputs(read, 0) as files:
        found = whole_rows(check, files) or _joined_rows(check, files)
    return replace(found, differences=(*changed, *found.differences))


def _check_joins(check: SourceCheck) -> None:
    """Raise InputDataError if rows are made by SQL of the job."""
    if check.report.options.get("joins") is not None:
        raise check.not_derivable("its rows are made by SQL of the job (option joins), which is not run again")


def _joined_rows(check: SourceCheck, files: Files) -> Derived:
    links = Links.of_report(check.report.joins)
    if links is None:
        raise check.not_derivable("its rows are not made by the usual joins of compartments")
    return _Derivation(check, links, _keys(check, links), files).run()


def _changed_files(report: RunReport, inventory: Inventory) -> Iterator[Difference]:
    """Yield the files that the run converted, and that are missing now or have another size."""
    sizes = {file.path: file.size for file in inventory.files}
    converted = {entry.path: entry.size for entry in report.ledger if entry.outcome is Outcome.CONVERTED}
    for path, size in converted.items():
        if path not in sizes:
            yield Difference(DifferenceKind.MISSING, path, "the file is not at the source")
        elif size is not None and sizes[path] != size:
            what = "size of a source file in bytes"
            yield Difference(DifferenceKind.SOURCE, path, what, None, None, str(size), str(sizes[path]))


class _Derivation:
    """One verification of rows against the source."""

    def __init__(self, check: SourceCheck, links: Links, keys: _Keys, files: Files) -> None:
        self._check, self._keys, self._files = check, keys, files
        self._exports = exports_of(check.report.ledger)
        tables = {name for export in self._exports for name in export.tables} - set(links.others)
        columns = sourced_columns(check.columns, tables)
        places = check.places({column.name for column in columns})
        self._plan = Plan(check.output, links, columns, places, check.repairs())
        self._labels = {str(c["source_table"]): str(c["compartment"]) for c in check.columns if c["compartment"]}
        self._tables = {links.base, *IMAGE_TABLES, *(column.table for column in columns)}
        self._unread: dict[str, str] = {}
        self._skipped = 0

    def run(self) -> Derived:
        published = key_columns(self._check.profile, self._keys.names)
        differences = [
            Difference(DifferenceKind.IDENTITY, self._check.output, "an earlier row has the same keys", position)
            for position in repeated(published)
        ]
        numbers = published[self._keys.number] if self._keys.number else published[self._keys.image]
        positions = drawn(numbers, self._check.cells, self._check.seed)
        exports: Mapping[object, Sequence[Export]] = {None: self._exports}
        if self._keys.is_made:
            exports = by_number(self._exports, self._files, {numbers[position] for position in positions})
        for start in range(0, len(positions), _ROWS_AT_ONCE):
            for number, group in self._by_export(positions[start : start + _ROWS_AT_ONCE]).items():
                differences += self._compared(exports.get(number, ()), group)
        if self._check.cells is None:
            differences += self._lost_rows(len(positions))
        cells = len(positions) - self._skipped
        values = cells * sum(column.table not in self._unread for column in self._plan.columns)
        return Derived(cells, values, self._not_derived(), differences)

    def _lost_rows(self, rows: int) -> list[Difference]:
        """Return a difference if there are fewer rows than objects of the base compartment."""
        base = self._plan.links.base
        if base in self._unread:
            return []
        entries = [export.tables[base] for export in self._exports if base in export.tables]
        counts = [count_rows(self._files.whole(entry.path), entry.table or base) for entry in entries]
        known = [count for count in counts if count is not None]
        return self._check.lost_rows(rows, sum(known)) if len(known) == len(counts) else []

    def _by_export(self, positions: Sequence[int]) -> Mapping[object, Sequence[ProfileRow]]:
        """Return rows of the profile by the number that the run made for their export; None if it made none."""
        names = [*self._keys.names, *(column.name for column in self._plan.columns), *self._plan.places]
        rows: dict[object, list[ProfileRow]] = defaultdict(list)
        for row in rows_at(self._check.profile, positions, list(dict.fromkeys(names))):
            rows[self._keys.made_number(row)].append(row)
        return rows

    def _compared(self, exports: Iterable[Export], rows: Sequence[ProfileRow]) -> Iterator[Difference]:
        """Yield the differences of rows, each looked for in some exports; those of its likeliest origin."""
        images = {self._keys.of(row).image for row in rows}
        origins = LikeliestOrigins(self._check.output)
        for export in exports:
            tables = self._read(export, images)
            for row in rows:
                key = self._keys.of(row)
                for base in tables.base_rows(self._plan.links.base, key):
                    origins.add(row, list(row_differences(row, base, key, tables, self._plan)))
        if self._plan.links.base in self._unread:
            origins.add_unread(rows)
        self._skipped += origins.skipped()
        return origins.differences(rows)

    def _read(self, export: Export, images: set[ImageKey]) -> ExportTables:
        tables: dict[str, SourceTable] = {}
        unread: dict[str, str] = {}
        if self._plan.links.base not in export.tables:
            unread[self._plan.links.base] = f"{export.path} has no table of its own for it"
        for name, entry in export.tables.items():
            if name not in self._tables:
                continue
            try:
                tables[name] = read_table(self._files.whole(entry.path), entry.table or name, images)
            except UnreadableTableError as error:
                unread[name] = str(error)
        self._unread |= unread
        return ExportTables(tables, unread, self._labels)

    def _not_derived(self) -> list[str]:
        """Return what was not derived, and why."""
        derived = {*self._keys.names, *self._plan.places, *(column.name for column in self._plan.columns)}
        left = [str(c["name"]) for c in self._check.columns if c["name"] not in derived]
        come = plural(len(left), "column that comes", "columns that come")
        what = f"{come} from no single column of a table: {shortened(left, _SHOWN)}"
        columns = [what] if left else []
        skipped = [f"{plural(self._skipped, 'row')} of exports whose base table was not read"] if self._skipped else []
        return [*columns, *skipped, *(f"table {name}: {why}" for name, why in sorted(self._unread.items()))]


def _keys(check: SourceCheck, links: Links) -> _Keys:
    """Return the columns of the profile with its keys. Raises InputDataError if one is missing."""
    own = [column for column in check.columns if column["source_table"] == links.base]
    sources = {str(column["source_column"]): str(column["name"]) for column in own}
    number = next((name for name in sources if name == OBJECT_NUMBER), None) or next(
        (name for name in sources if name.endswith(("_ObjectNumber", "Number_Object_Number"))), None
    )
    if IMAGE_NUMBER not in sources or number is None:
        raise check.not_derivable("it has no columns with the numbers of images and objects")
    names = {str(column["name"]) for column in check.columns}
    made = OWN_NUMBER in names and TABLE_NUMBER not in sources
    own_number = OWN_NUMBER if made else sources.get(TABLE_NUMBER)
    return _Keys(sources[IMAGE_NUMBER], sources[number], own_number, made)
