"""The page of a plate, which needs no other file: a verdict, plate maps, and what became of the source.

All of it is from the report, so that the same report gives the same page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from markupsafe import Markup

from cytobatch.config.option_types import MOST_REPORT_FEATURES
from cytobatch.config.plural import count, plural
from cytobatch.report.colours import colour_scale
from cytobatch.report.distribution import HEIGHT, LEFT, RIGHT, WIDTH, distribution_of
from cytobatch.report.lines import warning_line
from cytobatch.report.model import OutputFile, RunReport
from cytobatch.report.numbers import share, size
from cytobatch.report.page_template import page_template
from cytobatch.report.plate_data import medians, page_data
from cytobatch.report.plate_grid import LEVELS, PITCH, TOP, ColourRange, plate_grids
from cytobatch.report.plate_wells import PlateWells
from cytobatch.report.relative_links import relative_link
from cytobatch.report.source_tables import source_tables
from cytobatch.report.verdict import lost_share, verdict_on

_MOST_PLATES = 8
_SHOWN = 25
_PARQUET = ".parquet"


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the figures at the top of a page."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A link from the page to a file beside it."""

    href: str
    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the run: its seconds, and its part of the run in percent, from `start` on."""

    name: str
    seconds: float
    start: float
    width: float


def plate_page(report: RunReport) -> str:
    """Render the page of a report as HTML. Links are relative to the report's own folder."""
    template, own = page_template("plate_page")
    wells = PlateWells.of(report)
    cells = ColourRange.of(wells.cells)
    values = medians(report, 0) if report.report_features else [None] * len(report.plate_wells)
    feature = ColourRange.of(values)
    grids = plate_grids(wells, cells, values, feature)
    shown = grids[:_MOST_PLATES]
    distribution = distribution_of(report.plate_wells, grids)
    return template.render(
        **own,
        report=report,
        folder=report.report.rpartition("/")[0] or ".",
        links=list(_links(report)),
        verdict=verdict_on(report, wells, distribution),
        figures=list(_figures(report, wells)),
        wells=wells,
        grids=shown,
        states={wells.state(well).value for well in report.plate_wells},
        more_grids=len(grids) - len(shown),
        unplaced=[wells.name(well) for well in report.plate_wells if well.row is None],
        pitch=PITCH,
        top=TOP,
        colours=colour_scale(LEVELS),
        cells_range=cells,
        feature_range=feature,
        roles=list(dict.fromkeys(well.role for well in report.plate_wells if well.role)),
        data=Markup(page_data(report, wells, shown)),
        distribution=distribution,
        chart=(WIDTH, HEIGHT, LEFT, RIGHT),
        tables=source_tables(report),
        shown=_SHOWN,
        most_features=MOST_REPORT_FEATURES,
        warnings=[warning_line(warning) for warning in report.warnings],
        steps=list(_steps(report)),
        code=_code(report),
    )


def _links(report: RunReport) -> Iterator[Link]:
    """Yield links to the report and to the outputs, of which lists of columns are no reading for people."""
    folder = report.report.rpartition("/")[0]
    yield Link(relative_link(report.report, folder), _name(report.report))
    for output in report.outputs[:_SHOWN]:
        if output.path.endswith(_PARQUET):
            yield Link(relative_link(output.path, folder), f"{_name(output.path)} ({size(output.bytes)})")


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _figures(report: RunReport, wells: PlateWells) -> Iterator[Figure]:
    counts = report.counts
    known = bool(report.plate_wells)
    yield Figure("Cells", count(counts.rows), f"{count(wells.median)} a well (median)" if known else "profile rows")
    of = f"of {count(len(report.plate_wells))} with images" if known else ""
    yield Figure("Wells with cells", count(wells.with_cells if known else counts.wells), of)
    failed = plural(counts.failed_exports, "export") + " failed" if counts.failed_exports else ""
    usual = f"{count(wells.usual_sites)} a well" if known else ""
    yield Figure("Sites with cells", count(counts.sites), ", ".join(filter(None, (usual, failed))))
    yield Figure("Features", count(counts.features), f"{plural(counts.columns, 'column')} in all")
    empty = sum(value.nulls + value.nans + value.infinities for value in report.odd_values)
    columns = len(report.odd_values)
    note = f"in {plural(columns, 'column')}" if columns else "in no column"
    yield Figure("Empty values", share(empty, counts.rows * counts.features) if counts.features else count(empty), note)
    yield Figure("Cells lost", *lost_share(report))


def _steps(report: RunReport) -> Iterator[Step]:
    total = sum(report.seconds.values())
    starts = accumulate(report.seconds.values(), initial=0.0)
    for (name, seconds), start in zip(report.seconds.items(), starts, strict=False):
        if total > 0:
            yield Step(name, seconds, round(100 * start / total, 2), round(100 * seconds / total, 2))


def _code(report: RunReport) -> list[tuple[str, Sequence[str]]]:
    """Return lines of Python that read the result, by the name of the library."""
    output = _first_profile(report.outputs)
    if output is None:
        return []
    path = _literal(output.path)
    columns = ", ".join(_literal(name) for name in ("Metadata_Well", *report.report_features[:1]))
    by_well = 'aggregate("Metadata_Well, count(*) AS cells")'
    wells = f'wells = pl.scan_parquet({path}).group_by("Metadata_Well").len().collect()'
    return [
        ("pandas", ("import pandas as pd", f"cells = pd.read_parquet({path}, columns=[{columns}])")),
        ("polars", ("import polars as pl", wells)),
        ("DuckDB", ("import duckdb", f"wells = duckdb.read_parquet({path}).{by_well}.df()")),
    ]


def _first_profile(outputs: Sequence[OutputFile]) -> OutputFile | None:
    return next((output for output in outputs if output.path.endswith(_PARQUET)), None)


def _literal(text: str) -> str:
    """Return a text as Python's own literal, in double quotes if possible."""
    literal = ascii(text)
    return literal if '"' in literal else f'"{literal[1:-1]}"'
