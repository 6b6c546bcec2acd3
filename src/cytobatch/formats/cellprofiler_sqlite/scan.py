"""The scan of SQLite files: declarations of tables, and the choice of those that are compartments."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from cytobatch.config.options import PlateJob
from cytobatch.config.plural import with_noun
from cytobatch.config.presets.catalog import PRESETS, USUAL_TABLES, Preset, PresetName
from cytobatch.engine.duckdb import Engine
from cytobatch.errors import InvalidTableError, LayoutError
from cytobatch.formats.base import (
    MISSING,
    NOT_READ,
    UNUSUAL,
    ConversionPlan,
    Export,
    ExportScan,
    failed_entry,
    with_overrides,
)
from cytobatch.formats.cellprofiler_sqlite.combined import split_combined
from cytobatch.formats.cellprofiler_sqlite.names import OBJECT, TableName, table_names
from cytobatch.formats.cellprofiler_sqlite.sets import TableSet, check_distinct, choose_sets, split_sets
from cytobatch.formats.cellprofiler_sqlite.table import DatabaseTable
from cytobatch.formats.cellprofiler_sqlite.types import column_types
from cytobatch.formats.table_facts import unusual_tables
from cytobatch.planning.columns import IMAGE_NUMBER, is_key, is_row_number
from cytobatch.planning.joins import find_keys
from cytobatch.planning.schema import requested_types
from cytobatch.readers.fallback import read_with_fallback
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.numbers import Repair
from cytobatch.readers.sqlite import read as sqlite
from cytobatch.readers.sqlite.guard import EndlessQueryError
from cytobatch.report.model import LedgerEntry, Outcome

_IMAGE = "image"
_COMPARTMENTS = USUAL_TABLES - {_IMAGE}
_NOT_OBJECTS = frozenset({"experiment", "image", "well"})
_MADE_UP = re.compile(r"C[0-9]+")
_VIEW = "a view"
_REPEATS = "a view beside the table of its name"
_COMBINED = "the single object table: its compartments have tables of their own"
_OTHER_SET = "of another set of tables: table_prefix takes one"
_NO_SET = "of no set of tables, where the file has several"


@dataclass(slots=True)
class _FileScan:
    """The tables of one file that number images, and the ledger entries of the others.

    `invalid` has the label and the columns of each invalid table, by its name in the file.
    """

    export: Export
    path: Path
    engine: Engine
    job: PlateJob
    tables: list[DatabaseTable] = field(default_factory=list)
    defects: list[LedgerEntry] = field(default_factory=list)
    invalid: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    ignored: list[LedgerEntry] = field(default_factory=list)

    def ignore(self, source: str, reason: str = NOT_READ) -> None:
        """Add the ledger entry of a table that is not read."""
        self.ignored.append(_not_read(self.export, source, reason))

    def fail(self, source: str, reason: str) -> None:
        """Add the ledger entry of an invalid table."""
        self.defects.append(failed_entry(self.export, self.export.files[0].path, source, reason))

    def with_invalid(self, scan: ExportScan) -> ExportScan:
        """Return the scan of an export with the labels and columns of its invalid tables."""
        for source in [entry.table for entry in scan.defects if entry.table in self.invalid]:
            scan = _with_invalid(scan, source, *self.invalid[source])
        return scan

    def add(self, name: TableName) -> None:
        """Scan a table. One that numbers objects but not images is invalid. Raises InvalidTableError."""
        everything = self.engine.sqlite_schema(self.path, name.source)
        left_out = _left_out(self.path, name.source, everything.names)
        kept = [field for field in everything if field.name not in left_out] if left_out else None
        declared = everything if kept is None else pa.schema(kept)
        requested = requested_types(name.name, declared.names, self.job.column_types)
        if IMAGE_NUMBER not in declared.names:
            numbers_objects = name.view is None and any(is_key(column) for column in declared.names)
            if name.name in USUAL_TABLES or numbers_objects:
                self.fail(name.source, "no ImageNumber column")
                self.invalid[name.source] = (name.label, tuple(declared.names))
            else:
                self.ignore(name.source)
            return
        types = column_types(self.path, name.source, declared, requested, is_image=name.name == _IMAGE)
        table = DatabaseTable(
            name=name.name,
            label=name.label,
            source=self.export.files[0].path,
            schema=types.schema,
            has_rows=_has_rows(self.path, name, declared.names),
            source_name=name.source,
            origin=name,
            numbers_only=types.numbers_by_name,
            undecided=types.undecided,
            left_out=left_out,
        )
        self.tables.append(table)


def _with_invalid(scan: ExportScan, source: str, label: str, columns: Sequence[str]) -> ExportScan:
    """Return the scan with the columns and the label of an invalid table."""
    by_name = {**scan.invalid_columns, label.lower(): tuple(columns)}
    return replace(scan, invalid_columns=by_name, invalid_labels={**scan.invalid_labels, source: label})


def _left_out(path: Path, table: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that number rows or have no name, for which DuckDB makes one up."""
    made_up = [column for column in columns if _MADE_UP.fullmatch(column)]
    nameless = set(made_up) - set(sqlite.column_names(path, table)) if made_up else set()
    return tuple(c for c in columns if is_row_number(c) or not c or c in nameless)


