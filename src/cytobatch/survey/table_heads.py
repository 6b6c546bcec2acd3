"""Each export's tables as their first lines or declarations show them, and which of them are unsound."""

import functools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from cytobatch.config.presets.presets import PRESETS, USUAL_TABLES, Preset, PresetName, SourceKind
from cytobatch.engine.duckdb import Engine
from cytobatch.errors import InvalidTableError, LayoutError
from cytobatch.planning.columns import HEADERS, IMAGE_NUMBER, ColumnKind, is_key, kind_of, table_label
from cytobatch.planning.joins import find_keys
from cytobatch.planning.model import (
    MISSING,
    NOT_READ,
    UNUSUAL,
    ConversionPlan,
    CsvTable,
    Export,
    unusual_tables,
    with_overrides,
)
from cytobatch.planning.schema import csv_schema, requested_types, sqlite_schema, with_types
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.header import (
    CUT_END,
    CsvHead,
    PartialHeadError,
    ends_with_newline,
    read_combined_head,
    read_head,
    unsound,
)
from cytobatch.readers.inputs import BEGINNING, Inputs
from cytobatch.readers.numbers import inferred, is_number
from cytobatch.readers.sqlite import read as sqlite
from cytobatch.report.model import LedgerEntry, Outcome
from cytobatch.survey.model import SurveyedTable

_PER = re.compile(r"(?:.*_)?per_(.+)", re.IGNORECASE)
# Of a header that goes on, so many times as much is looked into next.
_MORE = 4
_NOT_OBJECTS = frozenset({"experiment", "image", "well"})


@dataclass(frozen=True, slots=True)
class ExportScan:
    """One export while it is looked at: tables so far sound, what is wrong with the others, and what is not read."""

    export: Export
    tables: Mapping[str, SurveyedTable]
    defects: tuple[LedgerEntry, ...]
    empty: tuple[LedgerEntry, ...] = ()
    ignored: tuple[LedgerEntry, ...] = ()

    def without(self, name: str, reason: str) -> "ExportScan":
        """The same, one of its tables being unsound."""
        table = self.tables[name]
        rest = {other: self.tables[other] for other in self.tables if other != name}
        found = fault(self.export, table.source, table.shown_name, reason)
        return replace(self, tables=rest, defects=(*self.defects, found))


def fault(export: Export, path: str, table: str | None, reason: str) -> LedgerEntry:
    """The ledger's entry for a table that is unsound; without a table, for the whole file."""
    return LedgerEntry(path=path, outcome=Outcome.FAILED, export=export.path, table=table, reason=reason)


def scan_csv(plan: ConversionPlan, export: Export, inputs: Inputs, metadata: Collection[str]) -> ExportScan:
    """The CSV tables of an export; those in `metadata` are image tables."""
    tables = {}
    defects = []
    for name, table in export.tables.items():
        if name in export.unusual:
            defects.append(fault(export, table.file.path, name, UNUSUAL))
            continue
        try:
            head = _csv_head(table, inputs)
            types = requested_types(name, head.shape.names, plan.job.column_types)
            tables[name] = _csv_table(table, inputs, head, types, is_metadata=name in metadata)
        except InvalidTableError as error:
            defects.append(fault(export, table.file.path, name, error.reason))
    defects += [fault(export, export.path, name, MISSING) for name in export.missing]
    return ExportScan(export, tables, tuple(defects))


def _csv_head(table: CsvTable, inputs: Inputs) -> CsvHead:
    size = BEGINNING
    while size < table.file.size:
        try:
            return _head_of_part(table, inputs.beginning(table.file.path, size), table.file.size)
        except PartialHeadError:
            size *= _MORE
    return _head_of_part(table, inputs.beginning(table.file.path, size), 0)


def _head_of_part(table: CsvTable, path: Path, size: int) -> CsvHead:
    return read_combined_head(path, table.label, size) if table.combined else read_head(path, size)


def _csv_table(
    table: CsvTable, inputs: Inputs, head: CsvHead, types: Mapping[str, pa.DataType], *, is_metadata: bool
) -> SurveyedTable:
    if IMAGE_NUMBER not in head.shape.names:
        path = inputs.beginning(table.file.path)
        raise unsound(path, "no ImageNumber column", f"the header begins {','.join(head.shape.names[:3])!r}")
    # Image tables are typed later, by all of the plate's rows.
    seen, odd = (
        _learn_from_values(table.file.path, inputs, head, types) if head.has_rows and not is_metadata else ({}, {})
    )
    return SurveyedTable(
        table.name,
        table.label,
        table.file.path,
        SourceKind.CSV,
        csv_schema(head.shape.names, {**seen, **types}),
        head.has_rows,
        shape=head.shape,
        complete=head.ends_with_newline,
        first_text=odd,
        forced=frozenset(types),
    )


