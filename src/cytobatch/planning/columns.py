"""Column names of a profile, their order, and the kind of a column by its CellProfiler name. Pure functions.

Naming and order are those of CytoTable 1.2.6 (`_prepend_column_name` and `_column_sort`), so that the same source gives
the same columns. Types follow the meaning of CellProfiler's names, so that they do not depend on the rows of a file.
"""

import functools
import re
from collections.abc import Collection, Iterable
from enum import StrEnum

METADATA = "Metadata_"
PLATE, WELL, SITE = "Metadata_Plate", "Metadata_Well", "Metadata_Site"
IMAGE_NUMBER, OBJECT_NUMBER, TABLE_NUMBER = "ImageNumber", "ObjectNumber", "TableNumber"
HEADERS = 64
"""The number of different headers that caches keep: the thousands of files of a plate have few different headers."""

_FIRST = (
    "tablenumber",
    "metadata_tablenumber",
    "imagenumber",
    "metadata_imagenumber",
    "objectnumber",
    "object_number",
)
_LATER = ("image", "cytoplasm", "cells", "nuclei")

_INTEGER = re.compile(
    r"(.*_)?(ImageNumber|ObjectNumber|TableNumber|Number_Object_Number|Parent_[^_].*|Children_.+_Count"
    r"|(First|Second)ClosestObjectNumber_.+)|(Image_)?Count_.+"
)
_KEY = re.compile(r"(.*_)?(ImageNumber|ObjectNumber|Number_Object_Number|Parent_[^_].*)")
# The word comes first, or after the label of a table. After `Parent_` and the like it is part of an object's name.
_AGGREGATE = re.compile(
    r"((?!(Parent|Children|Count|(First|Second)ClosestObjectNumber|Metadata|FileName|PathName|URL|MD5Digest)_)[^_]*_)*"
    r"(Mean|Median|StDev)_.+"
)
_ROW_NUMBER = re.compile(r"index|level_[0-9]+|Unnamed: ?[0-9]+(\.[0-9]+|_level_[0-9]+)?|\.\.\.[0-9]+")
_TEXT = re.compile(r"(Image_)?(FileName|PathName|URL|MD5Digest)_.+")


class ColumnKind(StrEnum):
    """The content of a column, derived from its name."""

    INTEGER = "integer"
    TEXT = "text"
    MEASUREMENT = "measurement"
    UNKNOWN = "unknown"


def table_label(name: str) -> str:
    """Return the prefix of a table's columns: the table's name with a capital, its other letters unchanged (`PH3`)."""
    return name[:1].upper() + name[1:]


@functools.cache
def kind_of(column: str) -> ColumnKind:
    """Return the kind of a column by its name at the source: keys, parents and counts are integers.

    Means of several objects, and numbers of neighbours, are measurements: CellProfiler writes both with a decimal
    point. Cached, because thousands of files have the same few thousand names.
    """
    if is_aggregate(column):
        return ColumnKind.MEASUREMENT
    if _INTEGER.fullmatch(column):
        return ColumnKind.INTEGER
    if _TEXT.fullmatch(column):
        return ColumnKind.TEXT
    if "Metadata_" in column:
        return ColumnKind.UNKNOWN
    return ColumnKind.MEASUREMENT


def is_measurement(column: str) -> bool:
    """Return True if a column measures objects, by its name at the source or in a profile."""
    return kind_of(column) is ColumnKind.MEASUREMENT


def is_aggregate(column: str) -> bool:
    """Return True if a column is a mean, median or standard deviation of several objects, whatever was averaged.

    RelateObjects averages the columns of children, and the exports those of an image: also their numbers and counts.
    """
    # Few of thousands of columns have one of the words, which are found faster than the pattern is tried.
    has_word = "Mean_" in column or "Median_" in column or "StDev_" in column
    return has_word and _AGGREGATE.fullmatch(column) is not None


def is_key(column: str) -> bool:
    """Return True if a column numbers images or objects by its name, and is no mean of such numbers."""
    return numbers_objects(column) and not is_aggregate(column)


def numbers_objects(column: str) -> bool:
    """Return True if a column has the name of a key in a table with any label, such as `Mean_Cells`."""
    return ("Number" in column or "Parent_" in column) and _KEY.fullmatch(column) is not None


def is_row_number(column: str) -> bool:
    """Return True if a column numbers the rows of its table, as pandas and R name it, and so measures nothing."""
    return _ROW_NUMBER.fullmatch(column) is not None


def profile_name(column: str, label: str, identifying: Collection[str], metadata: Iterable[str]) -> str:
    """Return the profile's name for a column of the table with the label `label` (`Cells`).

    A measurement gets the label as prefix unless it begins with it. An identifying column gets the prefix `Metadata_`.
    The rules are those of CytoTable 1.2.6 (`_prepend_column_name`).
    """
    has_label = column.startswith(label)
    if column not in identifying:
        return column if has_label else f"{label}_{column}"
    if has_label:
        return f"{METADATA}{column}"
    if column.startswith(METADATA):
        return column
    names_image = any(name.capitalize() in column for name in metadata)
    if names_image or OBJECT_NUMBER in column or TABLE_NUMBER in column:
        return f"{METADATA}{column}"
    return f"{METADATA}{label}_{column}"


def under_metadata(name: str) -> str:
    """Return the name with the prefix `Metadata_`, which is not added twice."""
    return name if name.startswith(METADATA) else f"{METADATA}{name}"


def with_label(name: str, label: str) -> str:
    """Return the name with the label of a compartment as prefix, which is not added twice."""
    return name if name.startswith(f"{label}_") else f"{label}_{name}"


def order_key(name: str) -> tuple[int, str]:
    """Return the sort key of a profile column.

    Keys come first, then metadata, then image, cytoplasm, cells and nuclei, then the rest (CytoTable's `_column_sort`).
    """
    lower = name.lower()
    if lower in _FIRST:
        return _FIRST.index(lower), name
    if "metadata" in lower:
        return len(_FIRST), name
    for rank, start in enumerate(_LATER, start=len(_FIRST) + 1):
        if lower.startswith(start):
            return rank, name
    return len(_FIRST) + len(_LATER) + 1, name


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return the names with repeats numbered as DuckDB numbers them: `x`, `x_1`, `x_2`. No name is used twice."""
    requested = list(names)
    taken: set[str] = set()
    reserved = set(requested)
    result = []
    for name in requested:
        candidate, number = name, 0
        while candidate in taken or (number and candidate in reserved):
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        result.append(candidate)
    return result
