"""What the names of measurements mean in files of whole rows, whose programs do not name them as CellProfiler does."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_COMPARTMENT = "Cells"
_OWN = re.compile(r"(Cells|Nuclei|Cytoplasm)(?:[\s_]|$)")


@dataclass(frozen=True, slots=True)
class MeasurementParts:
    """The parts of a measurement's name: its compartment, its group, and the channels in it."""

    compartment: str = _COMPARTMENT
    group: str | None = None
    channels: tuple[str, ...] = ()


def compartment_of(name: str) -> str:
    """Return the compartment that a measurement begins with; `Cells` for others, because each row is a cell."""
    match = _OWN.match(name)
    return match[1] if match else _COMPARTMENT


@dataclass(frozen=True, slots=True)
class MeasurementNames:
    """The meaning of measurements by source column. `centers` are the columns with x and y of the objects' centres."""

    parts: Mapping[str, MeasurementParts] = field(default_factory=dict)
    centers: tuple[str, str] | None = None

    def parts_of(self, column: str) -> MeasurementParts:
        """Return the parts of a measurement's name by its source column; of others the compartment alone is known."""
        return self.parts.get(column) or MeasurementParts(compartment_of(column))
