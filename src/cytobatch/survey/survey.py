"""What is really in a plate's files: headers, types, image sets, and which exports are sound.

Reads the head of each table and the whole of the small image tables; the compartments' rows are read later, once.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pyarrow as pa

from cytobatch.config.presets.presets import Preset, PresetName, SourceKind
from cytobatch.config.presets.wells import SiteLocation
from cytobatch.engine.duckdb import Engine
from cytobatch.errors import InvalidTableError, LayoutError
from cytobatch.planning.columns import IMAGE_NUMBER, is_measurement
from cytobatch.planning.joins import JoinPlan, find_keys, plan_joins
from cytobatch.planning.model import ConversionPlan
from cytobatch.planning.schema import ExportColumns, MissingColumn, conform, missing_columns, requested_types, unify
from cytobatch.readers.csv import read as csv
from cytobatch.readers.fallback import read_with_fallback
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.numbers import Repair, read_numbers
from cytobatch.readers.sqlite import read as sqlite
from cytobatch.report.model import LedgerEntry, Outcome, ReportWarning
from cytobatch.survey import image_table as images
from cytobatch.survey.missing_keys import check_missing_keys
from cytobatch.survey.model import (
    Survey,
    SurveyedExport,
    SurveyedTable,
    TableRepair,
    TableSchema,
    left_out,
    with_file,
)
from cytobatch.survey.single_table import OBJECTS, scan_single_tables
from cytobatch.survey.table_heads import (
    ExportScan,
    check_last_lines,
    choose_tables,
    resolve_empty_tables,
    scan_csv,
    scan_database,
    sqlite_preset,
)
from cytobatch.survey.text_columns import check_text_columns, resolve_text_columns

ImageReader = Callable[[SurveyedTable, tuple[str, ...]], tuple[pa.Table, Sequence[Repair]]]


def survey(plan: ConversionPlan, inputs: Inputs, engine: Engine) -> Survey:
    """Looks into every file. Raises LayoutError where the tables cannot make what the job asks for."""
    if plan.kind.is_single_table and plan.preset is not None:
        return _survey_single_table(plan, plan.preset, inputs)
    preset, heads = _heads(plan, inputs, engine)
    joins = plan.job.join and plan.job.joins is None
    repairs: list[TableRepair] = []
    heads = check_missing_keys(heads, preset, joined=joins)
    rows, heads = _image_rows(preset, heads, partial(_read_images, inputs, engine), repairs, everything=not joins)
    counted = {index: images.counts_of(table) for index, table in rows.items() if table.num_rows}
    heads = [resolve_empty_tables(head, preset, counted.get(head.export.index, {})) for head in heads]
    sound = [_sound(head, joined=plan.job.join) for head in heads]
    exports = tuple(SurveyedExport(head.export, head.tables) for head, ok in zip(heads, sound, strict=True) if ok)
    tables = _schemas(plan, preset, exports)
    said = _together(exports, rows, [tables[name].schema for name in preset.metadata if name in tables])
    typed = _typed(plan, preset, said) if said is not None and plan.kind is SourceKind.CSV else said
    sets = images.image_sets(said, typed, preset, _export_locations(plan))
    return Survey(
        plan=plan,
        preset=preset,
        exports=exports,
        schemas=tables,
        images=sets,
        image_rows=typed,
        join=_join_plan(plan, tables) if joins and tables else None,
        ledger=_ledger(plan, heads, sound),
        missing=_missing(exports, tables),
        counted=counted,
        repairs=tuple(repairs),
        warnings=(*_type_warnings(plan, tables), *(_image_warnings(plan, sets) if joins else ())),
    )


def _survey_single_table(plan: ConversionPlan, preset: Preset, inputs: Inputs) -> Survey:
    found = scan_single_tables(plan, inputs)
    sound = [not head.defects for head in found.heads]
    exports = tuple(SurveyedExport(head.export, head.tables) for head in found.heads if not head.defects)
    parts = [ExportColumns(export.path, export.tables[OBJECTS].schema) for export in exports]
    schema = unify(OBJECTS, parts)
    features = found.features.intersection(schema.names) - set(preset.identifying_columns)
    tables = {OBJECTS: TableSchema(OBJECTS, "", schema, None, features)} if exports else {}
    return Survey(
        plan=plan,
        preset=preset,
        exports=exports,
        schemas=tables,
        images=found.images,
        image_rows=None,
        join=None,
        ledger=_ledger(plan, found.heads, sound),
        missing=_missing(exports, tables),
        counted={},
        repairs=(),
        warnings=_type_warnings(plan, tables),
    )


def _heads(plan: ConversionPlan, inputs: Inputs, engine: Engine) -> tuple[Preset, list[ExportScan]]:
    if plan.kind is SourceKind.CSV and plan.preset is not None:
        heads = check_last_lines([scan_csv(plan, e, inputs, plan.preset.metadata) for e in plan.exports], inputs)
        return plan.preset, resolve_text_columns(heads, inputs)
    heads = [scan_database(plan, export, inputs, engine) for export in plan.exports]
    preset = plan.preset or sqlite_preset(plan, heads)
    return preset, check_text_columns(choose_tables(plan, preset, heads))


def _typed(plan: ConversionPlan, preset: Preset, said: images.ImageRows) -> images.ImageRows:
    asked = requested_types(preset.metadata[0], said.table.column_names, plan.job.column_types)
    return images.typed(said, asked, {export.index: export.path for export in plan.exports})


def _image_warnings(plan: ConversionPlan, sets: images.ImageSets) -> tuple[ReportWarning, ...]:
    kept = [name for name in sets.columns if not name.startswith(images.COUNT)]
    if plan.job.image_columns is None or kept:
        return ()
    return (ReportWarning(what=f"no column of the image table fits image_columns {plan.job.image_columns!r}"),)


def _type_warnings(plan: ConversionPlan, tables: Mapping[str, TableSchema]) -> tuple[ReportWarning, ...]:
    if not plan.job.column_types:
        return ()
    columns = [(name, column) for name, table in tables.items() for column in table.schema.names]
    known = {column for _, column in columns} | {f"{name}.{column}" for name, column in columns}
    unknown = sorted(set(plan.job.column_types) - known)
    return tuple(ReportWarning(what=f"column_types names {name!r}, which no table has") for name in unknown)


def _image_rows(
    preset: Preset, heads: Sequence[ExportScan], read: ImageReader, repairs: list[TableRepair], *, everything: bool
) -> tuple[dict[int, pa.Table], list[ExportScan]]:
    """The image rows of each export, by its index; and the exports, an unsound image table being a fault."""
    rows: dict[int, pa.Table] = {}
    checked = []
    for head in heads:
        table = next((head.tables[name] for name in preset.metadata if name in head.tables), None)
        result = head
        if table is not None:
            columns = tuple(table.schema.names)
            wanted = columns if everything else images.wanted_columns(columns, preset)
            try:
                rows[head.export.index], found = read(table, wanted)
                repairs += [TableRepair(head.export.path, table.shown_name, repair) for repair in found]
            except InvalidTableError as error:
                result = head.without(table.name, error.reason)
        checked.append(result)
    return rows, checked


def _read_images(
    inputs: Inputs, engine: Engine, table: SurveyedTable, wanted: tuple[str, ...]
) -> tuple[pa.Table, Sequence[Repair]]:
    """An image table's columns, CSV as text, SQLite as declared; and what was repaired on the way."""
    path = inputs.whole(table.source)
    if table.shape is not None:
        said = csv.read_text(path, table.shape, wanted)
        return _with_whole_image_numbers(said, table.source), ()
    schema = pa.schema([table.schema.field(column) for column in wanted])
    repairs: list[Repair] = []
    strategies = sqlite.strategies(engine, path, table.shown_name, schema, repairs)
    rows = read_with_fallback(strategies, repairs, lambda strategy: pa.Table.from_batches(strategy(), schema))
    _check_null_image_numbers(rows[IMAGE_NUMBER], table.source)
    return rows, repairs


