"""The page of a batch, which needs no other file: figures, bars, a sortable table, and the problems of its plates.

All of its content is from the reports, so that the same reports give the same page.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.filesize import decimal

from cytobatch.errors import brief
from cytobatch.report.batch_table import BatchTable
from cytobatch.report.charts import Chart, bar_chart
from cytobatch.report.relative_links import relative_link
from cytobatch.report.summary import PlateRow, PlateState, RunSummary

_PACKAGE, _TEMPLATES = "cytobatch.report", "templates"
_MAX_PLATES_WITH_PROBLEMS = 200
_BUFFERED_PIECES = 1000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the page's table: its name for links and sorting, its heading, and the format of its values."""

    name: str
    heading: str
    to_text: Callable[[Any], str]

    def value(self, run: RunSummary | None) -> Any:
        """Return the value that rows are sorted by; None if the plate is not done."""
        value = None if run is None else getattr(run, self.name)
        return value.timestamp() if isinstance(value, datetime) else value

    def text(self, run: RunSummary | None) -> str:
        """Return the cell's text."""
        return "" if run is None else self.to_text(getattr(run, self.name))


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the figures at the top of the page."""

    name: str
    value: str
    note: str = ""


def count(value: float) -> str:
    """Format a count, with commas between thousands."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def duration(seconds: float) -> str:
    """Format a time in the units that people use for its length."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02} min" if hours else f"{minutes} min {left:02} s"


def moment(time: datetime) -> str:
    """Format a point in time, to the minute, in its own time zone: reports have UTC."""
    return f"{time:%Y-%m-%d %H:%M}"


_COLUMNS = (
    Column("rows", "Rows", count),
    Column("wells", "Wells", count),
    Column("sites", "Sites", count),
    Column("exports", "Exports", count),
    Column("failed_exports", "Failed", count),
    Column("warnings", "Warnings", count),
    Column("columns", "Columns", count),
    Column("output_bytes", "Output", decimal),
    Column("peak_memory_bytes", "Memory", decimal),
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
        The folder or prefix where the page will be, from which it links to the reports.

    Yields
    ------
    str
        Parts of the page in order, so that the page of ten thousand plates is never whole in memory.
    """
    environment = Environment(
        loader=PackageLoader(_PACKAGE, _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"thousands": count, "moment": moment}
    script = _packaged("batch_page.js")
    with_problems = _with_problems(table.rows)
    template = environment.get_template("batch_page.html.j2")
    page = template.stream(
        table=table,
        style=Markup(_packaged("batch_page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        states={state.value: table.in_state(state) for state in PlateState},
        figures=list(_figures(table)),
        when=_when(table),
        versions=sorted({run.cytobatch_version for run in table.runs}),
        charts=list(_charts(table)),
        columns=_COLUMNS,
        link=lambda row: relative_link(row.report, folder),
        with_problems=with_problems[:_MAX_PLATES_WITH_PROBLEMS],
        more_with_problems=max(0, len(with_problems) - _MAX_PLATES_WITH_PROBLEMS),
    )
    page.enable_buffering(_BUFFERED_PIECES)
    yield from page


def _shown(value: object) -> object:
    """Return a value of the page; text from outside in a form that is fit to be shown. Jinja escapes it afterwards."""
    return brief(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _packaged(name: str) -> str:
    return resources.files(_PACKAGE).joinpath(_TEMPLATES, name).read_text(encoding="utf-8").strip()


def _figures(table: BatchTable) -> Iterator[Figure]:
    plates, done = len(table.rows), table.in_state(PlateState.DONE)
    failed, exports = table.total("failed_exports"), table.total("exports")
    rows = table.total("rows")
    yield Figure("Plates done", count(done), f"of {count(plates)}")
    yield Figure("Profile rows", count(rows), f"{count(round(rows / done))} a plate" if done else "")
    yield Figure("Wells", count(table.total("wells")), f"{count(table.total('sites'))} sites")
    yield Figure("Failed exports", count(failed), f"of {count(exports)}")
    yield Figure("Plates with warnings", count(sum(run.warnings > 0 for run in table.runs)))
    yield Figure("Output", decimal(table.total("output_bytes")))
    yield Figure("Run time", duration(table.total("seconds")), "all plates together")
    peak = max((run.peak_memory_bytes for run in table.runs), default=0)
    yield Figure("Peak memory", decimal(peak), "the largest run's")


def _when(table: BatchTable) -> tuple[datetime, datetime] | None:
    """Return when the first run started and the last one finished; None if no plate is done."""
    runs = list(table.runs)
    return (min(run.started for run in runs), max(run.finished for run in runs)) if runs else None


def _charts(table: BatchTable) -> Iterator[Chart]:
    yield bar_chart("Profile rows per plate", table.rows, lambda run: run.rows)
    yield bar_chart("Failed exports per plate", table.rows, lambda run: run.failed_exports)


def _with_problems(rows: Sequence[PlateRow]) -> list[PlateRow]:
    """Return the plates that have problems: those that are not done or failed in part, then those with warnings."""
    worst = [row for row in rows if row.run is None or row.reason or row.run.failed_exports]
    listed = {id(row) for row in worst}
    return [*worst, *(row for row in rows if id(row) not in listed and row.run is not None and row.run.problems)]
