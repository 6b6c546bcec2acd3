"""The further metadata of image sets, such as a time point, a dose or a crop: columns that a profile takes over."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import pyarrow as pa

from cytobatch.config.wells import known_text
from cytobatch.formats.image_sets import ImageSets
from cytobatch.planning.columns import IMAGE_NUMBER, METADATA, OBJECT_NUMBER, PLATE, SITE, TABLE_NUMBER, WELL
from cytobatch.readers.numbers import convert_to_inferred_type

_CARRIED = re.compile(rf"(?:Image_)?({METADATA}.+)")
_KEYS = (IMAGE_NUMBER, OBJECT_NUMBER, TABLE_NUMBER)
_TAKEN = frozenset(name.lower() for name in (PLATE, WELL, SITE, *(f"{METADATA}{key}" for key in _KEYS)))
_COUNT = f"{METADATA}Count_"
# Leading zeros, `5E12` and more digits than an integer of 64 bits: names that a number does not give back.
_NAME = re.compile(r"[+-]?0[0-9]+(\.[0-9]*)?|[0-9]+[eE][0-9]+|[+-]?[0-9]{19,}")


def carried_name(column: str) -> str | None:
    """Return the profile's name of a column that is taken over from the image table; None for any other column."""
    match = _CARRIED.fullmatch(column)
    name = match[1] if match else ""
    return None if name.lower() in _TAKEN or name.startswith(_COUNT) else name or None


def is_carried(column: str) -> bool:
    """Return True if a column of the image table is taken over: under `Metadata_`, no location, no key."""
    return carried_name(column) is not None


def carried_columns(raw: pa.Table, typed: pa.Table, requested: Collection[str]) -> dict[str, pa.ChunkedArray]:
    """Return the metadata of image sets by profile name.

    Parameters
    ----------
    raw
        The image rows as the source has them.
    typed
        The same rows with typed columns.
    requested
        The columns whose type the job gives.

    Returns
    -------
    Columns of (rows,). Text has the narrowest type of all its values; if one of them is a name such as `007`, all stay
    text. `nan`, `None` and the like are null. Columns without values are left out.
    """
    columns: dict[str, pa.ChunkedArray] = {}
    for column in raw.column_names:
        name = carried_name(column)
        if name is None or name in columns:
            continue
        as_read = pa.types.is_string(raw[column].type) and column not in requested
        values = infer_type([known_text(value) for value in raw[column].to_pylist()]) if as_read else typed[column]
        if values.null_count < len(values):
            columns[name] = values
    return columns


def infer_type(texts: Sequence[str | None]) -> pa.ChunkedArray:
    """Return texts as integers, floats or text. If one of them is a name, such as `007` or `5E12`, all are text.

    Parameters
    ----------
    texts
        A column's values; missing ones are None or blank.

    Returns
    -------
    int64, float64 or string, (rows,).
    """
    column = pa.chunked_array([pa.array([text if text and text.strip() else None for text in texts], pa.string())])
    if any(text and _NAME.fullmatch(text.strip()) for text in texts):
        return column
    values = convert_to_inferred_type(column)
    return values.cast(pa.string()) if pa.types.is_null(values.type) else values


def with_carried(images: ImageSets, carried: dict[str, pa.ChunkedArray], exports: int) -> ImageSets:
    """Return image sets with more columns in their locations, which are null for objects without an image set.

    Parameters
    ----------
    images
        The image sets.
    carried
        Columns by profile name, a value for each image set.
    exports
        The number of exports, whose locations follow those of the image sets.
    """
    # A table without columns has no rows either, so that columns are collected first.
    columns = {name: images.locations[name] for name in images.locations.column_names}
    for name, column in carried.items():
        if name not in columns:
            nulls = pa.nulls(exports, column.type)
            # One chunk, as the other locations have, because threads take rows of it at once.
            columns[name] = pa.chunked_array([*column.chunks, nulls], column.type).combine_chunks()
    names = tuple(name for name in carried if name not in images.locations.column_names)
    return replace(images, locations=pa.table(columns), carried=names)