def _not_read(export: Export, table: str, reason: str = NOT_READ) -> LedgerEntry:
    path = export.files[0].path
    return LedgerEntry(path=path, outcome=Outcome.IGNORED, export=export.path, table=table, reason=reason)


def _has_rows(path: Path, name: TableName, columns: Sequence[str]) -> bool:
    if name.view is not None:
        return sqlite.has_rows(path, name.source)
    return sqlite.approximate_rows(path, name.source, columns) > 0


def scan_database(plan: ConversionPlan, export: Export, inputs: Inputs, engine: Engine) -> list[ExportScan]:
    """Scan the tables of a SQLite file that number images: an export, or one for each set of tables.

    Raises LayoutError if two sets are of the same image sets.
    """
    # SQLite's write-ahead log or journal must lie beside the database when it is opened.
    path, *_ = [inputs.whole(each.path) for each in export.files]
    scan = _FileScan(export, path, engine, plan.job)
    try:
        found = sqlite.list_tables_and_views(path)
        names = table_names(found.tables, found.views)
        _scan_tables(scan, names)
        tables, repeated = split_combined(scan.tables)
        sets, rest = split_sets(tables)
        chosen, others = choose_sets(plan.job, sets)
        check_distinct(chosen, export.path, partial(_read_columns, path, engine))
    except InvalidTableError as error:
        return [ExportScan(export, {}, (failed_entry(export, export.files[0].path, None, error.reason),))]
    for table in repeated:
        scan.ignore(table.shown_name, _COMBINED)
    for table in {table.shown_name: table for table in (*rest, *others)}.values():
        scan.ignore(table.shown_name, _NO_SET if table in rest else _OTHER_SET)
    return _exports(scan, chosen)


def _exports(scan: _FileScan, sets: Sequence[TableSet]) -> list[ExportScan]:
    """Return an export for each set; a single one keeps the path of its file. The first has the other tables."""
    if len(sets) <= 1:
        tables = {table.name: table for each in sets for table in each.tables}
        return [scan.with_invalid(ExportScan(scan.export, tables, tuple(scan.defects), ignored=tuple(scan.ignored)))]
    owners = [_set_of(entry.table or "", sets) for entry in scan.defects]
    scans = []
    for each in sets:
        export = each.export(scan.export)
        own = [entry for entry, owner in zip(scan.defects, owners, strict=True) if owner is each]
        defects = tuple(entry.model_copy(update={"export": export.path}) for entry in own)
        scans.append(scan.with_invalid(ExportScan(export, {table.name: table for table in each.tables}, defects)))
    return [replace(scans[0], ignored=tuple(scan.ignored)), *scans[1:]]


def _set_of(source: str, sets: Sequence[TableSet]) -> TableSet:
    """Return the set of a table that is in none, because it is invalid, by the longest prefix; or else the first."""
    fitting = [each for each in sets if source.lower().startswith(each.prefix.lower())]
    return max(fitting, key=lambda each: len(each.prefix), default=sets[0])


def _read_columns(path: Path, engine: Engine, table: DatabaseTable, columns: Sequence[str]) -> pa.Table:
    """Read columns as text. Raises InvalidTableError."""
    schema = pa.schema([table.schema.field(column) for column in columns])
    repairs: list[Repair] = []
    strategies = sqlite.strategies(engine, sqlite.SqliteTable(path, table.shown_name), schema, repairs)
    return read_with_fallback(strategies, repairs, lambda strategy: pa.Table.from_batches(strategy(), schema))


def _scan_tables(scan: _FileScan, names: Sequence[TableName]) -> None:
    """Scan the tables of a file, and then the views that are read like tables. Raises InvalidTableError."""
    tables = [name for name in names if name.view is None]
    views = [name for name in names if name.view is not None]
    chosen = []
    for view in views:
        reason = _reason_to_ignore(view, tables, views, scan.job)
        if reason:
            scan.ignore(view.source, reason)
        else:
            chosen.append(view)
    for table in tables:
        reader = next((view.source for view in chosen if _reads(view, table)), None)
        if reader:
            scan.ignore(table.source, f"read through the view {reader}")
        else:
            _add_table(scan, table)
    for view in chosen:
        try:
            scan.add(view)
        except EndlessQueryError:
            # Many such views would take long together: the file is read no further.
            raise
        except InvalidTableError as error:
            if view.is_usual:
                scan.fail(view.source, error.reason)
            else:
                scan.ignore(view.source, f"{_VIEW} that cannot be read: {error.reason}")


def _add_table(scan: _FileScan, table: TableName) -> None:
    """Scan a table. One that the layout does not know is ignored if it cannot be read. Raises InvalidTableError."""
    try:
        scan.add(table)
    except InvalidTableError as error:
        named = {name.lower() for name in (*(scan.job.compartments or ()), *(scan.job.metadata or ()))}
        if table.is_usual or table.is_per_table or table.name in named:
            raise
        scan.ignore(table.source, f"{NOT_READ}, and it cannot be read: {error.reason}")


