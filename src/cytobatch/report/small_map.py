"""Small plate maps: the cells of each well as one number a pixel, and as one character, for the page of a batch."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cytobatch.report.colours import colour_scale
from cytobatch.report.plate_grid import LEVELS, ColourRange, plate_size
from cytobatch.report.wells import PlateWell

_MOST_ROWS, _MOST_COLUMNS = 16, 24
_NO_WELL = -1
_CHARACTERS = "0123456789abcdefghijklmnopqrstuv"
_MOST_VALUES = 50_000

COLOURS = tuple(colour_scale(LEVELS))
"""The colours that the characters of a map stand for."""


@dataclass(frozen=True, slots=True)
class SmallMap:
    """The map of one plate: `cells` are the cells of each position, row by row, and -1 where no well is known.

    Four wells of a 1536-well plate are one position, with their mean.
    """

    columns: int
    cells: "array[int]"

    def text(self, colours: ColourRange) -> str:
        """Return a character for each position: a colour's, `-` for a well without cells, `.` for none."""
        return "".join(_character(cells, colours) for cells in self.cells)


def small_map(wells: Sequence[PlateWell]) -> SmallMap | None:
    """Return the map of the first plate of a report; None if no well has a position."""
    placed = [well for well in wells if well.row and well.column and well.plate == wells[0].plate]
    if not placed:
        return None
    rows, columns = plate_size(placed)
    side = max(1, rows // _MOST_ROWS, columns // _MOST_COLUMNS)
    width = columns // side
    groups: list[list[int]] = [[] for _ in range(width * (rows // side))]
    for well in placed:
        groups[((well.row or 1) - 1) // side * width + ((well.column or 1) - 1) // side].append(well.cells)
    return SmallMap(width, array("q", (round(sum(group) / len(group)) if group else _NO_WELL for group in groups)))


def colours_of(maps: Iterable[SmallMap]) -> ColourRange | None:
    """Return the colours of all maps of a batch, so that the same colour is the same number of cells."""
    maps = list(maps)
    step = 1 + sum(len(each.cells) for each in maps) // _MOST_VALUES
    values = [cells for number, each in enumerate(maps) for cells in each.cells[number % step :: step] if cells > 0]
    return ColourRange.of(values)


def _character(cells: int, colours: ColourRange) -> str:
    if cells <= 0:
        return "-" if cells == 0 else "."
    return _CHARACTERS[colours.level(cells)]
