"""Plate, well and site of exports without an image table, from metadata in the rows of their objects."""

from collections.abc import Sequence

import pyarrow as pa

from cytobatch.config.presets.catalog import Preset
from cytobatch.config.wells import SiteLocation
from cytobatch.engine.duckdb import Engine
from cytobatch.errors import InvalidTableError
from cytobatch.formats.base import ConversionPlan, ExportScan, SurveyedTable
from cytobatch.planning.columns import IMAGE_NUMBER, METADATA, PLATE, SITE, TABLE_NUMBER, WELL
from cytobatch.readers.inputs import Inputs
from cytobatch.survey.location_columns import location_columns, locations

_PARTS = {PLATE: "plates", WELL: "wells", SITE: "sites"}


def object_locations(
    plan: ConversionPlan, preset: Preset, scans: Sequence[ExportScan], inputs: Inputs, engine: Engine
) -> tuple[dict[int, pa.Table], list[ExportScan]]:
    """Read the image sets of exports that have no image table from the columns of their objects.

    Returns
    -------
    rows, scans
        The image sets of such an export by its index: ImageNumber, TableNumber if the objects have it, Metadata_Plate,
        Metadata_Well and Metadata_Site (string). The exports; one of whose images has two wells is a defect.
    """
    rows: dict[int, pa.Table] = {}
    checked = []
    for scan in scans:
        result = scan
        has_images = any(name in scan.tables for name in preset.metadata)
        tables = [] if has_images else [table for table in scan.tables.values() if _locating_columns(table)]
        if tables and plan.job.join:
            try:
                sets = [each for table in tables if (each := _image_sets(plan, table, inputs, engine)) is not None]
                if sets:
                    rows[scan.export.index] = _one_of_each(sets, scan)
            except InvalidTableError as error:
                result = scan.without(tables[0].name, error.reason)
        checked.append(result)
    return rows, checked


def _locating_columns(table: SurveyedTable) -> dict[str, str]:
    """Return the columns of a compartment that contain a location, and their names without the compartment's."""
    own = {name: name.removeprefix(f"{table.label}_") for name in table.schema.names}
    known = set(location_columns([name for name in own.values() if METADATA in name]))
    return {name: short for name, short in own.items() if short in known} if IMAGE_NUMBER in own else {}


def _image_sets(plan: ConversionPlan, table: SurveyedTable, inputs: Inputs, engine: Engine) -> pa.Table | None:
    """Return the image sets of one compartment, or None if it cannot be read: then its rows are a defect later."""
    columns = _locating_columns(table)
    keys = [name for name in (IMAGE_NUMBER, TABLE_NUMBER) if name in table.schema.names]
    try:
        read, _ = plan.format.read_images(table, inputs.whole(table.source), [*keys, *columns], engine)
    except InvalidTableError:
        return None
    sets = read.group_by([*keys, *columns]).aggregate([])
    found = locations(sets.select(list(columns)).rename_columns(list(columns.values())), [SiteLocation()] * len(sets))
    parts = {
        PLATE: [location.plate for location in found],
        WELL: [location.well for location in found],
        SITE: [location.site for location in found],
    }
    texts = {name: pa.array(values, pa.string()) for name, values in parts.items()}
    return pa.table({key: sets[key].cast(pa.string()) if key == TABLE_NUMBER else sets[key] for key in keys} | texts)


def _one_of_each(tables: Sequence[pa.Table], scan: ExportScan) -> pa.Table:
    """Return the distinct image sets. Raises InvalidTableError if an image is of two plates, wells or sites."""
    # Compartments without TableNumber do not identify the image sets of those that have it.
    longest = max((table.column_names for table in tables), key=len)
    sets = pa.concat_tables(table for table in tables if table.column_names == longest)
    keys = [name for name in longest if name not in _PARTS]
    counts = sets.group_by(keys).aggregate([(part, "count_distinct") for part in _PARTS])
    for part, plural in _PARTS.items():
        for row in counts.to_pylist():
            if row[f"{part}_count_distinct"] > 1:
                raise InvalidTableError(
                    f"the objects of image {row[IMAGE_NUMBER]} have two {plural}",
                    where=scan.export.path,
                    why=f"their rows differ in {part}",
                    remedy="correct the files, or export the image table, too",
                )
    merged = sets.group_by(keys, use_threads=False).aggregate([(part, "max") for part in _PARTS])
    return merged.select([*keys, *(f"{part}_max" for part in _PARTS)]).rename_columns([*keys, *_PARTS])
