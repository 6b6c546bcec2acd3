"""Cells a well as a distribution: a histogram, and whether wells at the edge of the plate differ from the others."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from cytobatch.config.plural import count, plural
from cytobatch.report.plate_grid import PlateGrid
from cytobatch.report.wells import PlateWell

WIDTH, HEIGHT = 560.0, 170.0
LEFT, RIGHT, TOP, BOTTOM = 40.0, 18.0, 16.0, 34.0
_MOST_BINS = 28
_LEAST_EDGE, _ERRORS = 0.1, 2.0
_OF_MEDIAN = 1.2533
"""The standard error of a median by that of the mean, for a normal distribution."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The median cells of wells at the edge and inside, and the difference as a share of the inside."""

    edge: float
    inside: float
    difference: float
    is_effect: bool

    @property
    def sentence(self) -> str:
        """The finding in words."""
        size = f"{self.difference:+.0%}".replace("%", " %")
        verdict = "an edge effect" if self.is_effect else "no edge effect"
        return f"Edge wells have {self.edge:,.0f} cells, inner wells {self.inside:,.0f} ({size}, medians): {verdict}."


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of the histogram in pixels: inner wells, with edge wells on top; and its label."""

    x: float
    width: float
    inside_y: float
    inside_height: float
    edge_y: float
    edge_height: float
    label: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis: its position in pixels and its text."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """The histogram of cells a well, in pixels, and the comparison of edge and inner wells, None if one has few."""

    bins: tuple[Bin, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    median: Tick
    low: int
    high: int
    edge: Edge | None


def distribution_of(wells: Sequence[PlateWell], grids: Sequence[PlateGrid]) -> Distribution | None:
    """Return the distribution of cells over the wells that have a valid site; None for fewer than three wells."""
    sizes = {grid.plate: grid for grid in grids}
    rated = [well for well in wells if well.sites]
    if len(rated) < 3:
        return None
    edge = [well.cells for well in rated if _is_edge(well, sizes.get(well.plate))]
    inside = [well.cells for well in rated if not _is_edge(well, sizes.get(well.plate))]
    cells = [*edge, *inside]
    step = nice_step((max(cells) - min(cells)) / min(_MOST_BINS, max(6, len(cells) // 4)), whole=True)
    first = math.floor(min(cells) / step) * step
    number = int((max(cells) - first) // step) + 1
    of_inside, of_edge = (_binned(part, first, step, number) for part in (inside, edge))
    top = max(a + b for a, b in zip(of_inside, of_edge, strict=True))
    y_step = int(nice_step(top / 3, whole=True))
    axes = _Axes(first, step, number, math.ceil(top / y_step) * y_step)
    median = statistics.median(cells)
    return Distribution(
        bins=tuple(_bar(axes, n, of_inside[n], of_edge[n]) for n in range(number)),
        x_ticks=_x_ticks(axes),
        y_ticks=tuple(Tick(axes.y(v), count(v)) for v in range(0, int(axes.top) + 1, y_step)),
        median=Tick(axes.x(median), f"{median:,.0f}"),
        low=min(cells),
        high=max(cells),
        edge=_edge(edge, inside),
    )


def nice_step(least: float, *, whole: bool = False) -> float:
    """Return the smallest of 1, 2, 5, 10, … that is not below `least`; with `whole` not below 1."""
    if least <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * 0.999)
    return max(1, round(step)) if whole else step


def _is_edge(well: PlateWell, grid: PlateGrid | None) -> bool:
    if grid is None or well.row is None or well.column is None:
        return False
    return well.row in (1, grid.rows) or well.column in (1, grid.columns)


def _binned(cells: Sequence[int], first: float, step: float, number: int) -> list[int]:
    bins = [0] * number
    for value in cells:
        bins[int((value - first) // step)] += 1
    return bins


@dataclass(frozen=True, slots=True)
class _Axes:
    """The histogram's axes: bins of `step` from `first` on, and `top` wells at most."""

    first: float
    step: float
    bins: int
    top: float

    def x(self, value: float) -> float:
        """Return the position of a number of cells in pixels."""
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - self.first) / (self.step * self.bins), 1)

    def y(self, value: float) -> float:
        """Return the position of a number of wells in pixels."""
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / self.top), 1)


def _bar(axes: _Axes, n: int, inside: int, edge: int) -> Bin:
    start = axes.first + n * axes.step
    left, right = axes.x(start), axes.x(start + axes.step)
    base, middle, end = axes.y(0), axes.y(inside), axes.y(inside + edge)
    numbers = count(start) if axes.step == 1 else f"{count(start)} to {count(start + axes.step - 1)}"
    label = f"{numbers} cells: {plural(inside + edge, 'well')}, {count(edge)} of them at the edge"
    width = round(max(0.5, right - left - 1), 1)
    return Bin(left, width, middle, round(base - middle, 1), end, round(middle - end, 1), label)


def _x_ticks(axes: _Axes) -> tuple[Tick, ...]:
    last = axes.first + axes.bins * axes.step
    every = nice_step((last - axes.first) / 6, whole=True)
    return tuple(Tick(axes.x(v), count(v)) for v in range(0, int(last) + 1, int(every)) if v >= axes.first)


def _edge(edge: Sequence[int], inside: Sequence[int]) -> Edge | None:
    if len(edge) < 6 or len(inside) < 6 or not statistics.median(inside):
        return None
    outer, inner = statistics.median(edge), statistics.median(inside)
    error = _OF_MEDIAN * math.hypot(*(statistics.stdev(cells) / math.sqrt(len(cells)) for cells in (edge, inside)))
    difference = (outer - inner) / inner
    return Edge(outer, inner, difference, abs(difference) >= _LEAST_EDGE and abs(outer - inner) > _ERRORS * error)