def _reason_to_ignore(
    view: TableName, tables: Sequence[TableName], views: Sequence[TableName], job: PlateJob
) -> str | None:
    """Return why a view is not read like a table; None if it is, because the layout has a table of its name."""
    same_name = [table for table in tables if table.name == view.name]
    in_set = [table for table in tables if table.set_key == view.set_key and (table.is_usual or table.is_per_table)]
    if same_name and not in_set:
        return _REPEATS
    named = {name.lower() for name in (*(job.compartments or ()), *(job.metadata or ()))}
    if view.name == OBJECT:
        others = [each for each in (*tables, *views) if each.set_key == view.set_key and each.name in _COMPARTMENTS]
        return _VIEW if others else None
    fits = view.is_usual or view.name in named or (view.is_per_table and view.name not in _NOT_OBJECTS)
    return None if fits else _VIEW


def _reads(view: TableName, table: TableName) -> bool:
    """Return True if a view reads a table whose own name stands for no table of the layout."""
    known = table.is_usual or table.is_per_table
    return not known and re.search(rf"\b{re.escape(table.source)}\b", view.view or "", re.IGNORECASE) is not None


def sqlite_preset(plan: ConversionPlan, scans: Sequence[ExportScan]) -> Preset:
    """Return the preset for `auto`: ExportToDatabase names its tables `Per_…`, cytominer-database does not."""
    tables = [table for scan in scans for table in scan.tables.values()]
    names = [table.origin for table in tables if isinstance(table, DatabaseTable)]
    has_per_tables = any(each.is_per_table for each in names)
    name = PresetName.CELLPROFILER_SQLITE if has_per_tables else PresetName.CELL_HEALTH
    preset = with_overrides(PRESETS[name], plan.job)
    if plan.job.compartments:
        return preset
    return replace(preset, compartments=tuple(sorted(_object_tables(scans) - _unusual_tables(plan, scans))))


def _object_tables(scans: Iterable[ExportScan]) -> set[str]:
    return {name for scan in scans for name in scan.tables if _has_objects(scan, name)}


def _has_objects(scan: ExportScan, name: str) -> bool:
    table = scan.tables[name]
    return name not in _NOT_OBJECTS and find_keys(name, table.label, table.schema.names, ()) is not None


def _unusual_tables(plan: ConversionPlan, scans: Sequence[ExportScan]) -> set[str]:
    """Return the object tables that most of the readable files lack."""
    if plan.preset is not None or plan.job.compartments:
        return set()
    counts = Counter(name for scan in scans for name in scan.tables if _has_objects(scan, name))
    readable = sum(bool(scan.tables) for scan in scans)
    return unusual_tables(counts, USUAL_TABLES, readable)


def choose_tables(plan: ConversionPlan, preset: Preset, scans: Sequence[ExportScan]) -> list[ExportScan]:
    """Keep the preset's tables. A table that other files have and one file lacks is a defect of that file.

    Raises LayoutError if a compartment is in no file.
    """
    present = {name for scan in scans for name in scan.tables}
    kept = [name for name in (*preset.compartments, *preset.metadata) if name in present]
    absent = [name for name in preset.compartments if name not in present]
    if present and (absent or not preset.compartments):
        shown = sorted({table.shown_name for scan in scans for table in scan.tables.values()})
        raise LayoutError(
            f"no table for {with_noun(absent, 'compartment') if absent else 'compartments at all'}",
            where=plan.job.source,
            why=f"the SQLite files hold {', '.join(shown)}",
            remedy="name the compartments that are there with 'compartments', or use preset 'auto'",
        )
    unusual = _unusual_tables(plan, scans)
    return [_with_unusual_defects(_keep_tables(scan, kept, unusual), scan, unusual) for scan in scans]


def _with_unusual_defects(result: ExportScan, scan: ExportScan, unusual: Collection[str]) -> ExportScan:
    """Return `result` with a defect for each unusual table of the scan that it is made from."""
    tables = [table for name, table in scan.tables.items() if name in unusual]
    defects = (failed_entry(scan.export, table.source, table.shown_name, UNUSUAL) for table in tables)
    result = replace(result, defects=(*result.defects, *defects))
    for table in tables:
        result = _with_invalid(result, table.shown_name, table.label, table.schema.names)
    return result


def _keep_tables(scan: ExportScan, kept: Sequence[str], unusual: Collection[str]) -> ExportScan:
    """Return the scan with the tables `kept`; others are ignored, and those that it lacks are defects."""
    tables = {name: scan.tables[name] for name in kept if name in scan.tables}
    others = [table for name, table in scan.tables.items() if name not in tables and name not in unusual]
    ignored = (*scan.ignored, *(_not_read(scan.export, table.shown_name) for table in others))
    if scan.defects:
        return replace(scan, tables=tables, ignored=ignored)
    defects = [
        failed_entry(scan.export, scan.export.files[0].path, name, MISSING) for name in kept if name not in tables
    ]
    return replace(scan, tables=tables, defects=tuple(defects), ignored=ignored)
