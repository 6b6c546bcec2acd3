"""A plate's result in a notebook and at Python's prompt: the verdict, a plate map, warnings and failed exports.

The HTML needs no script and loads nothing. Its colours are those of the notebook, light or dark, but for the wells.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cytobatch.config.plural import count, plural
from cytobatch.config.uris import is_remote
from cytobatch.errors import brief
from cytobatch.report.colours import colour_scale
from cytobatch.report.distribution import distribution_of
from cytobatch.report.lines import warning_line
from cytobatch.report.model import RunReport
from cytobatch.report.numbers import duration
from cytobatch.report.page_template import fragment_template
from cytobatch.report.plate_grid import LEFT, LEVELS, PITCH, ColourRange, PlateGrid, plate_grids
from cytobatch.report.plate_wells import PlateWells, WellState
from cytobatch.report.verdict import Grade, verdict_on

_SHOWN = 6
_LONGEST = 300
"""The most characters of a name or a sentence."""
_MARKS = {Grade.GOOD: "\u2713", Grade.LOOK: "\u25b2", Grade.LOSSES: "\u25b2", Grade.BAD: "\u2715"}
_PIXELS = {12: 340, 24: 520, 48: 760}
"""The greatest width of a map by its number of columns."""
_STATES = {
    "none": "frame: no cells",
    "part": "corner: some sites left out or missing",
    "failed": "cross: all sites failed",
    "gone": "point: no images",
    "control": "white point: control",
}
"""The marks of a map that need a word, by their class."""


@dataclass(frozen=True, slots=True)
class MapPath:
    """Wells that are drawn alike: in a colour, or as a class of the style names it."""

    d: str
    colour: str | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class NotebookMap:
    """A plate map as few paths, because one element a well would make a notebook large."""

    plate: str | None
    width: int
    height: int
    pixels: int
    columns: Sequence[tuple[float, int]]
    rows: Sequence[tuple[float, str]]
    paths: Sequence[MapPath]
    legend: str


@dataclass(frozen=True, slots=True)
class Place:
    """A file of the result: what it is, its path, and a link if a browser can follow one."""

    name: str
    path: str
    href: str | None


def result_html(report: RunReport) -> str:
    """Render a result as HTML for a notebook, of less than 30 kB."""
    wells = PlateWells.of(report)
    cells = ColourRange.of(wells.cells)
    grids = plate_grids(wells, cells, [None] * len(report.plate_wells), None)
    verdict = verdict_on(report, wells, distribution_of(report.plate_wells, grids))
    return fragment_template("notebook").render(
        report=report,
        verdict=verdict,
        mark=_MARKS[verdict.grade],
        counts=_counts(report, wells),
        map=_map(grids, cells) if grids else None,
        failed=report.failed,
        warnings=[warning_line(warning) for warning in report.warnings],
        links=list(_places(report)),
        shown=_SHOWN,
        longest=_LONGEST,
    )


def result_line(report: RunReport) -> str:
    """Return a result in one line: plate, verdict, counts, and the report's path."""
    wells = PlateWells.of(report)
    verdict = verdict_on(report, wells, None)
    parts = [f"{report.plate}: {verdict.title}", _counts(report, wells)]
    if report.failed:
        parts.append(f"{count(report.counts.failed_exports)} of {plural(report.counts.exports, 'export')} failed")
    if report.warnings:
        parts.append(plural(len(report.warnings), "warning"))
    return brief("; ".join((*parts, report.report)))


def _counts(report: RunReport, wells: PlateWells) -> str:
    counts = report.counts
    known = len(wells.wells)
    of_wells = f"{count(wells.with_cells)} of {plural(known, 'well')}" if known else plural(counts.wells, "well")
    return (
        f"{plural(counts.rows, 'cell')} in {of_wells}, {plural(counts.sites, 'site')}; "
        f"{plural(counts.features, 'feature')}, {plural(counts.columns, 'column')}; "
        f"{duration(sum(report.seconds.values()))}"
    )


def _map(grids: Sequence[PlateGrid], cells: ColourRange | None) -> NotebookMap:
    """Return the map of the first plate."""
    grid = grids[0]
    kinds = dict[str, list[str]]()
    colours = colour_scale(LEVELS)
    paths = [MapPath(d, colours[level]) for level, d in _coloured(grid)]
    for kind, mark in _marks(grid):
        kinds.setdefault(kind, []).append(mark)
    for kind in (kind for kind in ("none", "gone", "part", "failed", "rim", "control") if kind in kinds):
        paths.append(MapPath("".join(kinds[kind]), None, kind))
    return NotebookMap(
        grid.plate,
        grid.width,
        grid.height,
        _PIXELS[grid.columns],
        [(LEFT + number * PITCH - 5.5, number) for number in grid.column_numbers],
        [(row.y + 6.6, row.letters) for row in grid.grid[:: grid.row_step]],
        paths,
        _legend(cells, [words for kind, words in _STATES.items() if kind in kinds], len(grids)),
    )


def _coloured(grid: PlateGrid) -> Iterator[tuple[int, str]]:
    """Yield each level of colour with the path of its wells. Neighbours of one colour are one line with gaps."""
    lines: dict[int, list[str]] = defaultdict(list)
    for row in grid.grid:
        for well in row.wells:
            if well.cells is not None:
                lines[well.cells].append(f"M{LEFT + well.column * PITCH} {row.y + 4.5:g}h9")
    yield from ((level, "".join(lines[level])) for level in sorted(lines))


def _marks(grid: PlateGrid) -> Iterator[tuple[str, str]]:
    """Yield the marks of wells by their class."""
    for row in grid.grid:
        taken = set()
        for well in row.wells:
            x, y = LEFT + well.column * PITCH, row.y
            taken.add(well.column)
            if well.cells is None:
                yield "none", f"M{x} {y}h9v9h-9z"
            if well.state is WellState.FAILED:
                yield "failed", f"M{x + 2} {y + 2}l5 5m0-5l-5 5"
            elif well.state is WellState.PART:
                yield "part", f"M{x + 4} {y}h5v5z"
            if well.control:
                for kind in ("rim", "control"):
                    yield kind, f"M{x + 4.5} {y + 4.5}h0"
        for column in set(range(grid.columns)) - taken if grid.missing else ():
            yield "gone", f"M{LEFT + column * PITCH + 4.5} {row.y + 4.5}h0"


def _legend(cells: ColourRange | None, words: Sequence[str], plates: int) -> str:
    parts = []
    if cells is not None and cells.high > cells.low:
        parts.append(f"Cells a well, dark to light: {count(cells.low)} to {count(cells.high)}")
    elif cells is not None:
        parts.append(f"{plural(cells.low, 'cell')} in every well")
    parts += words
    if plates > 1:
        parts.append(f"the first of {plural(plates, 'plate')}")
    return "; ".join(parts) + "."


def _places(report: RunReport) -> Iterator[Place]:
    yield from (
        Place(name, path, _href(path)) for name, path in (("page", report.page), ("report", report.report)) if path
    )


def _href(path: str) -> str | None:
    """Return a link to a local file: a relative path is that from the notebook, as a rule. A bucket needs a program."""
    if is_remote(path):
        return None
    local = Path(path)
    return local.as_uri() if local.is_absolute() else quote(local.as_posix())