def _learn_from_values(
    source: str, inputs: Inputs, head: CsvHead, types: Mapping[str, pa.DataType]
) -> tuple[dict[str, pa.DataType], dict[str, str]]:
    """Types of the columns whose names do not tell, and the text in the first row's measurements.

    `types` are those that need not be learnt.
    """
    unknown = [column for column in _unknown(head.shape.names) if column not in types]
    odd = {
        column: value
        for column, value in head.texts().items()
        if column not in types and kind_of(column) is ColumnKind.MEASUREMENT
    }
    if not unknown and not odd:
        return {}, {}
    path = inputs.whole(source)
    said = csv.read_text(path, head.shape, (*unknown, *odd))
    _check_odd_values(path, said, odd)
    return {column: inferred(said[column]).type for column in unknown}, odd


@functools.lru_cache(maxsize=HEADERS)
def _unknown(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns whose names do not tell what they hold."""
    return tuple(column for column in columns if kind_of(column) is ColumnKind.UNKNOWN)


def _check_odd_values(path: Path, said: pa.Table, odd: Mapping[str, str]) -> None:
    """Raises InvalidTableError where a first row's text stands in a column that otherwise holds numbers."""
    for column, value in odd.items():
        values = [text for text in said[column].to_pylist() if text]
        if 2 * sum(is_number(text) for text in values) >= len(values):
            raise unsound(path, f"text in numeric column {column!r}", f"row 1 holds {value!r}")


def scan_database(plan: ConversionPlan, export: Export, inputs: Inputs, engine: Engine) -> ExportScan:
    """The tables of a SQLite file that number images; one that numbers objects but no images is unsound."""
    file = export.files[0]
    # What SQLite keeps beside a database must be there when that is opened.
    path, *_ = [inputs.whole(own.path) for own in export.files]
    tables: dict[str, SurveyedTable] = {}
    defects: list[LedgerEntry] = []
    ignored: list[LedgerEntry] = []
    try:
        for sql_table in sqlite.list_tables(path):
            label = _label_of(sql_table)
            name = label.lower()
            declared = engine.sqlite_schema(path, sql_table)
            types = requested_types(name, declared.names, plan.job.column_types)
            schema = with_types(sqlite_schema(declared), types)
            if IMAGE_NUMBER in schema.names:
                has_rows = sqlite.approximate_rows(path, sql_table, declared.names) > 0
                tables[name] = SurveyedTable(name, label, file.path, SourceKind.SQLITE, schema, has_rows, sql_table)
            elif name in USUAL_TABLES or any(is_key(column) for column in schema.names):
                defects.append(fault(export, file.path, sql_table, "no ImageNumber column"))
            else:
                ignored.append(_not_read(export, file.path, sql_table))
    except InvalidTableError as error:
        return ExportScan(export, {}, (fault(export, file.path, None, error.reason),))
    return ExportScan(export, tables, tuple(defects), ignored=tuple(ignored))


def _not_read(export: Export, path: str, table: str) -> LedgerEntry:
    return LedgerEntry(path=path, outcome=Outcome.IGNORED, export=export.path, table=table, reason=NOT_READ)


def _label_of(sql_table: str) -> str:
    """`Cells` for `Per_Cells` and `MyExpt_Per_Cells`, as CellProfiler's ExportToDatabase names its tables."""
    match = _PER.fullmatch(sql_table)
    return table_label(match[1] if match else sql_table)


def sqlite_preset(plan: ConversionPlan, heads: Sequence[ExportScan]) -> Preset:
    """The preset that fits what `auto` found in the SQLite files: whether tables are called `Per_…`."""
    names = {table.full_name for head in heads for table in head.tables.values()}
    found = PresetName.CELLPROFILER_SQLITE if any(_PER.fullmatch(name) for name in names) else PresetName.CELL_HEALTH
    preset = with_overrides(PRESETS[found], plan.job)
    if plan.job.compartments:
        return preset
    return replace(preset, compartments=tuple(sorted(_object_tables(heads) - _unusual_tables(plan, heads))))


def _object_tables(heads: Iterable[ExportScan]) -> set[str]:
    return {name for head in heads for name in head.tables if _has_objects(head, name)}


def _has_objects(head: ExportScan, name: str) -> bool:
    table = head.tables[name]
    return name not in _NOT_OBJECTS and find_keys(name, table.label, table.schema.names, ()) is not None


def _unusual_tables(plan: ConversionPlan, heads: Sequence[ExportScan]) -> set[str]:
    """The tables of objects that are so in the files that can be read."""
    if plan.preset is not None or plan.job.compartments:
        return set()
    counts = Counter(name for head in heads for name in head.tables if _has_objects(head, name))
    readable = sum(bool(head.tables) for head in heads)
    return unusual_tables(counts, USUAL_TABLES, readable)


def choose_tables(plan: ConversionPlan, preset: Preset, heads: Sequence[ExportScan]) -> list[ExportScan]:
    """Only the preset's tables of SQLite files; those that other files have and one lacks are faults.

    Raises LayoutError where a compartment is in no file at all.
    """
    found = {name for head in heads for name in head.tables}
    wanted = [name for name in (*preset.compartments, *preset.metadata) if name in found]
    absent = [name for name in preset.compartments if name not in found]
    if found and (absent or not preset.compartments):
        held = sorted({table.shown_name for head in heads for table in head.tables.values()})
        raise LayoutError(
            f"no table for compartment(s) {', '.join(absent) or 'at all'}",
            where=plan.job.source,
            why=f"the SQLite file(s) hold {', '.join(held)}",
            remedy="name the compartments that are there with 'compartments', or use preset 'auto'",
        )
    unusual = _unusual_tables(plan, heads)
    return [_with_unusual(_chosen(head, wanted, unusual), head, unusual) for head in heads]


def _with_unusual(chosen: ExportScan, head: ExportScan, unusual: Collection[str]) -> ExportScan:
    odd = [table for name, table in head.tables.items() if name in unusual]
    defects = (fault(head.export, table.source, table.shown_name, UNUSUAL) for table in odd)
    return replace(chosen, defects=(*chosen.defects, *defects))


def _chosen(head: ExportScan, wanted: Sequence[str], unusual: Collection[str]) -> ExportScan:
    tables = {name: head.tables[name] for name in wanted if name in head.tables}
    others = [table for name, table in head.tables.items() if name not in tables and name not in unusual]
    ignored = (*head.ignored, *(_not_read(head.export, table.source, table.shown_name) for table in others))
    if head.defects:
        return replace(head, tables=tables, ignored=ignored)
    defects = [fault(head.export, head.export.path, name, MISSING) for name in wanted if name not in tables]
    return replace(head, tables=tables, defects=tuple(defects), ignored=ignored)


def check_last_lines(heads: Sequence[ExportScan], inputs: Inputs) -> list[ExportScan]:
    """A last line without its end is cut short, unless no file of the plate ends its last line: then it is a style."""
    tables = [table for head in heads for table in head.tables.values()]
    if not any(table.complete for table in tables) and not _any_ends(tables, inputs):
        return [_unended(head) for head in heads]
    result = []
    for head in heads:
        checked = head
        for name, table in head.tables.items():
            if table.complete is False:
                checked = checked.without(name, ": ".join(CUT_END))
        result.append(checked)
    return result


def _any_ends(tables: Iterable[SurveyedTable], inputs: Inputs) -> bool:
    """Whether any of the tables whose ends were not seen yet ends its last line: as a rule the first that is asked."""
    return any(ends_with_newline(inputs.whole(table.source)) for table in tables if table.complete is None)


def _unended(head: ExportScan) -> ExportScan:
    return replace(head, tables={name: replace(table, complete=False) for name, table in head.tables.items()})


def resolve_empty_tables(head: ExportScan, preset: Preset, counts: Mapping[str, int]) -> ExportScan:
    """CSV tables without rows: an empty site if the image table says so, or all compartments do; otherwise a fault.

    `counts` are the objects of each compartment that the image table counts.
    """
    bare = [name for name, table in head.tables.items() if not table.has_rows and table.kind is SourceKind.CSV]
    compartments = [name for name in head.tables if name not in preset.metadata]
    all_bare = bool(compartments) and all(name in bare for name in compartments)
    for name in bare:
        expected = counts.get(name)
        if expected == 0 or (expected is None and all_bare and name in compartments):
            continue
        why = f"the image table counts {expected}" if expected else "there is a header, but no row"
        head = head.without(name, f"header only: {why}")
    if not all_bare or head.defects:
        return head
    reason = "a site without objects"
    entries = [
        LedgerEntry(
            path=head.tables[name].source,
            outcome=Outcome.EMPTY,
            export=head.export.path,
            table=name,
            rows=0,
            reason=reason,
        )
        for name in compartments
    ]
    return replace(head, empty=tuple(entries))