def _with_whole_image_numbers(rows: pa.Table, where: str) -> pa.Table:
    """Image rows as text, but for their ImageNumber. Raises InvalidTableError where it is no integer."""
    numbers, _ = read_numbers(IMAGE_NUMBER, rows[IMAGE_NUMBER], pa.int64(), where)
    _check_null_image_numbers(numbers, where)
    return rows.set_column(rows.column_names.index(IMAGE_NUMBER), IMAGE_NUMBER, numbers)


def _check_null_image_numbers(numbers: pa.ChunkedArray, where: str) -> None:
    if numbers.null_count:
        raise InvalidTableError("rows without ImageNumber", where=where, why=f"{numbers.null_count} of them")


def _together(
    exports: Sequence[SurveyedExport], rows: Mapping[int, pa.Table], unified: Sequence[pa.Schema]
) -> images.ImageRows | None:
    """All image rows as they are, CSV as text, with the columns in the order of the image tables' `unified` schemas."""
    parts = [(export.index, rows[export.index]) for export in exports if export.index in rows]
    if not parts:
        return None
    texts = {field.name for _, table in parts for field in table.schema if pa.types.is_string(field.type)}
    read = {name for _, table in parts for name in table.column_names}
    fields = {field.name: field for schema in unified for field in schema if field.name in read}
    schema = pa.schema([f.with_type(pa.string()) if f.name in texts else f for f in fields.values()])
    owners = [pa.repeat(pa.scalar(index, pa.int64()), table.num_rows) for index, table in parts]
    return images.ImageRows(
        pa.chunked_array(owners, pa.int64()), pa.concat_tables(conform(table, schema) for _, table in parts)
    )


