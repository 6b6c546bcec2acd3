"""Plans and reports for people: tables on a terminal, plain lines in a log."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import rich.box
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from cytobatch.convert.context import SINGLE_CELLS
from cytobatch.jobspec import PlateJob
from cytobatch.layouts import SourceKind
from cytobatch.pipeline import engine_for, folders_for, plan_plate, stage_plate, survey_plate
from cytobatch.plan import ConversionPlan
from cytobatch.readers import sqlite
from cytobatch.report import Outcome, RunReport
from cytobatch.storage import Destination, Source, is_remote
from cytobatch.survey import Survey

_EXPORTS_SHOWN = 10
_COUNTED_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class PlanDescription:
    """A plan, and for local sources what a look into the files adds; rows by table where they were cheap to count."""

    plan: ConversionPlan
    survey: Survey | None
    rows: Mapping[str, int]
    destination: str
    report: str


def describe_job(job: PlateJob) -> PlanDescription:
    """Plans a job. A local source is looked into, a bucket only listed. Converts nothing."""
    with folders_for(job) as folders:
        source = Source(job, folders.cache)
        plan = plan_plate(job, source)
        destination = Destination(job)
        target = (
            job.destination if job.single_file else destination.uri_of(SINGLE_CELLS if job.join else "<table>.parquet")
        )
        if is_remote(job.source):
            return PlanDescription(plan, None, {}, target, destination.report_uri)
        with engine_for(job, folders) as engine:
            found = survey_plate(plan, stage_plate(plan, source), engine)
        return PlanDescription(plan, found, _cheap_rows(found), target, destination.report_uri)


def _cheap_rows(found: Survey) -> dict[str, int]:
    """Rows by table: from SQLite's own row numbers, or by counting lines of small plates."""
    rows = dict.fromkeys(found.schemas, 0)
    if found.plan.kind is SourceKind.CSV and found.plan.size > _COUNTED_BYTES:
        return {}
    for export in found.exports:
        for name, table in export.tables.items():
            if table.sql_table:
                rows[name] += sqlite.approximate_rows(table.path, table.sql_table)
            else:
                rows[name] += max(0, _lines(table.path) - 1)
    return rows


def _lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(2**20), b""))


def print_plan(console: Console, description: PlanDescription) -> None:
    """A plan as a person reads it."""
    plan = description.plan
    table = Table(
        title=f"Plan for {escape(plan.job.label)}", box=rich.box.SIMPLE, show_header=False, title_justify="left"
    )
    table.add_row("source", escape(plan.job.source))
    found = description.survey
    preset = found.preset if found else plan.preset
    table.add_row("layout", f"{plan.kind.value}, preset {preset.name.value if preset else 'auto'}")
    table.add_row("exports", _exports(plan))
    table.add_row("files", f"{sum(len(e.files) for e in plan.exports)} to read, {len(plan.ignored)} ignored")
    table.add_row("bytes", decimal(plan.size))
    if plan.compartments:
        table.add_row("compartments", ", ".join(plan.compartments))
    if found:
        _add_survey(table, description, found)
    table.add_row("output", escape(description.destination))
    table.add_row("report", escape(description.report))
    console.print(table)


def _exports(plan: ConversionPlan) -> str:
    names = [escape(export.path) for export in plan.exports[:_EXPORTS_SHOWN]]
    more = len(plan.exports) - len(names)
    return f"{len(plan.exports)}: {', '.join(names)}" + (f" and {more} more" if more else "")


def _add_survey(table: Table, description: PlanDescription, found: Survey) -> None:
    for name, columns in found.schemas.items():
        rows = f", {description.rows[name]} rows" if name in description.rows else ""
        table.add_row(f"table {escape(name)}", f"{len(columns.schema)} columns{rows}")
    for line in found.join.describe() if found.join else []:
        table.add_row("join", escape(line))
    failed = [entry for entry in found.ledger if entry.outcome is Outcome.FAILED]
    for entry in failed[:_EXPORTS_SHOWN]:
        table.add_row("[red]unsound[/]", escape(f"{entry.path} ({entry.table or 'file'}): {entry.reason}"))
    if len(failed) > _EXPORTS_SHOWN:
        table.add_row("[red]unsound[/]", f"and {len(failed) - _EXPORTS_SHOWN} more")


def print_report(console: Console, report: RunReport) -> None:
    """The upshot of a run, in a few lines."""
    counts = report.counts
    console.print(
        f"{report.plate}: {counts.rows} rows x {counts.columns} columns from {counts.exports} export(s), "
        f"{counts.wells} wells, {counts.sites} sites; {counts.failed_exports} failed",
        highlight=False, markup=False,
    )  # fmt: skip
    for output in report.outputs:
        console.print(f"  {output.path} ({decimal(output.bytes)})", highlight=False, markup=False)
    if report.warnings:
        console.print(f"  {len(report.warnings)} warning(s), named in the report", highlight=False)
