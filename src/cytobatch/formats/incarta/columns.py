"""The columns of Molecular Devices IN Carta's CSV export: one row for each object, names with spaces.

Names as in IN Carta 1.17. The name of a measurement ends in its wavelength (`Primary Target Area wv1`). The other
columns have the location, the time and the class of the object.
"""

import re
from collections.abc import Collection

OBJECT = "OBJECT ID"
SIGNATURE = frozenset({OBJECT, "WELL LABEL"})
"""The columns that identify a CSV file of IN Carta."""

SORT_KEYS = ("Row", "Column", "FOV", "Z", "T", OBJECT)
"""The columns that identify an object of one plate, in the order of sorting."""
KEYS = ("Plate ID", "WELL LABEL", *SORT_KEYS)
"""The columns that identify an object of one file."""

LOCATION = ("Plate ID", "WELL LABEL", "Row", "Column", "FOV")
"""The columns with the location of an image set."""

INTEGERS = frozenset({OBJECT, "Column", "FOV", "Z", "T"})
TEXTS = frozenset({"Row", "WELL LABEL", "Class Name", "Class Color", "Ancestry Path", "Slice Algorithm", "Plate ID"})
FLAGS = frozenset({"Slice Indicator"})
"""Columns whose values are Yes or No."""

_WAVELENGTH = re.compile(r"\bwv[0-9]+\b")
_MEASUREMENT = re.compile(r".*\bwv[0-9]+")
_COUNT = re.compile(r".*\b(Count|Org per Cell)\b.*")


def is_incarta(columns: Collection[str]) -> bool:
    """Return True if a CSV file with these columns is IN Carta's."""
    return set(columns) >= SIGNATURE


def resembles_incarta(columns: Collection[str]) -> bool:
    """Return True if a header is IN Carta's, or a damaged one: it lacks a column, has other separators, or is cut."""
    return any(column in SIGNATURE or _WAVELENGTH.search(column) for column in columns)


def is_measurement(column: str) -> bool:
    """Return True if a column is a measurement of an object."""
    return _MEASUREMENT.fullmatch(column) is not None


def is_count(column: str) -> bool:
    """Return True if a measurement is a count: an integer for one object, a fraction for a mean of several."""
    return _COUNT.fullmatch(column) is not None
