"""The scan of SQLite files: declarations of tables, and the choice of those that are compartments."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

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
    SurveyedTable,
    failed_entry,
    unusual_tables,
    with_overrides,
)
from cytobatch.planning.columns import IMAGE_NUMBER, is_key, table_label
from cytobatch.planning.joins import find_keys
from cytobatch.planning.schema import requested_types, schema_by_declarations, with_types
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.sqlite import read as sqlite
from cytobatch.report.model import LedgerEntry, Outcome

_PER = re.compile(r"(?:.*_)?per_(.+)", re.IGNORECASE)
_NOT_OBJECTS = frozenset({"experiment", "image", "well"})


def scan_database(plan: ConversionPlan, export: Export, inputs: Inputs, engine: Engine) -> ExportScan:
    """Scan the tables of a SQLite file that number images. A table that numbers objects but not images is invalid."""
    file = export.files[0]
    # SQLite's write-ahead log or journal must lie beside the database when it is opened.
    path, *_ = [inputs.whole(each.path) for each in export.files]
    tables: dict[str, SurveyedTable] = {}
    defects: list[LedgerEntry] = []
    ignored: list[LedgerEntry] = []
    try:
        for sql_table in sqlite.list_tables(path):
            label = _label_of(sql_table)
            name = label.lower()
            declared = engine.sqlite_schema(path, sql_table)
            types = requested_types(name, declared.names, plan.job.column_types)
            schema = with_types(schema_by_declarations(declared), types)
            if IMAGE_NUMBER in schema.names:
                has_rows = sqlite.approximate_rows(path, sql_table, declared.names) > 0
                tables[name] = SurveyedTable(name, label, file.path, schema, has_rows, sql_table)
            elif name in USUAL_TABLES or any(is_key(column) for column in schema.names):
                defects.append(failed_entry(export, file.path, sql_table, "no ImageNumber column"))
            else:
                ignored.append(_not_read(export, file.path, sql_table))
    except InvalidTableError as error:
        return ExportScan(export, {}, (failed_entry(export, file.path, None, error.reason),))
    return ExportScan(export, tables, tuple(defects), ignored=tuple(ignored))


def _not_read(export: Export, path: str, table: str) -> LedgerEntry:
    return LedgerEntry(path=path, outcome=Outcome.IGNORED, export=export.path, table=table, reason=NOT_READ)


def _label_of(sql_table: str) -> str:
    """Return `Cells` for `Per_Cells` and `MyExpt_Per_Cells`: the names of CellProfiler's ExportToDatabase."""
    match = _PER.fullmatch(sql_table)
    return table_label(match[1] if match else sql_table)


def sqlite_preset(plan: ConversionPlan, scans: Sequence[ExportScan]) -> Preset:
    """Return the preset for `auto`: ExportToDatabase names its tables `Per_…`, cytominer-database does not."""
    names = {table.full_name for scan in scans for table in scan.tables.values()}
    has_per_tables = any(_PER.fullmatch(name) for name in names)
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
            f"no table for compartment(s) {', '.join(absent) or 'at all'}",
            where=plan.job.source,
            why=f"the SQLite file(s) hold {', '.join(shown)}",
            remedy="name the compartments that are there with 'compartments', or use preset 'auto'",
        )
    unusual = _unusual_tables(plan, scans)
    return [_with_unusual_defects(_keep_tables(scan, kept, unusual), scan, unusual) for scan in scans]


def _with_unusual_defects(result: ExportScan, scan: ExportScan, unusual: Collection[str]) -> ExportScan:
    """Return `result` with a defect for each unusual table of the scan that it is made from."""
    tables = [table for name, table in scan.tables.items() if name in unusual]
    defects = (failed_entry(scan.export, table.source, table.shown_name, UNUSUAL) for table in tables)
    return replace(result, defects=(*result.defects, *defects))


def _keep_tables(scan: ExportScan, kept: Sequence[str], unusual: Collection[str]) -> ExportScan:
    """Return the scan with the tables `kept`; others are ignored, and those that it lacks are defects."""
    tables = {name: scan.tables[name] for name in kept if name in scan.tables}
    others = [table for name, table in scan.tables.items() if name not in tables and name not in unusual]
    ignored = (*scan.ignored, *(_not_read(scan.export, table.source, table.shown_name) for table in others))
    if scan.defects:
        return replace(scan, tables=tables, ignored=ignored)
    defects = [failed_entry(scan.export, scan.export.path, name, MISSING) for name in kept if name not in tables]
    return replace(scan, tables=tables, defects=tuple(defects), ignored=ignored)
