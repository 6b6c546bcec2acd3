"""The plates of a batch by how much they should be looked at: the worst first, each with what is wrong."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from cytobatch.config.plural import count, plural
from cytobatch.report.summary import PlateRow, PlateState, RunSummary

_DEAD, _LOW = 0.25, 0.5
_SPREADS = 4.0
_NORMAL = 1.4826
_FEWEST_PLATES = 4


class Concern(IntEnum):
    """Why a plate should be looked at, the worst first."""

    DEAD = 0
    """Its wells have less than a quarter of the batch's cells, or most of them have none."""
    UNREADABLE = 1
    MISSING = 2
    LOSSES = 3
    NAMED = 4
    """Its report is that of another plate, or its objects are in another result, too."""
    LOW = 5
    """Its wells have far fewer cells than those of other plates."""
    WARNINGS = 6
    NONE = 7


@dataclass(frozen=True, slots=True)
class RatedRow:
    """A row of the batch with its concern, what is wrong in a few words, and its number in the batch's order."""

    row: PlateRow
    concern: Concern
    what: str
    number: int


@dataclass(frozen=True, slots=True)
class UsualCells:
    """The median of the plates' median cells a well, and how far plates usually are from it."""

    median: float
    spread: float

    @classmethod
    def of(cls, rows: Sequence[PlateRow]) -> "UsualCells | None":
        """Return the usual cells of a batch; None if its reports have none."""
        values = [run.median_cells for row in rows if (run := row.run) is not None and run.median_cells is not None]
        if not values:
            return None
        median = statistics.median(values)
        return cls(median, _NORMAL * statistics.median(abs(value - median) for value in values))


def rated_rows(rows: Sequence[PlateRow], usual: UsualCells | None) -> list[RatedRow]:
    """Return the rows of a batch, the worst first; alike ones stay in the batch's order."""
    known = sum(row.run is not None and row.run.median_cells is not None for row in rows)
    compared = usual if known >= _FEWEST_PLATES else None
    rated = [RatedRow(row, *_concern(row, compared), number) for number, row in enumerate(rows)]
    return sorted(rated, key=lambda one: (one.concern, _degree(one)))


def _degree(rated: RatedRow) -> float:
    """Return the place of a plate among those of its concern."""
    run = rated.row.run
    if run is None:
        return 0.0
    if rated.concern is Concern.LOSSES:
        return -run.failed_exports / max(1, run.exports)
    return run.median_cells or 0.0 if rated.concern in (Concern.DEAD, Concern.LOW) else 0.0


def _concern(row: PlateRow, usual: UsualCells | None) -> tuple[Concern, str]:
    run = row.run
    if run is None:
        return (Concern.MISSING if row.state is PlateState.MISSING else Concern.UNREADABLE), row.reason or ""
    if (cells := _about_cells(run, usual)) is not None and cells[0] is Concern.DEAD:
        return cells
    if run.failed_exports:
        return Concern.LOSSES, f"{count(run.failed_exports)} of {plural(run.exports, 'export')} failed"
    if row.reason:
        return Concern.NAMED, row.reason
    return cells or _about_problems(run)


def _about_problems(run: RunSummary) -> tuple[Concern, str]:
    if run.warnings:
        return Concern.WARNINGS, plural(run.warnings, "warning")
    return (Concern.WARNINGS, "problems in its report") if run.problems else (Concern.NONE, "")


def _about_cells(run: RunSummary, usual: UsualCells | None) -> tuple[Concern, str] | None:
    """Return what is wrong with a plate's cells a well, None if nothing is known to be."""
    cells = run.median_cells
    if cells is None:
        return None
    if cells == 0:
        return Concern.DEAD, "most wells have no cells"
    if usual is None:
        return None
    what = f"{cells:,.0f} cells a well, the batch has {usual.median:,.0f}"
    if cells < _DEAD * usual.median:
        return Concern.DEAD, what
    is_low = cells < min(_LOW * usual.median, usual.median - _SPREADS * usual.spread)
    return (Concern.LOW, what) if is_low else None
