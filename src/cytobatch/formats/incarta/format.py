"""IN Carta's CSV files as a format: whole rows, with plate, well and field in columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from cytobatch.config.options import PlateJob
from cytobatch.config.presets.catalog import PRESETS, FormatName, PresetName
from cytobatch.config.wells import SiteLocation, known_text, normalise_well, well_of_row_and_column
from cytobatch.engine.duckdb import Engine
from cytobatch.errors import InvalidTableError
from cytobatch.formats.base import (
    OBJECTS,
    ConversionPlan,
    Export,
    ExportScan,
    Listing,
    PlateScan,
    ReadContext,
    SingleTable,
)
from cytobatch.formats.csv_files import (
    CsvTable,
    check_last_lines,
    count_csv_rows,
    csv_readers,
    csv_table,
    files_of_unknown_stems,
    headers_by_stem,
)
from cytobatch.formats.csv_names import table_files
from cytobatch.formats.header_columns import check_repeats, has_repeats, header_facts
from cytobatch.formats.image_sets import ImageSets, location_table, no_image_sets
from cytobatch.formats.incarta import columns as incarta
from cytobatch.formats.single_table import SingleTableFormat, invalid_scan, preset_of, with_empty_entry
from cytobatch.formats.table_facts import fact_warnings
from cytobatch.formats.text_columns import check_text_columns, resolve_text_columns
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.planning.key_columns import EXPORT, IMAGE_SET
from cytobatch.planning.schema import requested_types, text_keys, with_types
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.header import CsvHead, invalid_file, read_head
from cytobatch.readers.fallback import ReadStrategy
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.numbers import Repair, convert_to_inferred_type


class InCarta(SingleTableFormat[CsvTable]):
    """CSV files with the columns OBJECT ID and WELL LABEL."""

    name = FormatName.IN_CARTA.value
    examples = "IN Carta's CSV files"
    preset = PRESETS[PresetName.IN_CARTA]

    def probes(self, job: PlateJob, inventory: Inventory) -> Iterable[SourceFile]:
        """Return one CSV file for each name from which its content does not follow."""
        return files_of_unknown_stems(job, inventory)

    def claims(self, listing: Listing) -> Sequence[SourceFile]:
        """Return the CSV files with IN Carta's headers; with the format's own preset, all CSV files."""
        stems = _stems(listing.job, headers_by_stem(listing))
        files = table_files(listing.inventory)
        return [file for file in listing.inventory.files if file.path in files and files[file.path].stem in stems]

    def scan(self, plan: ConversionPlan, inputs: Inputs, engine: Engine) -> PlateScan:
        """Scan the header of every file, and read the columns with the locations of its objects."""
        scans = [_scan_export(plan, export, inputs) for export in plan.exports]
        scans = check_text_columns(resolve_text_columns(check_last_lines(scans, inputs), inputs))
        scans, images = _read_image_sets(plan, scans, inputs)
        names = dict.fromkeys(name for scan in scans for table in scan.tables.values() for name in table.schema.names)
        single = SingleTable(
            features=frozenset(name for name in names if incarta.is_measurement(name)),
            sort_keys=incarta.SORT_KEYS,
            object_keys=(incarta.OBJECT, *(name for name in incarta.KEYS if name != incarta.OBJECT)),
            image_set_keys=incarta.LOCATION,
            names=incarta.measurement_names(names),
        )
        warnings = fact_warnings(scans, header_facts)
        return PlateScan(preset_of(plan), tuple(with_empty_entry(scan) for scan in scans), single, images, warnings)

    def readers(
        self, table: CsvTable, path: Path, schema: pa.Schema, repairs: list[Repair], context: ReadContext
    ) -> tuple[ReadStrategy, ...]:
        """Return Arrow's readers of CSV. Raises InvalidTableError."""
        return csv_readers(table, path, schema, repairs, context)

    def count_rows(self, table: CsvTable, path: Path) -> int | None:
        """Return the number of lines below the header."""
        return count_csv_rows(table, path)


