"""The image tables of a plate: small, read whole, and what they say of plate, well, site and counts.

An image table has one row for each image set. It is read as text first, so that a column's type is decided by all of
the plate's rows and not by the first file's.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.presets.catalog import Preset
from cytobatch.config.wells import SiteLocation, normalise_well, well_of_row_and_column
from cytobatch.errors import LayoutError
from cytobatch.formats.image_sets import ImageSets, location_table, no_image_sets
from cytobatch.planning.columns import (
    IMAGE_NUMBER,
    METADATA,
    TABLE_NUMBER,
    ColumnKind,
    distinct_names,
    kind_of,
    profile_name,
)
from cytobatch.planning.key_columns import EXPORT, IMAGE, TABLE
from cytobatch.readers.numbers import convert_to_inferred_type, is_number, read_numbers

IMAGE_LABEL = "Image"
COUNT = "Metadata_Count_"

# Names that CellProfiler's Metadata and LoadData modules are commonly told to use, most telling first.
_PLATE_COLUMNS = ("Metadata_Plate", "Metadata_PlateID", "Metadata_Plate_Name", "Metadata_Barcode")
_WELL_COLUMNS = ("Metadata_Well", "Metadata_WellID", "Metadata_Well_Position")
_ROW_AND_COLUMN = (
    ("Metadata_WellRow", "Metadata_WellColumn"),
    ("Metadata_Row", "Metadata_Col"),
    ("Metadata_Row", "Metadata_Column"),
)
_SITE_COLUMNS = ("Metadata_Site", "Metadata_Field", "Metadata_FieldID", "Metadata_FOV")
_COUNT = re.compile(r"(?:Image_)?Count_(.+)")


@dataclass(frozen=True, slots=True)
class ImageRows:
    """All rows of the image tables under their source names, and beside them the index of each row's export.

    The two are apart because a source's column may have any name.
    """

    owners: pa.ChunkedArray
    table: pa.Table


def _variants(name: str) -> tuple[str, str]:
    return name, f"Image_{name}"


def location_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """Those of an image table's columns that tell plate, well or site."""
    telling = {
        variant
        for name in (*_PLATE_COLUMNS, *_WELL_COLUMNS, *_SITE_COLUMNS, *(n for pair in _ROW_AND_COLUMN for n in pair))
        for variant in _variants(name)
    }
    return tuple(column for column in columns if column in telling)


def _image_name(column: str, preset: Preset) -> str:
    """The name of an image table's column in a joined profile: under Image_ or Metadata_.

    CytoTable takes `ImageQuality_…` for a name that has its table in front already.
    """
    name = profile_name(column, IMAGE_LABEL, preset.identifying_columns, preset.metadata)
    return name if name.startswith((f"{IMAGE_LABEL}_", METADATA)) else f"{IMAGE_LABEL}_{name}"


def wanted_columns(columns: Sequence[str], preset: Preset) -> tuple[str, ...]:
    """Those of an image table's columns that a joined profile needs: keys, counts, locations and the preset's own."""
    names = {column: _image_name(column, preset) for column in columns}
    telling = set(location_columns(columns)) | {IMAGE_NUMBER, TABLE_NUMBER}
    return tuple(
        column
        for column in columns
        if column in telling or _COUNT.fullmatch(column) or re.fullmatch(preset.image_columns, names[column])
    )


def object_counts(row_counts: pa.Table) -> dict[str, int]:
    """Objects by lower-case compartment that the `Count_` columns of an export's image rows add up to."""
    totals = {}
    for column in row_counts.column_names:
        match = _COUNT.fullmatch(column)
        if match and pa.types.is_string(row_counts[column].type):
            totals[match[1].lower()] = sum(_whole(value) for value in row_counts[column].to_pylist())
        elif match:
            totals[match[1].lower()] = int(pc.sum(row_counts[column]).as_py() or 0)
    return totals


def _whole(text: str | None) -> int:
    try:
        return int(float(text or 0))
    except ValueError:
        return 0


def convert_text_columns(rows: ImageRows, asked: Mapping[str, pa.DataType], exports: Mapping[int, str]) -> ImageRows:
    """Text columns of all image rows as what all of their values are; names and paths stay text.

    `asked` are types that the job gives, `exports` the paths of exports by index. Raises LayoutError where a
    measurement is text in one export and a number in another, naming both.
    """
    arrays = []
    for name in rows.table.column_names:
        column = rows.table[name]
        if pa.types.is_string(column.type) and name in asked:
            column = _as_asked(name, column, asked[name])
        elif pa.types.is_string(column.type) and kind_of(name) is not ColumnKind.TEXT:
            column = _as_inferred(name, column, rows.owners, exports)
        arrays.append(column)
    return ImageRows(rows.owners, pa.table(arrays, rows.table.column_names))


