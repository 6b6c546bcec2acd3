"""The page of a batch, which needs no other file: figures, charts, small plate maps, a sortable table, and problems.

All of its content is from the reports, so that the same reports give the same page.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from cytobatch.config.plural import count
from cytobatch.report.batch_table import BatchTable
from cytobatch.report.charts import bar_chart, strip_chart
from cytobatch.report.concerns import Concern, UsualCells, rated_rows
from cytobatch.report.numbers import duration, moment, size
from cytobatch.report.page_template import page_template
from cytobatch.report.plate_page import Figure
from cytobatch.report.relative_links import relative_link
from cytobatch.report.small_map import COLOURS, colours_of
from cytobatch.report.summary import PlateRow, PlateState, RunSummary

_MAX_PLATES_WITH_PROBLEMS = 200
_BUFFERED_PIECES = 1000
_MAPS_SHOWN = 24
_ROWS_SHOWN = 200
"""Rows of the table that are shown at first: a browser lays them out in an instant."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the page's table: its name for links and sorting, its heading, and the format of its values."""

    name: str
    heading: str
    to_text: Callable[[Any], str]

    def value(self, run: RunSummary | None) -> Any:
        """Return the value that rows are sorted by; None if the plate is not done, or its report has none."""
        value = None if run is None else getattr(run, self.name)
        return value.timestamp() if isinstance(value, datetime) else value

    def text(self, run: RunSummary | None) -> str:
        """Return the cell's text."""
        return "" if self.value(run) is None else self.to_text(getattr(run, self.name))


_COLUMNS = (
    Column("median_cells", "Cells a well", count),
    Column("rows", "Rows", count),
    Column("wells", "Wells", count),
    Column("sites", "Sites", count),
    Column("exports", "Exports", count),
    Column("failed_exports", "Failed", count),
    Column("warnings", "Warnings", count),
    Column("columns", "Columns", count),
    Column("output_bytes", "Output", size),
    Column("peak_memory_bytes", "Memory", size),
    Column("seconds", "Time", duration),
    Column("finished", "Finished (UTC)", moment),
)


def render_page(table: BatchTable, folder: str) -> Iterator[str]:
    """Render the page of a batch as HTML.

    Parameters
    ----------
    table
        The batch.
    folder
        The folder or prefix where the page will be, from which it links to the plates' pages and reports.

    Yields
    ------
    str
        Parts of the page in order, so that the page of ten thousand plates is never whole in memory.
    """
    template, own = page_template("batch_page")
    usual = UsualCells.of(table.rows)
    rated = rated_rows(table.rows, usual)
    colours = colours_of(run.small_map for run in table.runs if run.small_map is not None)
    with_problems = [one for one in rated if one.concern is not Concern.NONE]
    worse = sum(one.concern is not Concern.WARNINGS for one in with_problems)
    page = template.stream(
        **own,
        table=table,
        rated=rated,
        states={state: table.in_state(state) for state in PlateState},
        figures=list(_figures(table, usual)),
        when=_when(table),
        versions=sorted({run.cytobatch_version for run in table.runs}),
        strip=strip_chart(rated, usual),
        failed=bar_chart("Failed exports", table.rows, lambda run: run.failed_exports),
        columns=_COLUMNS,
        rows_shown=_ROWS_SHOWN,
        link=partial(_link, folder=folder),
        concerns=Concern,
        colours=colours,
        palette=" ".join(COLOURS),
        with_maps=[one for one in rated if one.row.run is not None and one.row.run.small_map is not None][:_MAPS_SHOWN],
        first_warning=worse,
        only_warnings=len(with_problems) - worse,
        with_problems=with_problems[:_MAX_PLATES_WITH_PROBLEMS],
        more_with_problems=max(0, len(with_problems) - _MAX_PLATES_WITH_PROBLEMS),
    )
    page.enable_buffering(_BUFFERED_PIECES)
    yield from page


def _link(row: PlateRow, folder: str) -> str:
    """Return the link to a plate's page, or to its report if that names no page."""
    page = None if row.run is None else row.run.page
    # A report may be a stranger's: only the page beside it is opened.
    own = page is not None and page.rpartition("/")[0] == row.report.rpartition("/")[0] and page.endswith(".html")
    return relative_link(page if page is not None and own else row.report, folder)


def _figures(table: BatchTable, usual: UsualCells | None) -> Iterator[Figure]:
    plates, done = len(table.rows), sum(1 for _ in table.runs)
    failed, exports = table.total("failed_exports"), table.total("exports")
    rows = table.total("rows")
    yield Figure("Plates done", count(done), f"of {count(plates)}")
    yield Figure("Profile rows", count(rows), f"{count(round(rows / done))} a plate" if done else "")
    if usual is not None:
        yield Figure("Cells a well", f"{usual.median:,.0f}", "the median plate's median")
    yield Figure("Wells", count(table.total("wells")), f"{count(table.total('sites'))} sites")
    yield Figure("Failed exports", count(failed), f"of {count(exports)}")
    yield Figure("Plates with warnings", count(sum(run.warnings > 0 for run in table.runs)))
    yield Figure("Output", size(table.total("output_bytes")))
    yield Figure("Run time", duration(table.total("seconds")), "all plates together")
    peak = max((run.peak_memory_bytes for run in table.runs), default=0)
    yield Figure("Peak memory", size(peak), "the largest run's")


def _when(table: BatchTable) -> tuple[datetime, datetime] | None:
    """Return when the first run started and the last one finished; None if no plate is done."""
    runs = list(table.runs)
    return (min(run.started for run in runs), max(run.finished for run in runs)) if runs else None
