"""Column names of a profile, their order, and what a CellProfiler name says of a column's type. Pure functions.

Naming and order are CytoTable 1.2.6's (`_prepend_column_name` and `_column_sort`), so that the same source gives the
same columns; types follow the meaning of CellProfiler's names, so that they do not change with the rows seen.
"""

import functools
import re
from collections.abc import Collection, Iterable
from enum import StrEnum

METADATA = "Metadata_"
PLATE, WELL, SITE = "Metadata_Plate", "Metadata_Well", "Metadata_Site"
IMAGE_NUMBER, OBJECT_NUMBER, TABLE_NUMBER = "ImageNumber", "ObjectNumber", "TableNumber"
HEADERS = 64
"""How many different headers a plate may have and each still be worked out once: thousands of files have few."""

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
    r"|(First|Second)ClosestObjectNumber_.+|NumberOfNeighbors_.+)|(Image_)?Count_.+"
)
_KEY = re.compile(r"(.*_)?(ImageNumber|ObjectNumber|Number_Object_Number|Parent_[^_].*)")
_NEIGHBOURS = re.compile(r"(.*_)?NumberOfNeighbors_.+")
_TEXT = re.compile(r"(Image_)?(FileName|PathName|URL|MD5Digest)_.+")


class ColumnKind(StrEnum):
    """What a column holds, as far as its name tells."""

    INTEGER = "integer"
    TEXT = "text"
    MEASUREMENT = "measurement"
    UNKNOWN = "unknown"


def table_label(name: str) -> str:
    """The name that a table's columns get in front: its own, with a capital; the rest stays as it is (`PH3`)."""
    return name[:1].upper() + name[1:]


@functools.cache
def kind_of(column: str) -> ColumnKind:
    """The kind of a column from its name at the source: keys, parents and counts are integers.

    Cached: thousands of files have the same few thousand names.
    """
    if _INTEGER.fullmatch(column):
        return ColumnKind.INTEGER
    if _TEXT.fullmatch(column):
        return ColumnKind.TEXT
    if "Metadata_" in column:
        return ColumnKind.UNKNOWN
    return ColumnKind.MEASUREMENT


def is_measurement(column: str) -> bool:
    """Whether a column measures objects, by its name at the source or in a profile; a number of neighbours does."""
    return kind_of(column) is ColumnKind.MEASUREMENT or _NEIGHBOURS.fullmatch(column) is not None


def is_key(column: str) -> bool:
    """Whether a column numbers images or objects, and so must be an integer to be joined."""
    return _KEY.fullmatch(column) is not None


def profile_name(column: str, label: str, identifying: Collection[str], metadata: Iterable[str]) -> str:
    """The profile's name for a source column of the table `label` (`Cells`).

    A measurement gets the table's name in front unless it has it; an identifying column goes under `Metadata_`.
    """
    own = column.startswith(label)
    if column not in identifying:
        return column if own else f"{label}_{column}"
    if own:
        return f"{METADATA}{column}"
    if column.startswith(METADATA):
        return column
    shared = any(name.capitalize() in column for name in metadata)
    if shared or OBJECT_NUMBER in column or TABLE_NUMBER in column:
        return f"{METADATA}{column}"
    return f"{METADATA}{label}_{column}"


def under_metadata(name: str) -> str:
    """The name with `Metadata_` in front, if it has not that already."""
    return name if name.startswith(METADATA) else f"{METADATA}{name}"


def order_key(name: str) -> tuple[int, str]:
    """Sorts profile columns: keys first, then metadata, then image, cytoplasm, cells and nuclei, then the rest."""
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
    """The names with repeats told apart as DuckDB does it: `x`, `x_1`, `x_2`; a name in use is never taken twice."""
    wanted = list(names)
    taken: set[str] = set()
    reserved = set(wanted)
    result = []
    for name in wanted:
        candidate, number = name, 0
        while candidate in taken or (number and candidate in reserved):
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        result.append(candidate)
    return result
