"""Charts of a batch as plain numbers, which the template draws: bars, and a mark for each plate."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cytobatch.config.plural import count
from cytobatch.report.concerns import Concern, RatedRow, UsualCells
from cytobatch.report.distribution import Tick, nice_step
from cytobatch.report.summary import PlateRow, RunSummary

WIDTH, HEIGHT = 960.0, 150.0
_MAX_BARS = 240
_GAP = 0.2
_MAX_WIDTH = 36.0
_NAMES = 8
_NAME_WIDTH = 90.0


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
    ticks: tuple[Tick, ...]
    top: float
    plates_of_a_bar: int
    width: float = WIDTH
    height: float = HEIGHT


def bar_chart(title: str, rows: Sequence[PlateRow], figure: Callable[[RunSummary], int]) -> Chart:
    """Return a chart of one figure. A bar of several plates is their highest, so that one plate of many is seen."""
    plates_of_a_bar = max(1, -(-len(rows) // _MAX_BARS))
    groups = [rows[start : start + plates_of_a_bar] for start in range(0, len(rows), plates_of_a_bar)]
    values = [max((figure(row.run) for row in group if row.run is not None), default=None) for group in groups]
    top = float(max((value for value in values if value is not None), default=0))
    return Chart(title, tuple(_bars(groups, values, top)), _ticks(top), top, plates_of_a_bar)


def _bars(groups: Sequence[Sequence[PlateRow]], values: Sequence[int | None], top: float) -> Iterator[Bar]:
    step = WIDTH / max(1, len(groups))
    width = min(_MAX_WIDTH, step * (1 - _GAP))
    for number, (group, value) in enumerate(zip(groups, values, strict=True)):
        height = round(HEIGHT * value / top, 2) if value and top else 0.0
        names = group[0].plate if len(group) == 1 else f"{group[0].plate} to {group[-1].plate}"
        label = f"{names}: {group[0].state.value if value is None else count(value)}"
        x = step * number + (step - width) / 2
        yield Bar(round(x, 2), round(HEIGHT - height, 2), round(width, 2), height, label)


def _ticks(top: float) -> tuple[Tick, ...]:
    """Return up to five round numbers of a vertical axis, whose highest is at or below its top."""
    step = nice_step(top / 4, whole=True)
    numbers = range(math.floor(top / step) + 1) if top else ()
    return tuple(Tick(round(HEIGHT * (1 - number * step / top), 1), count(number * step)) for number in numbers)


@dataclass(frozen=True, slots=True)
class Mark:
    """A plate in a chart, in pixels. `name` is shown beside it, if it has one; `row` is its row of the batch."""

    x: float
    y: float
    concern: Concern
    row: PlateRow
    name: str = ""


@dataclass(frozen=True, slots=True)
class StripChart:
    """Cells a well of each plate in the batch's order: a mark for each plate, however many there are.

    `others` are the positions of plates of which nothing is wrong, `marks` are those to look at.
    """

    others: tuple[tuple[float, float], ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    usual: Tick
    first: str
    last: str
    width: float = WIDTH
    height: float = HEIGHT


def strip_chart(rated: Sequence[RatedRow], usual: UsualCells | None) -> StripChart | None:
    """Return the chart of the plates whose reports have cells a well; None if none has."""
    shown = [(one, one.row.run.median_cells) for one in rated if one.row.run is not None]
    known = sorted(((one, cells) for one, cells in shown if cells is not None), key=lambda pair: pair[0].number)
    if usual is None or not known:
        return None
    top = max(cells for _, cells in known) * 1.04 or 1.0
    step = WIDTH / max(1, len(rated))
    others: list[tuple[float, float]] = []
    marks: list[Mark] = []
    named, right = 0, -_NAME_WIDTH
    for one, cells in known:
        x, y = round((one.number + 0.5) * step, 1), round(HEIGHT * (1 - cells / top), 1)
        if one.concern not in _MARKED:
            others.append((x, y))
            continue
        # Names must not cover each other.
        is_named = one.concern is Concern.DEAD and named < _NAMES and x - right >= _NAME_WIDTH
        named, right = (named + 1, x) if is_named else (named, right)
        marks.append(Mark(x, y, one.concern, one.row, one.row.plate[:14] if is_named else ""))
    by_order = sorted(rated, key=lambda one: one.number)
    line = Tick(round(HEIGHT * (1 - usual.median / top), 1), f"{usual.median:,.0f}")
    names = (by_order[0].row.plate, by_order[-1].row.plate)
    return StripChart(tuple(others), tuple(marks), _ticks(top), line, *names)


_MARKED = (Concern.DEAD, Concern.LOSSES, Concern.LOW)
