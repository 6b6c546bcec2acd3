"""The image tables of a plate: locations (plate, well and site), counts of objects, and the columns of a profile.

An image table has one row for each image set. Tables without declared types are read as text first, so that all rows of
the plate decide the type of a column, and not those of the first file.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.presets.catalog import Preset
from cytobatch.config.wells import SiteLocation
from cytobatch.errors import LayoutError
from cytobatch.formats.image_sets import ImageSets, location_table, no_image_sets
from cytobatch.planning.columns import (
    IMAGE_NUMBER,
    METADATA,
    TABLE_NUMBER,
    ColumnKind,
    distinct_names,
    is_aggregate,
    kind_of,
    profile_name,
)
from cytobatch.planning.key_columns import EXPORT, IMAGE, TABLE
from cytobatch.readers.numbers import convert_to_inferred_type, is_number, read_numbers
from cytobatch.survey.carried_columns import is_carried
from cytobatch.survey.image_features import image_feature_columns
from cytobatch.survey.location_columns import location_columns, locations

IMAGE_LABEL = "Image"
COUNT = "Metadata_Count_"
"""The prefix of the profile's columns with counts of objects."""

_BEYOND_COUNTS = 2**53
_COUNT = re.compile(r"(?:Image_)?Count_(.+)")
_SOURCE = "image tables"
"""The source of a column in messages: it has the rows of several files."""


@dataclass(frozen=True, slots=True)
class ImageRows:
    """The rows of the image tables of all exports, under their source names.

    `owners` has the index of each row's export: int64, (rows,). It is not a column of `table`, because a column of the
    source may have any name.
    """

    owners: pa.ChunkedArray
    table: pa.Table


def _image_name(column: str, preset: Preset) -> str:
    """Return the name of an image table's column in a joined profile: under `Image_` or `Metadata_`.

    CytoTable adds no prefix to `ImageQuality_…`, because the name begins with that of its table. Here it gets one.
    """
    name = profile_name(column, IMAGE_LABEL, preset.identifying_columns, preset.metadata)
    return name if name.startswith((f"{IMAGE_LABEL}_", METADATA)) else f"{IMAGE_LABEL}_{name}"


def needed_columns(
    columns: Sequence[str], preset: Preset, *, carried: bool = False, features: bool = False
) -> tuple[str, ...]:
    """Return the columns of an image table that a joined profile needs: keys, counts, locations and image columns.

    With `carried`, it needs all columns under `Metadata_`, too; with `features`, all measurements of images.
    """
    names = {column: _image_name(column, preset) for column in columns}
    always = set(location_columns(columns)) | {IMAGE_NUMBER, TABLE_NUMBER}
    if features:
        always.update(image_feature_columns(columns))
    return tuple(
        column
        for column in columns
        if column in always
        or _COUNT.fullmatch(column)
        or re.fullmatch(preset.image_columns, names[column])
        or (carried and is_carried(column))
    )


def object_counts(rows: pa.Table) -> dict[str, int]:
    """Return the sums of the `Count_` columns of one export's image rows, by lower-case compartment.

    Parameters
    ----------
    rows
        Image rows with `Count_<Compartment>` or `Image_Count_<Compartment>` columns, of text or numbers. Text that is
        not a number counts as 0. A column with a fraction, or with a number that no plate has objects of, is left out,
        because it does not count objects.
    """
    totals = {}
    for column in rows.column_names:
        match = _COUNT.fullmatch(column)
        if match:
            values = [_to_number(value) for value in rows[column].to_pylist()]
            if all(value.is_integer() and abs(value) < _BEYOND_COUNTS for value in values):
                totals[match[1].lower()] = int(sum(values))
    return totals


def _to_number(value: float | str | None) -> float:
    try:
        number = float(value or 0)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def convert_text_columns(
    rows: ImageRows, requested: Mapping[str, pa.DataType], exports: Mapping[int, str]
) -> ImageRows:
    """Convert text columns to the type that all their values have.

    Parameters
    ----------
    rows
        The image rows of all exports. Columns of other types than string stay as they are.
    requested
        The types that the job gives to columns; text that does not fit such a type becomes null.
    exports
        The paths of the exports' image tables by the export's index, for messages.

    Returns
    -------
    The same rows. Names and paths of files stay text; a column without values is text.

    Raises
    ------
    LayoutError
        If a measurement or a count is text in one export and a number in another. The message names both files.
    InvalidTableError
        If a value does not fit the type that the job gives to its column, and cannot become null.
    """
    arrays = []
    for name in rows.table.column_names:
        column = rows.table[name]
        if pa.types.is_string(column.type) and name in requested:
            column = _as_requested(name, column, requested[name])
        elif pa.types.is_string(column.type) and kind_of(name) is not ColumnKind.TEXT:
            column = _as_inferred(name, column, rows.owners, exports)
        arrays.append(column)
    return ImageRows(rows.owners, pa.table(arrays, rows.table.column_names))