def _stems(job: PlateJob, headers: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Return the lower-case stems of IN Carta's files.

    If there is one, damaged and empty CSV files are taken for IN Carta's, too, so that they are reported as defects.
    """
    if job.preset is PresetName.IN_CARTA:
        return set(headers)
    if not any(incarta.is_incarta(header) for header in headers.values()):
        return set()
    return {stem for stem, header in headers.items() if not header or incarta.resembles_incarta(header)}


def _scan_export(plan: ConversionPlan, export: Export, inputs: Inputs) -> ExportScan:
    try:
        return ExportScan(export, {OBJECTS: _scan_table(plan, export, inputs.whole(export.path))})
    except InvalidTableError as error:
        return invalid_scan(export, error)


def _scan_table(plan: ConversionPlan, export: Export, path: Path) -> CsvTable:
    """Return the table of a file with its types. Raises InvalidTableError if the file is not IN Carta's."""
    head = read_head(path)
    if has_repeats(head.shape):
        check_repeats(path, head.shape)
    if not incarta.is_incarta(head.shape.names):
        missing = ", ".join(sorted(incarta.SIGNATURE - set(head.shape.names)))
        raise invalid_file(path, f"no {missing} column", f"the header begins {','.join(head.shape.names[:3])!r}")
    types = requested_types(OBJECTS, head.shape.names, plan.job.column_types)
    schema = with_types(_schema_of_head(path, head), types)
    texts = {
        column: value
        for column, value in head.texts().items()
        if column not in types and pa.types.is_floating(schema.field(column).type)
    }
    return CsvTable(
        name=OBJECTS,
        label="",
        source=export.path,
        schema=schema,
        has_rows=head.has_rows,
        null_text_columns=frozenset(types),
        shape=head.shape,
        complete=head.ends_with_newline,
        first_text=texts,
    )


def _schema_of_head(path: Path, head: CsvHead) -> pa.Schema:
    """Return types by the meaning of IN Carta's names; all values decide about counts and unknown names."""
    known = {name: type_ for name in head.shape.names if (type_ := _type_by_name(name)) is not None}
    unknown = tuple(name for name in head.shape.names if name not in known)
    values = csv.read_text(path, head.shape, unknown) if unknown and head.has_rows else None
    inferred = {
        name: convert_to_inferred_type(values[name]).type if values is not None else pa.null() for name in unknown
    }
    return pa.schema([(name, known[name] if name in known else inferred[name]) for name in head.shape.names])


def _type_by_name(name: str) -> pa.DataType | None:
    if name in incarta.INTEGERS:
        return pa.int64()
    if name in incarta.TEXTS:
        return pa.string()
    if name in incarta.FLAGS:
        return pa.bool_()
    return pa.float64() if incarta.is_measurement(name) and not incarta.is_count(name) else None


@dataclass(frozen=True, slots=True)
class _FileImageSets:
    """The image sets of one file: EXPORT and IMAGE_SET of each, and its location."""

    keys: pa.Table
    locations: list[SiteLocation]


def _read_image_sets(
    plan: ConversionPlan, scans: Sequence[ExportScan], inputs: Inputs
) -> tuple[list[ExportScan], ImageSets]:
    """Return the plate's image sets; a file whose location columns cannot be read becomes invalid."""
    checked: list[ExportScan] = []
    sets: list[_FileImageSets] = []
    for scan in scans:
        table, result = csv_table(scan, OBJECTS), scan
        if table is not None and table.has_rows:
            try:
                sets.append(_read_file_image_sets(table, inputs, scan.export, plan.job.location))
            except InvalidTableError as error:
                result = scan.without(OBJECTS, error.reason)
        checked.append(result)
    keys = pa.concat_tables([each.keys for each in sets]) if sets else no_image_sets()
    locations = [location for each in sets for location in each.locations]
    of_exports = [export.location.or_else(plan.job.location) for export in plan.exports]
    return checked, ImageSets(keys, location_table([*locations, *of_exports]))


def _read_file_image_sets(
    table: CsvTable, inputs: Inputs, export: Export, job_location: SiteLocation
) -> _FileImageSets:
    """Read the location columns of a file. Raises InvalidTableError."""
    schema = pa.schema([table.schema.field(name) for name in incarta.LOCATION if name in table.schema.names])
    rows = pa.Table.from_batches(csv.stream(inputs.whole(table.source), table.shape, schema, []), schema)
    rows = rows.append_column(IMAGE_SET, text_keys(rows, schema.names))
    sets = rows.group_by([IMAGE_SET, *schema.names]).aggregate([])
    keys = pa.table({EXPORT: pa.repeat(pa.scalar(export.index, pa.int64()), sets.num_rows), IMAGE_SET: sets[IMAGE_SET]})
    fallback = export.location.or_else(job_location)
    return _FileImageSets(keys, [_location(row).or_else(fallback) for row in sets.select(schema.names).to_pylist()])


def _location(row: Mapping[str, object]) -> SiteLocation:
    text = {name: known for name, value in row.items() if (known := known_text(value)) is not None}
    well = normalise_well(text.get("WELL LABEL", "")) or well_of_row_and_column(
        text.get("Row", ""), text.get("Column", "")
    )
    return SiteLocation(text.get("Plate ID"), well, text.get("FOV"))


FORMAT = InCarta()