def _as_asked(name: str, column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_string(kind):
        return column
    return read_numbers(name, column, kind, "image tables", otherwise_null=True)[0]


def _as_inferred(
    name: str, column: pa.ChunkedArray, owners: pa.ChunkedArray, exports: Mapping[int, str]
) -> pa.ChunkedArray:
    found = convert_to_inferred_type(column)
    if pa.types.is_null(found.type):
        return found.cast(pa.string())
    if kind_of(name) is ColumnKind.INTEGER and pa.types.is_floating(found.type):
        return _integers_if_whole(found)
    if pa.types.is_string(found.type) and kind_of(name) is ColumnKind.MEASUREMENT:
        return _numbers_if_any(name, found, owners, exports)
    return found


def _numbers_if_any(
    name: str, column: pa.ChunkedArray, owners: pa.ChunkedArray, exports: Mapping[int, str]
) -> pa.ChunkedArray:
    """A measurement that is not plain numbers throughout: numbers oddly written, or text in all exports."""
    words = [(export, text) for export, text in zip(owners.to_pylist(), column.to_pylist(), strict=True) if text]
    text = {export: word for export, word in words if not is_number(word)}
    numeric = [export for export, _ in words if export not in text]
    if not text:
        return read_numbers(name, column, pa.float64(), "image tables")[0]
    if not numeric:
        return column
    export, word = next(iter(text.items()))
    raise LayoutError(
        f"column {name!r} of the image tables has two types",
        where=f"{exports[export]} and {exports[numeric[0]]}",
        why=f"it is text in the first ({word!r}) and a number in the second",
        remedy=f"mend one of the two, or say what it is: column_types {name}=text or {name}=number",
    )


def _integers_if_whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return pc.cast(column, pa.int64())
    except pa.ArrowInvalid:
        return column


def locations(table: pa.Table, fallback: Sequence[SiteLocation]) -> list[SiteLocation]:
    """Plate, well and site of each image row: what its columns say, else its export's folder or the job."""
    plate = _first_column(table, _PLATE_COLUMNS)
    well = _first_column(table, _WELL_COLUMNS) or _wells_by_row_and_column(table)
    site = _first_column(table, _SITE_COLUMNS)
    nothing = [None] * table.num_rows
    said = zip(plate or nothing, well or nothing, site or nothing, strict=True)
    return [
        SiteLocation(plate_name, normalise_well(well_name) if well_name else None, site_name).or_else(other)
        for (plate_name, well_name, site_name), other in zip(said, fallback, strict=True)
    ]


def _text(table: pa.Table, column: str) -> list[str | None]:
    values = table[column].to_pylist()
    return [None if value is None or not str(value).strip() else _plain(value) for value in values]


def _plain(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _first_column(table: pa.Table, names: Iterable[str]) -> list[str | None] | None:
    present = set(table.column_names)
    for name in names:
        for variant in _variants(name):
            if variant in present and table[variant].null_count < table.num_rows:
                return _text(table, variant)
    return None


def _wells_by_row_and_column(table: pa.Table) -> list[str | None] | None:
    present = set(table.column_names)
    for row, column in _ROW_AND_COLUMN:
        for row_name, column_name in zip(_variants(row), _variants(column), strict=True):
            if {row_name, column_name} <= present:
                pairs = zip(_text(table, row_name), _text(table, column_name), strict=True)
                return [well_of_row_and_column(one, two) if one and two else None for one, two in pairs]
    return None


def image_sets(
    said: ImageRows | None, values: ImageRows | None, preset: Preset, exports: Sequence[SiteLocation]
) -> ImageSets:
    """Image sets from all exports' image rows.

    `said` holds the rows as the source has them, so that plate `001` keeps its zeros; `values` the same, typed.
    `exports` are the locations of the exports themselves, by index, as folder and job say. Without rows there are no
    image sets, only exports.
    """
    if said is None or values is None:
        none = no_image_sets().append_column(IMAGE, pa.array([], pa.int64()))
        return ImageSets(none, location_table(exports))
    found = locations(said.table, [exports[export] for export in said.owners.to_pylist()])
    table = values.table
    keys = {EXPORT: values.owners, IMAGE: table[IMAGE_NUMBER].cast(pa.int64())}
    if TABLE_NUMBER in table.column_names:
        keys[TABLE] = table[TABLE_NUMBER].cast(pa.string())
    return ImageSets(pa.table(keys | _kept(table, preset) | _counts(table)), location_table([*found, *exports]))


def _kept(values: pa.Table, preset: Preset) -> dict[str, pa.ChunkedArray]:
    """The columns that the preset keeps, under their profile names."""
    raw = [name for name in values.column_names if name != IMAGE_NUMBER]
    named = [_image_name(name, preset) for name in raw]
    return {
        name: values[column]
        for name, column in zip(distinct_names(named), raw, strict=True)
        if re.fullmatch(preset.image_columns, name)
    }


def _counts(values: pa.Table) -> dict[str, pa.ChunkedArray]:
    """The objects that each image set counts, as metadata: `Metadata_Count_Cells`."""
    matches = [(f"{COUNT}{match[1]}", name) for name in values.column_names if (match := _COUNT.fullmatch(name))]
    names = distinct_names(name for name, _ in matches)
    return {name: _integers_if_whole(values[column]) for name, (_, column) in zip(names, matches, strict=True)}
