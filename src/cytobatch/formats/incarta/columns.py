"""Molecular Devices IN Carta's CSV export: one row for each object, columns under names with spaces.

Names as in IN Carta 1.17. A measurement ends in the wavelength that it was taken at (`Primary Target Area wv1`); the
others say where and when the object was seen, and to which class it belongs.
"""

import re
from collections.abc import Collection

OBJECT = "OBJECT ID"
SIGNATURE = frozenset({OBJECT, "WELL LABEL"})
"""Columns by which a CSV file is known for IN Carta's."""

SORT_KEYS = ("Row", "Column", "FOV", "Z", "T", OBJECT)
"""What tells objects of one plate apart, in the order of sorting."""
KEYS = ("Plate ID", "WELL LABEL", *SORT_KEYS)
"""What tells objects of one file apart."""

LOCATION = ("Plate ID", "WELL LABEL", "Row", "Column", "FOV")
"""Columns that tell where an image set was taken."""

INTEGERS = frozenset({OBJECT, "Column", "FOV", "Z", "T"})
TEXTS = frozenset({"Row", "WELL LABEL", "Class Name", "Class Color", "Ancestry Path", "Slice Algorithm", "Plate ID"})
FLAGS = frozenset({"Slice Indicator"})
"""Columns that say Yes or No."""

_WAVELENGTH = re.compile(r"\bwv[0-9]+\b")
_MEASUREMENT = re.compile(r".*\bwv[0-9]+")
_COUNT = re.compile(r".*\b(Count|Org per Cell)\b.*")


def is_incarta(columns: Collection[str]) -> bool:
    """Whether a CSV file with these columns is IN Carta's."""
    return set(columns) >= SIGNATURE


def was_incarta(columns: Collection[str]) -> bool:
    """Whether a CSV file with this header is IN Carta's, or was before it was damaged: it lacks a column, is parted by
    other marks, or is cut."""
    return any(column in SIGNATURE or _WAVELENGTH.search(column) for column in columns)


def is_measurement(column: str) -> bool:
    """Whether a column holds a measurement of an object."""
    return _MEASUREMENT.fullmatch(column) is not None


def is_count(column: str) -> bool:
    """Whether a measurement counts something: whole for one object, a fraction where it is a mean of several."""
    return _COUNT.fullmatch(column) is not None
