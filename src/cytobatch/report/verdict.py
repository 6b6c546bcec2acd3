"""The verdict on a plate: whether it can be used, and why, in sentences."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from cytobatch.config.plural import count, plural
from cytobatch.report.distribution import Distribution
from cytobatch.report.model import RunReport
from cytobatch.report.numbers import named, share
from cytobatch.report.plate_wells import Finding, PlateWells, WellToLookAt, roles_line

_MOST_BAD = 0.5


class Grade(StrEnum):
    """Whether a plate can be used."""

    GOOD = "good"
    LOOK = "look"
    """Some wells differ from the others."""
    LOSSES = "losses"
    """Exports failed, which the job allowed."""
    BAD = "bad"
    """Half of the plate or more is missing or has no cells."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The grade, its words, and sentences about the plate, the worst first."""

    grade: Grade
    title: str
    sentences: tuple[str, ...]


def verdict_on(report: RunReport, wells: PlateWells, distribution: Distribution | None) -> Verdict:
    """Return the verdict on a plate."""
    grade = _grade(report, wells)
    return Verdict(grade, _title(grade, wells), tuple(_sentences(report, wells, distribution)))


def _grade(report: RunReport, wells: PlateWells) -> Grade:
    counts = report.counts
    dead = len(wells.wells) - wells.with_cells
    if counts.rows == 0 or counts.failed_exports > _MOST_BAD * counts.exports:
        return Grade.BAD
    if dead > _MOST_BAD * len(wells.wells):
        return Grade.BAD
    if counts.failed_exports:
        return Grade.LOSSES
    return Grade.LOOK if wells.to_look_at else Grade.GOOD


def _title(grade: Grade, wells: PlateWells) -> str:
    number = len(wells.to_look_at)
    look = f"look at {plural(number, 'well')}" if number else ""
    match grade:
        case Grade.GOOD:
            return "Usable"
        case Grade.LOOK:
            return f"Usable, {look}"
        case Grade.LOSSES:
            return f"Usable, with losses: {look}" if look else "Usable, with losses"
        case Grade.BAD:
            return "Not usable as it is"


def _sentences(report: RunReport, wells: PlateWells, distribution: Distribution | None) -> Iterator[str]:
    counts = report.counts
    if counts.failed_exports:
        placed = f", {plural(wells.failed_sites, 'site')} of known wells" if wells.failed_sites else ""
        yield f"{count(counts.failed_exports)} of {plural(counts.exports, 'export')} failed and were left out{placed}."
    yield from _about_cells(wells)
    if counts.rows_dropped_as_null:
        yield f"{plural(counts.rows_dropped_as_null, 'row')} with an empty value were dropped, as the job asks."
    if distribution is not None and distribution.edge is not None:
        yield distribution.edge.sentence
    if controls := roles_line(wells.wells):
        yield f"{controls}."
    if not wells.wells:
        yield "The wells of this profile are not known, so that there is no plate map."
    if report.warnings:
        yield f"{plural(len(report.warnings), 'warning')} below."


def _about_cells(wells: PlateWells) -> Iterator[str]:
    if not wells.wells:
        return
    total, with_cells = len(wells.wells), wells.with_cells
    median = f"{plural(wells.median, 'cell')} a well in the median"
    yield f"{'All' if with_cells == total else f'{count(with_cells)} of'} {plural(total, 'well')} have cells; {median}."
    for finding, words in _WORDS.items():
        items = [item for item in wells.to_look_at if item.finding is finding]
        if items:
            yield f"{words} {named([_short(item) for item in items])}."


_WORDS = {
    Finding.FAILED: "All sites were left out in",
    Finding.EMPTY: "No cells in",
    Finding.PART: "Sites were left out in",
    Finding.FEW: "Few cells in",
    Finding.MISSING: "Fewer sites than usual in",
    Finding.MANY: "Many cells in",
}


def _short(item: WellToLookAt) -> str:
    has_number = item.finding in (Finding.FEW, Finding.MISSING, Finding.MANY)
    return f"{item.name} ({item.what})" if has_number else item.name


def lost_share(report: RunReport) -> tuple[str, str]:
    """Return the share of cells that are lost, and a note: those of failed exports, and rows dropped for nulls."""
    counts, wells = report.counts, report.plate_wells
    known = sum(well.lost_cells or 0 for well in wells)
    lost = known + counts.rows_dropped_as_null
    placed = {path for well in report.plate_wells for path in well.failed_exports}
    is_complete = (
        all(well.lost_cells is not None for well in report.plate_wells) and len(placed) >= counts.failed_exports
    )
    if not counts.failed_exports and not lost:
        return "0 %", "of those in the source"
    note = f"{plural(lost, 'cell')} of failed exports" if known else plural(counts.failed_exports, "failed export")
    text = share(lost, lost + counts.rows)
    if is_complete:
        return text, note
    return (f"≥ {text}" if lost else "unknown"), note
