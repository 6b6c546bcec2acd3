"""A plate map as lines of text: four shades of cells a well, which need no colour, and marks."""

from collections.abc import Iterator

from cytobatch.config.plural import count
from cytobatch.report.model import RunReport
from cytobatch.report.plate_grid import LEVELS, ColourRange, GridWell, PlateGrid, plate_grids
from cytobatch.report.plate_wells import PlateWells, WellState

_SHADES = "\u2591\u2592\u2593\u2588"
_FAILED, _EMPTY = "\u00d7", "\u25cb"
_ASCII = str.maketrans({**dict(zip(_SHADES, ".:*#", strict=True)), _FAILED: "x", _EMPTY: "o"})
_WIDE = 24
"""The most columns of a plate whose wells are two characters wide, so that they are about as wide as high."""


def text_map(report: RunReport) -> list[str]:
    """Return the map of a report's first plate, with a legend; no lines if no well has a position."""
    wells = PlateWells.of(report)
    cells = ColourRange.of(wells.cells)
    grids = plate_grids(wells, cells, [None] * len(wells.wells), None)
    return [*_lines(grids[0]), *_legend(grids[0], cells, len(grids))] if grids else []


def as_ascii(text: str) -> str:
    """Return a line of a map in ASCII, for terminals that have no other characters."""
    return text.translate(_ASCII)


def _lines(grid: PlateGrid) -> Iterator[str]:
    width = 2 if grid.columns <= _WIDE else 1
    ruler = [" "] * (width * grid.columns + 2)
    for number in range(1, grid.columns + 1, 4 // width):
        text = str(number)
        ruler[width * (number - 1) : width * (number - 1) + len(text)] = text
    yield f"   {''.join(ruler).rstrip()}"
    for row in grid.grid:
        shown = [" "] * grid.columns
        for well in row.wells:
            shown[well.column] = _character(well)
        yield f"{row.letters:>2} {''.join(each * width for each in shown).rstrip()}"


def _character(well: GridWell) -> str:
    if well.cells is None:
        return _FAILED if well.state is WellState.FAILED else _EMPTY
    return _SHADES[well.cells * len(_SHADES) // LEVELS]


def _legend(grid: PlateGrid, cells: ColourRange | None, plates: int) -> Iterator[str]:
    states = {well.state for row in grid.grid for well in row.wells}
    parts = []
    if cells is not None and cells.high > cells.low:
        parts.append(f"{_SHADES[0]} {count(cells.low)} to {_SHADES[-1]} {count(cells.high)} cells a well")
    elif cells is not None:
        parts.append(f"{count(cells.low)} cells in every well")
    if WellState.FAILED in states:
        parts.append(f"{_FAILED} all sites failed")
    if WellState.EMPTY in states:
        parts.append(f"{_EMPTY} no cells")
    if grid.missing:
        parts.append("blank: no images")
    if plates > 1:
        parts.append(f"the first of {plates} plates")
    yield "; ".join(parts)
