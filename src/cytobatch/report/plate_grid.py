"""Plates as grids of wells: the size of a plate, the levels of colours, and the marks of a plate map."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cytobatch.config.wells import row_letters
from cytobatch.report.plate_wells import PlateWells, WellState
from cytobatch.report.wells import PlateWell

PITCH, LEFT, TOP = 10, 16, 13
"""Pixels from one well to the next, and left of and above the first."""
LEVELS = 32
"""The number of colours of a map."""
_SIZES = ((8, 12), (16, 24), (32, 48))
_LOW, _HIGH = 0.02, 0.98


@dataclass(frozen=True, slots=True)
class ColourRange:
    """The values of the first and the last colour, `low` below `high`. Values beyond have the same colours."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "ColourRange | None":
        """Return the range from the 2nd to the 98th percentile of the values that are known, None without any."""
        known = sorted(value for value in values if value is not None)
        if not known:
            return None
        last = len(known) - 1
        return cls(known[round(_LOW * last)], known[round(_HIGH * last)])

    def level(self, value: float) -> int:
        """Return the number of a value's colour, in the middle if all values are alike."""
        if self.high <= self.low:
            return LEVELS // 2
        return min(LEVELS - 1, max(0, int((value - self.low) / (self.high - self.low) * LEVELS)))


@dataclass(frozen=True, slots=True)
class GridWell:
    """A well on a map: its number among the report's wells, its 0-based column, its colours and its state.

    `cells` and `feature` are numbers of colours, None without a value.
    """

    number: int
    column: int
    cells: int | None
    feature: int | None
    state: WellState
    control: bool


@dataclass(frozen=True, slots=True)
class GridRow:
    """A row of wells, with the letters of its name."""

    letters: str
    y: int
    wells: tuple[GridWell, ...]


@dataclass(frozen=True, slots=True)
class PlateGrid:
    """The map of one plate: its size, its rows, and how many of its positions have no image set."""

    plate: str | None
    rows: int
    columns: int
    grid: tuple[GridRow, ...]
    missing: int

    @property
    def width(self) -> int:
        """The width of the map in pixels."""
        return LEFT + self.columns * PITCH

    @property
    def height(self) -> int:
        """The height of the map in pixels."""
        return TOP + self.rows * PITCH

    @property
    def column_numbers(self) -> Iterator[int]:
        """The columns whose numbers are shown: all, or each second or fourth of many."""
        step = 1 if self.columns <= 12 else 2 if self.columns <= 24 else 4
        return (number for number in range(1, self.columns + 1) if number == 1 or number % step == 0)

    @property
    def row_step(self) -> int:
        """Of how many rows one has its letters shown."""
        return 2 if self.rows > 16 else 1


def plate_grids(
    wells: PlateWells, cells: ColourRange | None, values: Sequence[float | None], feature: ColourRange | None
) -> list[PlateGrid]:
    """Return the maps of all plates of a report. `values` are those of the feature that is shown first."""
    grids = []
    for plate in wells.plates:
        placed = [
            (number, well)
            for number, well in enumerate(wells.wells)
            if well.plate == plate and well.row is not None and well.column is not None
        ]
        if not placed:
            continue
        rows, columns = plate_size([well for _, well in placed])
        by_row: dict[int, list[GridWell]] = {row: [] for row in range(1, rows + 1)}
        for number, well in placed:
            value = values[number]
            state = wells.state(well)
            has_colour = state in (WellState.CELLS, WellState.PART)
            by_row[well.row or 1].append(
                GridWell(
                    number,
                    (well.column or 1) - 1,
                    cells.level(well.cells) if cells and has_colour else None,
                    feature.level(value) if feature and value is not None else None,
                    state,
                    well.role is not None,
                )
            )
        grid = tuple(
            GridRow(row_letters(row), TOP + (row - 1) * PITCH, tuple(of_row)) for row, of_row in by_row.items()
        )
        grids.append(PlateGrid(plate, rows, columns, grid, rows * columns - len(placed)))
    return grids


def plate_size(wells: Sequence[PlateWell]) -> tuple[int, int]:
    """Return the rows and columns of the smallest plate of 96, 384 or 1536 wells that has all of these."""
    last_row = max((well.row or 1 for well in wells), default=1)
    last_column = max((well.column or 1 for well in wells), default=1)
    return next(size for size in _SIZES if last_row <= size[0] and last_column <= size[1])