def _sound(head: ExportScan, *, joined: bool) -> bool:
    """Whether an export is converted: whole if its tables are joined, else as far as its tables are sound."""
    return not head.defects if joined else bool(head.tables)


def _schemas(plan: ConversionPlan, preset: Preset, exports: Sequence[SurveyedExport]) -> dict[str, TableSchema]:
    names = list(dict.fromkeys(name for export in exports for name in export.tables))
    compartments = [name for name in names if name not in preset.metadata]
    result = {}
    for name in names:
        own = [export for export in exports if name in export.tables]
        label = own[0].tables[name].label
        schema = unify(name, (ExportColumns(export.path, export.tables[name].schema) for export in own))
        keys = find_keys(name, label, schema.names, compartments) if name in compartments else None
        if name in compartments and keys is None:
            raise LayoutError(
                f"table {name!r} has no object number",
                where=plan.job.source,
                why=f"there is no ObjectNumber among its {len(schema)} columns",
                remedy="leave it out with 'compartments'",
            )
        identifying = preset.identifying_columns
        features = frozenset(f.name for f in schema if keys and _is_feature(f) and f.name not in identifying)
        result[name] = TableSchema(name, label, schema, keys, features)
    return result


def _is_feature(field: pa.Field) -> bool:
    numeric = pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
    return numeric and is_measurement(field.name)


def _join_plan(plan: ConversionPlan, tables: Mapping[str, TableSchema]) -> JoinPlan:
    keys = {name: table.keys for name, table in tables.items() if table.keys}
    required = plan.job.compartments or (() if plan.job.preset is PresetName.AUTO else keys)
    return plan_joins(keys, {name.lower() for name in required})


def _export_locations(plan: ConversionPlan) -> list[SiteLocation]:
    return [export.location.or_else(plan.job.location) for export in plan.exports]


def _missing(exports: Sequence[SurveyedExport], tables: Mapping[str, TableSchema]) -> tuple[MissingColumn, ...]:
    return tuple(
        difference
        for export in exports
        for name, table in export.tables.items()
        if len(table.schema) < len(tables[name].schema)
        for difference in missing_columns(name, tables[name].schema, ExportColumns(export.path, table.schema))
    )


def _ledger(plan: ConversionPlan, heads: Sequence[ExportScan], sound: Sequence[bool]) -> tuple[LedgerEntry, ...]:
    entries: list[LedgerEntry] = []
    for head, ok in zip(heads, sound, strict=True):
        entries += [*head.defects, *head.empty, *head.ignored]
        if not ok:
            entries += left_out(head.export.path, head.tables.values())
    files = {file.path: file for file in plan.inventory.files}
    ignored = [LedgerEntry(path=file.path, outcome=Outcome.IGNORED, reason=reason) for file, reason in plan.ignored]
    return tuple(with_file(entry, files) for entry in [*entries, *ignored])
