"""Bars of a chart as plain numbers, which the template draws."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cytobatch.report.summary import PlateRow, RunSummary

WIDTH, HEIGHT = 960.0, 150.0
_MAX_BARS = 240
_GAP = 0.2
_MAX_STEP = 48.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from the chart's ground up, in pixels, and its label. Without a value its height is 0."""

    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar for each plate in the batch's order, or for `plates_of_a_bar` neighbours if there are too many plates."""

    title: str
    bars: tuple[Bar, ...]
    top: float
    plates_of_a_bar: int
    width: float = WIDTH
    height: float = HEIGHT


def bar_chart(title: str, rows: Sequence[PlateRow], figure: Callable[[RunSummary], int]) -> Chart:
    """Return a chart of one figure. A bar of several plates is their mean."""
    plates_of_a_bar = max(1, -(-len(rows) // _MAX_BARS))
    groups = [rows[start : start + plates_of_a_bar] for start in range(0, len(rows), plates_of_a_bar)]
    values = [_mean(group, figure) for group in groups]
    top = max((value for value in values if value is not None), default=0.0)
    bars = tuple(_bars(groups, values, top))
    return Chart(title, bars, top, plates_of_a_bar)


def _mean(group: Sequence[PlateRow], figure: Callable[[RunSummary], int]) -> float | None:
    values = [figure(row.run) for row in group if row.run is not None]
    return sum(values) / len(values) if values else None


def _bars(groups: Sequence[Sequence[PlateRow]], values: Sequence[float | None], top: float) -> Iterator[Bar]:
    step = min(_MAX_STEP, WIDTH / max(1, len(groups)))
    for number, (group, value) in enumerate(zip(groups, values, strict=True)):
        height = round(HEIGHT * value / top, 2) if value and top else 0.0
        names = group[0].plate if len(group) == 1 else f"{group[0].plate} to {group[-1].plate}"
        shown = f"{value:,.0f}" if value is not None and value == int(value) else f"{value:,.1f}" if value else None
        label = f"{names}: {shown or group[0].state.value}"
        yield Bar(round(step * number, 2), round(HEIGHT - height, 2), round(step * (1 - _GAP), 2), height, label)