def _as_requested(name: str, column: pa.ChunkedArray, requested: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_string(requested):
        return column
    return read_numbers(name, column, requested, _SOURCE, otherwise_null=True)[0]


def _as_inferred(
    name: str, column: pa.ChunkedArray, owners: pa.ChunkedArray, exports: Mapping[int, str]
) -> pa.ChunkedArray:
    converted = convert_to_inferred_type(column)
    if pa.types.is_null(converted.type):
        return converted.cast(pa.string())
    kind = kind_of(name)
    if pa.types.is_integer(converted.type) and is_aggregate(name):
        return converted.cast(pa.float64())
    if pa.types.is_string(converted.type) and kind in (ColumnKind.MEASUREMENT, ColumnKind.INTEGER):
        converted = _numbers_if_any(name, converted, owners, exports)
    if kind is ColumnKind.INTEGER and pa.types.is_floating(converted.type):
        return _integers_if_whole(converted)
    return converted


def _numbers_if_any(
    name: str, column: pa.ChunkedArray, owners: pa.ChunkedArray, exports: Mapping[int, str]
) -> pa.ChunkedArray:
    """Convert a measurement or count that Arrow did not parse: numbers in other spellings, or text in all exports."""
    values = [(export, text) for export, text in zip(owners.to_pylist(), column.to_pylist(), strict=True) if text]
    not_numbers = {export: text for export, text in values if not is_number(text)}
    numeric = [export for export, _ in values if export not in not_numbers]
    if not not_numbers:
        return read_numbers(name, column, pa.float64(), _SOURCE)[0]
    if not numeric:
        return column
    export, text = next(iter(not_numbers.items()))
    raise LayoutError(
        f"column {name!r} of the image tables has two types",
        where=f"{exports[export]} and {exports[numeric[0]]}",
        why=f"it is text in the first ({text!r}) and a number in the second",
        remedy=f"mend one of the two, or declare a type: column_types {name}=text or {name}=number",
    )


def _integers_if_whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return pc.cast(column, pa.int64())
    except pa.ArrowInvalid:
        return column


def image_sets(
    raw: ImageRows | None, typed: ImageRows | None, preset: Preset, exports: Sequence[SiteLocation]
) -> ImageSets:
    """Return the image sets of a plate from the image rows of all exports.

    Parameters
    ----------
    raw
        The rows as the source has them, so that plate `001` keeps its zeros. None if no export has image rows: then
        there are no image sets, only exports.
    typed
        The same rows with typed columns.
    preset
        The preset, which names the image columns of a profile.
    exports
        The locations of the exports by index, from folder and job.
    """
    if raw is None or typed is None:
        empty = no_image_sets().append_column(IMAGE, pa.array([], pa.int64()))
        return ImageSets(empty, location_table(exports))
    of_rows = locations(raw.table, [exports[export] for export in raw.owners.to_pylist()])
    table = typed.table
    keys = {EXPORT: typed.owners, IMAGE: table[IMAGE_NUMBER].cast(pa.int64())}
    if TABLE_NUMBER in table.column_names:
        keys[TABLE] = table[TABLE_NUMBER].cast(pa.string())
    columns = keys | _profile_columns(table, preset) | _count_columns(table)
    return ImageSets(pa.table(columns), location_table([*of_rows, *exports]))


def _profile_columns(rows: pa.Table, preset: Preset) -> dict[str, pa.ChunkedArray]:
    """Return the columns that the preset keeps, under their profile names."""
    return {name: rows[column] for name, column in _kept_columns(rows.column_names, preset).items()}


def _count_columns(rows: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Return the objects that each image set counts, as metadata: `Metadata_Count_Cells`."""
    return {name: _integers_if_whole(rows[column]) for name, column in _counting_columns(rows.column_names).items()}


def image_sources(columns: Sequence[str], preset: Preset) -> dict[str, str]:
    """Return the columns of image rows that a joined profile has, by their names there: image columns and counts."""
    return _kept_columns(columns, preset) | _counting_columns(columns)


def _kept_columns(columns: Sequence[str], preset: Preset) -> dict[str, str]:
    others = [name for name in columns if name != IMAGE_NUMBER]
    names = distinct_names(_image_name(column, preset) for column in others)
    return {
        name: column for name, column in zip(names, others, strict=True) if re.fullmatch(preset.image_columns, name)
    }


def _counting_columns(columns: Sequence[str]) -> dict[str, str]:
    matches = [(f"{COUNT}{match[1]}", name) for name in columns if (match := _COUNT.fullmatch(name))]
    return dict(zip(distinct_names(name for name, _ in matches), (name for _, name in matches), strict=True))
