"""The survey of a plate: columns, types, image sets, and the exports that are valid.

The format scans the head of each table. The image tables are small and are read whole. The rows of compartments are
read later, once.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from cytobatch.config.option_types import Children
from cytobatch.config.presets.catalog import Preset, PresetName
from cytobatch.config.wells import SiteLocation
from cytobatch.engine.duckdb import Engine
from cytobatch.errors import InvalidTableError, LayoutError
from cytobatch.formats.base import OBJECTS, ConversionPlan, ExportScan, PlateScan, SurveyedTable
from cytobatch.formats.image_sets import ImageSets
from cytobatch.planning.columns import is_measurement, numbers_objects
from cytobatch.planning.joins import JoinPlan, find_keys, plan_joins
from cytobatch.planning.schema import (
    ExportColumns,
    MissingColumn,
    align_to_schema,
    is_number_type,
    missing_columns,
    requested_types,
    unify_schemas,
    with_types,
)
from cytobatch.readers.inputs import Inputs
from cytobatch.report.model import LedgerEntry, Outcome, ReportWarning
from cytobatch.survey import image_table
from cytobatch.survey.carried_columns import carried_columns, with_carried
from cytobatch.survey.duplicates import duplicate_warnings
from cytobatch.survey.empty_tables import resolve_empty_tables
from cytobatch.survey.image_features import check_image_features
from cytobatch.survey.image_table import ImageRows
from cytobatch.survey.integer_columns import image_fraction_warnings, integers_by_name, read_with_fractions
from cytobatch.survey.listed import listed_tables, unread_warnings
from cytobatch.survey.location_checks import check_wells, column_warnings, location_warnings
from cytobatch.survey.location_columns import locations
from cytobatch.survey.lost_measurements import check_measurements
from cytobatch.survey.missing_keys import check_missing_keys
from cytobatch.survey.model import Survey, SurveyedExport, TableRepair, TableSchema, left_out_entries, with_file_facts
from cytobatch.survey.object_locations import object_locations
from cytobatch.survey.unneeded_tables import check_unlinked, leave_out_unneeded


def survey(plan: ConversionPlan, inputs: Inputs, engine: Engine) -> Survey:
    """Survey every file of a plate.

    Parameters
    ----------
    plan
        The exports, and the format that scans them.
    inputs
        The plate's files on the local disk.
    engine
        DuckDB, which reads declarations and image tables of SQLite files.

    Returns
    -------
    The valid exports with their schemas and image sets, and ledger entries for the others.

    Raises
    ------
    LayoutError
        If the tables cannot make the output of the job: a compartment without object numbers or without a join, a
        column that is text in one export and a number in another, or no well for well-level profiles.
    """
    scan = plan.format.scan(plan, inputs, engine)
    # A file may hold several exports, which only its content shows.
    plan = replace(plan, exports=tuple(each.export for each in scan.exports))
    if scan.images is not None:
        result = _survey_single_tables(plan, scan, scan.images)
    else:
        result = _survey_compartments(plan, scan, inputs, engine)
    check_wells(plan, result.images)
    check_image_features(plan, result.image_rows and result.image_rows.table)
    by_name = integers_by_name(result.schemas.values(), result.join, result.single_table, plan.job.column_types)
    # Data that stands twice or may be lost comes first, because the terminal shows the first warnings.
    warnings = (*duplicate_warnings(result, inputs, engine), *unread_warnings(plan), *result.warnings)
    return replace(result, integers_by_name=by_name, warnings=warnings, experiments=scan.experiments)


def _survey_compartments(plan: ConversionPlan, scan: PlateScan, inputs: Inputs, engine: Engine) -> Survey:
    joined = plan.job.join and plan.job.joins is None
    repairs: list[TableRepair] = []
    scan, left_out = leave_out_unneeded(plan, scan)
    preset, scans = scan.preset, check_missing_keys(plan, scan, joined=joined)
    reading = _ImageTableReading(inputs, engine, repairs, all_columns=not joined)
    rows, scans = _read_image_tables(plan, preset, scans, reading)
    of_objects, scans = object_locations(plan, preset, scans, inputs, engine)
    rows |= of_objects
    counted = {index: image_table.object_counts(table) for index, table in rows.items() if table.num_rows}
    scans = [resolve_empty_tables(plan, each, preset, counted.get(each.export.index, {})) for each in scans]
    valid = [_is_converted(each, joined=plan.job.join) for each in scans]
    exports = tuple(SurveyedExport(each.export, each.tables) for each, ok in zip(scans, valid, strict=True) if ok)
    tables = _table_schemas(plan, preset, exports)
    check_measurements(plan, tables)
    of_images = [tables[name].schema for name in preset.metadata if name in tables]
    raw = _concatenate_image_rows(exports, rows, [*of_images, *(table.schema for table in of_objects.values())])
    typed = (
        _convert_text(plan, preset, exports, raw) if raw is not None and plan.format.traits.text_image_tables else raw
    )
    images = image_table.image_sets(raw, typed, preset, _export_locations(plan))
    if raw is not None and typed is not None and plan.job.preset is PresetName.AUTO:
        requested = requested_types(preset.metadata[0], raw.table.column_names, plan.job.column_types)
        images = with_carried(images, carried_columns(raw.table, typed.table, requested), len(plan.exports))
    return Survey(
        plan=plan,
        preset=preset,
        exports=exports,
        schemas=tables,
        images=images,
        image_rows=typed,
        join=_join_plan(plan, tables) if joined and tables else None,
        ledger=_ledger(plan, scans, valid),
        missing=_missing(exports, tables),
        counted=counted,
        repairs=tuple(repairs),
        warnings=(
            *scan.warnings,
            *left_out,
            *_type_warnings(plan, tables),
            *(_image_warnings(plan, images) if joined else ()),
            *(_fraction_warnings(plan, preset, typed) if typed else ()),
            *location_warnings(plan, images),
            *column_warnings(raw and raw.table, images, [name for schema in of_images for name in schema.names]),
        ),
        listed=listed_tables(plan, scan),
        failed_sites=_failed_sites(plan, rows, {export.index for export in exports}),
    )


def _survey_single_tables(plan: ConversionPlan, scan: PlateScan, images: ImageSets) -> Survey:
    valid = [not each.defects for each in scan.exports]
    exports = tuple(SurveyedExport(each.export, each.tables) for each in scan.exports if not each.defects)
    features = scan.single_table.features if scan.single_table else frozenset[str]()
    features -= set(scan.preset.identifying_columns)
    schema = _schema_of_rows(
        [ExportColumns(export.path, export.tables[OBJECTS].schema) for export in exports], features
    )
    features &= {field.name for field in schema if is_number_type(field.type)}
    tables = {OBJECTS: TableSchema(OBJECTS, "", schema, None, features)} if exports else {}
    return Survey(
        plan=plan,
        preset=scan.preset,
        exports=exports,
        schemas=tables,
        images=images,
        image_rows=None,
        join=None,
        ledger=_ledger(plan, scan.exports, valid),
        missing=_missing(exports, tables),
        counted={},
        repairs=(),
        warnings=(*scan.warnings, *_type_warnings(plan, tables), *location_warnings(plan, images)),
        single_table=scan.single_table,
        listed=listed_tables(plan, scan),
    )


def _schema_of_rows(exports: Sequence[ExportColumns], features: Collection[str]) -> pa.Schema:
    """Return the schema of files of whole rows. A measurement without any value is a double, as others are."""
    schema = unify_schemas(OBJECTS, exports)
    typed = {field.name for export in exports for field in export.schema if not pa.types.is_null(field.type)}
    return with_types(schema, {name: pa.float64() for name in schema.names if name in features and name not in typed})


def _image_table_of(preset: Preset, tables: Mapping[str, SurveyedTable]) -> SurveyedTable | None:
    """Return the image table of an export: the first that the preset names."""
    return next((tables[name] for name in preset.metadata if name in tables), None)


def _convert_text(plan: ConversionPlan, preset: Preset, exports: Sequence[SurveyedExport], raw: ImageRows) -> ImageRows:
    requested = requested_types(preset.metadata[0], raw.table.column_names, plan.job.column_types)
    tables = {export.index: _image_table_of(preset, export.tables) for export in exports}
    files = {index: table.source for index, table in tables.items() if table is not None}
    return image_table.convert_text_columns(raw, requested, files)


def _image_warnings(plan: ConversionPlan, images: ImageSets) -> tuple[ReportWarning, ...]:
    chosen = [name for name in images.columns if not name.startswith(image_table.COUNT)]
    if plan.job.image_columns is None or chosen:
        return ()
    return (ReportWarning(what=f"no column of the image table fits image_columns {plan.job.image_columns!r}"),)


def _type_warnings(plan: ConversionPlan, tables: Mapping[str, TableSchema]) -> tuple[ReportWarning, ...]:
    if not plan.job.column_types:
        return ()
    columns = [(name, column) for name, table in tables.items() for column in table.schema.names]
    known = {column for _, column in columns} | {f"{name}.{column}" for name, column in columns}
    unknown = sorted(set(plan.job.column_types) - known)
    return tuple(ReportWarning(what=f"column_types names {name!r}, which no table has") for name in unknown)


def _fraction_warnings(plan: ConversionPlan, preset: Preset, rows: ImageRows) -> list[ReportWarning]:
    paths = {export.index: export.path for export in plan.exports}
    return image_fraction_warnings(preset.metadata[0], rows.table, rows.owners, paths)


@dataclass(frozen=True, slots=True)
class _ImageTableReading:
    """The files, DuckDB, and the list of repairs. `all_columns` reads columns that no profile needs, too."""

    inputs: Inputs
    engine: Engine
    repairs: list[TableRepair]
    all_columns: bool


def _read_image_tables(
    plan: ConversionPlan, preset: Preset, scans: Sequence[ExportScan], reading: _ImageTableReading
) -> tuple[dict[int, pa.Table], list[ExportScan]]:
    """Read the image table of each export.

    Returns the rows by the export's index, and the exports; a table that cannot be read is a defect of its export.
    """
    rows: dict[int, pa.Table] = {}
    checked = []
    for scan in scans:
        table = _image_table_of(preset, scan.tables)
        result = scan
        if table is not None:
            columns = tuple(table.schema.names)
            needed = columns if reading.all_columns else _needed_columns(plan, preset, columns)
            path = reading.inputs.whole(table.source)
            requested = requested_types(table.name, columns, plan.job.column_types)
            read = partial(plan.format.read_images, path=path, columns=needed, engine=reading.engine)
            try:
                table, (rows[scan.export.index], repairs) = read_with_fractions(table, requested, read)
                result = replace(scan, tables={**scan.tables, table.name: table})
                reading.repairs.extend(TableRepair(scan.export.path, table.shown_name, each) for each in repairs)
            except InvalidTableError as error:
                result = scan.without(table.name, error.reason)
        checked.append(result)
    return rows, checked


def _needed_columns(plan: ConversionPlan, preset: Preset, columns: Sequence[str]) -> tuple[str, ...]:
    carried = plan.job.preset is PresetName.AUTO
    return image_table.needed_columns(columns, preset, carried=carried, features=bool(plan.job.image_features))


def _concatenate_image_rows(
    exports: Sequence[SurveyedExport], rows: Mapping[int, pa.Table], unified: Sequence[pa.Schema]
) -> ImageRows | None:
    """Return the image rows of all exports as they were read, or None if no export has any.

    Parameters
    ----------
    exports
        The exports that are converted; their rows follow each other in this order.
    rows
        The rows of each export's image table, by the export's index.
    unified
        The schemas of the image tables over all exports, which order the columns. A column that is text in any export
        is text.
    """
    tables = [(export.index, rows[export.index]) for export in exports if export.index in rows]
    if not tables:
        return None
    texts = {field.name for _, table in tables for field in table.schema if pa.types.is_string(field.type)}
    read = {name for _, table in tables for name in table.column_names}
    fields = {field.name: field for schema in unified for field in schema if field.name in read}
    schema = pa.schema([f.with_type(pa.string()) if f.name in texts else f for f in fields.values()])
    owners = [pa.repeat(pa.scalar(index, pa.int64()), table.num_rows) for index, table in tables]
    return ImageRows(
        pa.chunked_array(owners, pa.int64()), pa.concat_tables(align_to_schema(table, schema) for _, table in tables)
    )


def _is_converted(scan: ExportScan, *, joined: bool) -> bool:
    """Return True if an export is converted.

    If tables are joined, all tables of an export must be valid. If not, valid tables are converted without the others.
    """
    return not scan.defects if joined else bool(scan.tables)


def _table_schemas(plan: ConversionPlan, preset: Preset, exports: Sequence[SurveyedExport]) -> dict[str, TableSchema]:
    """Return the schema of each table over all exports. Raises LayoutError if a compartment has no object number."""
    names = list(dict.fromkeys(name for export in exports for name in export.tables))
    compartments = [name for name in names if name not in preset.metadata]
    result = {}
    for name in names:
        owners = [export for export in exports if name in export.tables]
        label = owners[0].tables[name].label
        schema = unify_schemas(name, (ExportColumns(export.path, export.tables[name].schema) for export in owners))
        keys = find_keys(name, label, schema.names, compartments) if name in compartments else None
        if name in compartments and keys is None:
            raise LayoutError(
                f"table {name!r} has no object number",
                where=plan.job.source,
                why=f"there is no ObjectNumber among its {len(schema)} columns",
                remedy="leave it out with 'compartments'",
            )
        numbers = {column for column in keys.columns if numbers_objects(column)} if keys else set[str]()
        # The objects may be called `Mean_Cells`, so that their number has the name of a mean.
        schema = with_types(schema, dict.fromkeys(numbers, pa.int64()))
        others = {*preset.identifying_columns, *numbers}
        features = frozenset(f.name for f in schema if keys and _is_feature(f) and f.name not in others)
        result[name] = TableSchema(name, label, schema, keys, features)
    return result


def _is_feature(field: pa.Field) -> bool:
    return is_number_type(field.type) and is_measurement(field.name)


def _join_plan(plan: ConversionPlan, tables: Mapping[str, TableSchema]) -> JoinPlan:
    keys = {name: table.keys for name, table in tables.items() if table.keys}
    required = plan.job.compartments or (() if plan.job.preset is PresetName.AUTO else keys)
    joins = plan_joins(keys, {name.lower() for name in required}, plan.job.children or Children.FIRST)
    check_unlinked(plan.job.source, joins, tables)
    return joins


def _export_locations(plan: ConversionPlan) -> list[SiteLocation]:
    return [export.location.or_else(plan.job.location) for export in plan.exports]


def _failed_sites(
    plan: ConversionPlan, rows: Mapping[int, pa.Table], converted: Collection[int]
) -> dict[int, tuple[SiteLocation, ...]]:
    """Return the locations of the image sets of exports that are not converted, by the export's index."""
    of_exports = _export_locations(plan)
    return {
        index: tuple(locations(table, [of_exports[index]] * table.num_rows))
        for index, table in rows.items()
        if index not in converted
    }


def _missing(exports: Sequence[SurveyedExport], tables: Mapping[str, TableSchema]) -> tuple[MissingColumn, ...]:
    return tuple(
        difference
        for export in exports
        for name, table in export.tables.items()
        if len(table.schema) < len(tables[name].schema)
        for difference in missing_columns(name, tables[name].schema, ExportColumns(export.path, table.schema))
    )


def _ledger(plan: ConversionPlan, scans: Sequence[ExportScan], valid: Sequence[bool]) -> tuple[LedgerEntry, ...]:
    entries: list[LedgerEntry] = []
    for scan, ok in zip(scans, valid, strict=True):
        entries += [*scan.defects, *scan.empty, *scan.ignored]
        if not ok:
            entries += left_out_entries(scan.export.path, scan.tables.values())
    files = {file.path: file for file in plan.inventory.files}
    ignored = [LedgerEntry(path=file.path, outcome=Outcome.IGNORED, reason=reason) for file, reason in plan.ignored]
    return tuple(with_file_facts(entry, files) for entry in [*entries, *ignored])
