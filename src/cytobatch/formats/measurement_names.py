"""What the names of measurements mean in files of whole rows, whose programs do not name them as CellProfiler does."""

from collections.abc import Mapping
from dataclasses import dataclass, field

COMPARTMENT = "Cells"
"""The compartment of measurements by default, because each row is a cell."""


@dataclass(frozen=True, slots=True)
class MeasurementParts:
    """The parts of a measurement's name: its compartment, its group, and the channels in it."""

    compartment: str = COMPARTMENT
    group: str | None = None
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MeasurementNames:
    """The meaning of measurements by source column; others are of `Cells`. `centers` are the columns of x and y."""

    parts: Mapping[str, MeasurementParts] = field(default_factory=dict)
    centers: tuple[str, str] | None = None

    def parts_of(self, column: str) -> MeasurementParts:
        """Return the parts of a measurement's name by its source column."""
        return self.parts.get(column) or MeasurementParts()
