"""The columns of Molecular Devices IN Carta's CSV export: one row for each object, names with spaces.

Names as in IN Carta 1.17. The name of a measurement ends in its wavelength (`Primary Target Area wv1`). The other
columns have the location, the time and the class of the object.
"""

import re
from collections.abc import Collection, Iterable

from cytobatch.formats.measurement_names import MeasurementNames, MeasurementParts, compartment_of

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

_GROUPS = {
    "Correlation": re.compile(r"\bPearson correlation\b"),
    "Texture": re.compile(r"\b(Skewness|Kurtosis|Energy|Entropy|Grey Level|Run Length)\b"),
    "Neighbors": re.compile(r"\b(Spacing|Neighbor Count)\b(?! Intensity)"),
    "Location": re.compile(r"\b(cg [XY]|Distance to Nuc)\b"),
    "Intensity": re.compile(r"\b(Intensity|Light Flux|Bckg)\b"),
    "Children": re.compile(r"\bOrg per Cell\b"),
    "AreaShape": re.compile(
        r"\b(Area|Form Factor|Elongation|Compactness|Chord Ratio|Gyration Radius|Displacement|Diameter|Perimeter"
        r"|Major Axis|Minor Axis|Max (left border|top border|width|height))\b"
    ),
}
"""CellProfiler's categories for IN Carta's measures. The first that fits is the group of a measurement."""
_CENTER = re.compile(r"(.*)\bcg ([XY])\b.*")

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


def measurement_names(columns: Iterable[str]) -> MeasurementNames:
    """Return the meaning of the measurements among columns. The centre is that of the first target that has one."""
    measured = [name for name in columns if is_measurement(name)]
    matches = [match for name in measured if (match := _CENTER.fullmatch(name))]
    axes = {(match[1], match[2]): match[0] for match in matches}
    pairs = [(axes[target, "X"], axes[target, "Y"]) for target, axis in axes if axis == "X" and (target, "Y") in axes]
    return MeasurementNames({name: _parts(name) for name in measured}, pairs[0] if pairs else None)


def _parts(name: str) -> MeasurementParts:
    """Return the parts of a measurement.

    A target is called as its author likes. A row is a cell, so that a target that bears no compartment's name is a
    part of the cell.
    """
    group = next((group for group, pattern in _GROUPS.items() if pattern.search(name)), None)
    channels = tuple(_WAVELENGTH.findall(name)[-1:])
    return MeasurementParts(compartment_of(name), group, channels)
