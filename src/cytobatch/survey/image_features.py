"""The image-level features of an image table: measurements of whole images, by the categories of CellProfiler's names.

CellProfiler names a measurement `<Category>_<Feature>_…`. Modules that measure images have categories of their own
(Count, Intensity, ImageQuality, Granularity, Texture, Threshold, AreaOccupied, Math, …), and plugins add more. The
categories of what describes a file or a run, and measures nothing, are few and known.
"""

import re
from collections.abc import Sequence

import pyarrow as pa

from cytobatch.errors import LayoutError
from cytobatch.formats.base import ConversionPlan
from cytobatch.planning.columns import distinct_names, is_aggregate, is_key, is_row_number
from cytobatch.planning.schema import is_number_type
from cytobatch.survey.location_columns import location_columns

_PREFIX = "Image_"
# https://github.com/CellProfiler/CellProfiler: constants/measurement.py and constants/image.py of cellprofiler_core.
_NOT_MEASURED = frozenset(
    {
        *("filename", "pathname", "url", "md5digest", "series", "frame", "channel", "imageset", "thumbnail"),
        *("height", "width", "scaling", "executiontime", "timeelapsed", "moduleerror", "processingstatus"),
        *("group", "metadata", "description", "processing"),
    }
)
_MEASUREMENT = re.compile(r"([A-Za-z][A-Za-z0-9]*)_.+")


def is_image_feature(column: str) -> bool:
    """Return True if a column of an image table measures the image, by its name with or without `Image_`.

    Means, medians and standard deviations of an image's objects (`Mean_Cells_AreaShape_Area`) are none: the profile has
    the measurements of these objects.
    """
    name = column.removeprefix(_PREFIX)
    match = _MEASUREMENT.fullmatch(name)
    if match is None or match[1].lower() in _NOT_MEASURED:
        return False
    return not (is_aggregate(name) or is_key(name) or is_row_number(name))


def image_feature_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns of an image table that have the name of a feature, and hold no part of a location."""
    locations = set(location_columns(columns))
    return [column for column in columns if column not in locations and is_image_feature(column)]


def image_features(rows: pa.Table) -> pa.Table:
    """Return the features of image sets under their names in outputs, sorted.

    Parameters
    ----------
    rows
        Image rows with typed columns, under the names of the source: `(image sets,)`.

    Returns
    -------
    pa.Table
        `Image_<Category>_…`, `float64, (image sets,)` each. A column without values is null.
    """
    return pa.table({name: _as_doubles(rows[column]) for name, column in image_feature_sources(rows).items()})


def image_feature_sources(rows: pa.Table) -> dict[str, str]:
    """Return the columns of image rows that are features, by their names in outputs, sorted by these."""
    columns = sorted(column for column in image_feature_columns(rows.column_names) if _is_numeric(rows[column]))
    names = distinct_names(f"{_PREFIX}{column.removeprefix(_PREFIX)}" for column in columns)
    return dict(sorted(zip(names, columns, strict=True)))


def check_image_features(plan: ConversionPlan, rows: pa.Table | None) -> None:
    """Raise LayoutError, before anything is converted, if the job asks for image features and there are none.

    `rows` are the image rows of the plate, or None.
    """
    if plan.job.image_features and (rows is None or not image_feature_sources(rows)):
        raise LayoutError(
            "no image features",
            where=plan.job.source,
            why="its format has no image tables" if rows is None else "no image table has a measurement of images",
            remedy="leave image_features out",
        )


def text_features(rows: pa.Table) -> list[str]:
    """Return the columns with the name of a feature that hold text, and are left out, sorted."""
    return sorted(column for column in image_feature_columns(rows.column_names) if not _is_numeric(rows[column]))


def _is_numeric(column: pa.ChunkedArray) -> bool:
    return is_number_type(column.type) or column.null_count == len(column)


def _as_doubles(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not is_number_type(column.type):
        return pa.chunked_array([pa.nulls(len(column), pa.float64())])
    return column.cast(pa.float64(), safe=False)
