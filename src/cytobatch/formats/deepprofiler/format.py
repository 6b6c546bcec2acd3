"""DeepProfiler's NPZ files as a format: one file for each image set, one row for each object."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pyarrow as pa

from cytobatch.config.presets.catalog import PRESETS, SUFFIXES, FormatName, PresetName
from cytobatch.config.wells import SiteLocation, known_text, location_of_file, normalise_well, without_decimals
from cytobatch.engine.duckdb import Engine
from cytobatch.engine.resources import resource_limits
from cytobatch.errors import InvalidTableError
from cytobatch.formats.base import (
    OBJECTS,
    ConversionPlan,
    Export,
    ExportScan,
    FormatTraits,
    Listing,
    PlateScan,
    ReadContext,
    SingleTable,
    SurveyedTable,
)
from cytobatch.formats.image_sets import ImageSets, location_table, no_image_sets
from cytobatch.formats.measurement_names import MeasurementNames, MeasurementParts
from cytobatch.formats.single_table import SingleTableFormat, invalid_scan, preset_of, with_empty_entry
from cytobatch.planning.columns import PLATE, SITE, WELL
from cytobatch.planning.inventory import SourceFile
from cytobatch.planning.schema import requested_types, with_types
from cytobatch.readers.fallback import ReadStrategy
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.npz import read as npz
from cytobatch.readers.npz.archive import invalid_file
from cytobatch.readers.numbers import Repair

_OPTIONAL_MEMBERS = ("metadata", "locations")
_LOCATION = (PLATE, WELL, SITE)
_MEMORY_PER_FILE = 8
"""A file may have an eighth of the run's memory: it is there as bytes, as columns and as rows to write."""
_USUAL_COMPRESSION = 4
"""Compressed embeddings are nearly as large as they are. Files that are compressed more count with their content."""


class DeepProfiler(SingleTableFormat[SurveyedTable]):
    """Embeddings of the objects of one image set in each .npz file."""

    name = FormatName.NPZ.value
    examples = "DeepProfiler's .npz files"
    preset = PRESETS[PresetName.DEEPPROFILER]
    traits = FormatTraits(single_table=True, numbers_exports=False)

    def claims(self, listing: Listing) -> Sequence[SourceFile]:
        """Return the NPZ files."""
        return [file for file in listing.inventory.files if file.suffix in SUFFIXES[FormatName.NPZ]]

    def location_of(self, listing: Listing, file: SourceFile) -> SiteLocation:
        """Return the location that follows from a file's path, with the folders above the source.

        DeepProfiler writes `<plate>/<well>_<site>.npz` or `<plate>/<well>/<site>.npz`.
        """
        root = PurePosixPath(listing.inventory.root.rstrip("/")).parts
        return location_of_file(str(PurePosixPath(*root, file.path)))

    def scan(self, plan: ConversionPlan, inputs: Inputs, engine: Engine) -> PlateScan:
        """Scan the headers of the arrays in every file, and its metadata."""
        scans: list[ExportScan] = []
        heads: list[npz.NpzHead | None] = []
        most_bytes = resource_limits(plan.job).memory // _MEMORY_PER_FILE
        for planned in plan.exports:
            export = planned
            try:
                path = inputs.whole(planned.path)
                head = npz.read_head(path)
                _check_memory(path, head, most_bytes)
                export = _with_content(planned, head)
                scans.append(ExportScan(export, {OBJECTS: _scan_table(plan, export, path, head)}))
                heads.append(head)
            except InvalidTableError as error:
                scans.append(invalid_scan(export, error))
                heads.append(None)
        scans = _check_missing_members(scans, heads)
        locations = [
            _location(head).or_else(export.location).or_else(plan.job.location)
            for export, head in zip(plan.exports, heads, strict=True)
        ]
        features = frozenset(name for head in heads if head for name in head.feature_names)
        images = ImageSets(no_image_sets(), location_table(locations))
        single = SingleTable(features, locations_replace_columns=True, null_table_number=True, names=_names(heads))
        return PlateScan(preset_of(plan), tuple(with_empty_entry(scan) for scan in scans), single, images)

    def readers(
        self, table: SurveyedTable, path: Path, schema: pa.Schema, repairs: list[Repair], context: ReadContext
    ) -> tuple[ReadStrategy, ...]:
        """Return the only reader of NPZ files."""
        return (lambda: npz.stream(path, schema, repairs, table.null_text_columns),)

    def count_rows(self, table: SurveyedTable, path: Path) -> int | None:
        """Return the number of rows in the header of the features' array."""
        return npz.read_head(path).rows


def _scan_table(plan: ConversionPlan, export: Export, path: Path, head: npz.NpzHead) -> SurveyedTable:
    """Return the table of a file with its types. Raises InvalidTableError if it has several image sets."""
    by_object = next((name for name in _LOCATION if isinstance(head.metadata.get(name), pa.Array)), None)
    if by_object:
        raise invalid_file(path, f"{by_object} differs by object", "a file holds the objects of one image set")
    stored = head.schema
    types = requested_types(OBJECTS, stored.names, plan.job.column_types)
    schema = with_types(stored, types)
    return SurveyedTable(OBJECTS, "", export.path, schema, head.rows > 0, null_text_columns=frozenset(types))


def _check_memory(path: Path, head: npz.NpzHead, most_bytes: int) -> None:
    """Raise InvalidTableError if the values of a file have more than `most_bytes`."""
    if head.content_bytes > most_bytes:
        raise InvalidTableError(
            "too large for the memory of the run",
            where=path.name,
            why=f"its {head.rows} rows of {head.features} features take {head.content_bytes} bytes, and one file may "
            f"take {most_bytes}",
            remedy=f"raise CYTOBATCH_MEMORY to {_MEMORY_PER_FILE * head.content_bytes // 2**20 + 1}MiB",
        )


def _with_content(export: Export, head: npz.NpzHead) -> Export:
    """Return the export with the bytes of its content, if the file is compressed far more than embeddings are."""
    (file,) = export.files
    if head.content_bytes <= _USUAL_COMPRESSION * file.size:
        return export
    return replace(export, files=(replace(file, content=head.content_bytes),))


def _location(head: npz.NpzHead | None) -> SiteLocation:
    metadata = {} if head is None else head.metadata
    plate, well, site = (known_text(metadata.get(name)) for name in _LOCATION)
    return SiteLocation(plate and without_decimals(plate), normalise_well(well) if well else None, site)


def _names(heads: Sequence[npz.NpzHead | None]) -> MeasurementNames:
    """Return the meaning of the columns: embeddings of cells, grouped by the model that computed them."""
    models = {head.model: head.feature_names for head in heads if head}
    parts = {name: MeasurementParts(group=model) for model, names in models.items() for name in names}
    return MeasurementNames(parts, npz.CENTERS)


def _check_missing_members(scans: Sequence[ExportScan], heads: Sequence[npz.NpzHead | None]) -> list[ExportScan]:
    """Fail files without metadata or locations, if any other file of the plate has them."""
    everywhere = {name for head in heads if head for name in _OPTIONAL_MEMBERS if name in head.members}
    result = []
    for scan, head in zip(scans, heads, strict=True):
        missing = sorted(everywhere - head.members) if head else []
        reason = f"missing member {', '.join(missing)}: other files of the plate have it"
        result.append(scan.without(OBJECTS, reason) if missing else scan)
    return result


FORMAT = DeepProfiler()
