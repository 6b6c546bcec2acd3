"""Plans and reports for people."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal

from cytobatch.inputs import Inputs
from cytobatch.jobspec import PARQUET, PROFILES, SINGLE_CELLS, PlateJob
from cytobatch.layouts import SourceKind
from cytobatch.limits import Limits, hold_arrow_to, limits_of
from cytobatch.pipeline import folders_for, means_for, plan_plate, survey_plate
from cytobatch.plan import ConversionPlan
from cytobatch.readers import npz, sqlite
from cytobatch.report import Outcome, RunReport
from cytobatch.scratch import scratch_need
from cytobatch.storage import Destination, is_remote
from cytobatch.survey import Survey, SurveyedTable

_EXPORTS_SHOWN = 10
_WARNINGS_SHOWN = 5
_COUNTED_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class PlanDescription:
    """A plan, and for local sources what a look into the files adds; rows by table where they were cheap to count."""

    plan: ConversionPlan
    survey: Survey | None
    rows: Mapping[str, int]
    outputs: tuple[str, ...]
    report: str


def describe_job(job: PlateJob) -> PlanDescription:
    """Plans a job. A local source is looked into, a bucket only listed. Converts nothing."""
    hold_arrow_to(limits_of(job))
    with folders_for(job) as folders:
        source, plan = plan_plate(job, folders.cache)
        destination = Destination(job)
        outputs = tuple(destination.uri_of(name) for name in _outputs(plan))
        if is_remote(plan.job.source):
            return PlanDescription(plan, None, {}, outputs, destination.report_uri)
        with means_for(plan, source, folders) as means:
            found = survey_plate(plan, means)
            return PlanDescription(plan, found, _cheap_rows(found, means.inputs), outputs, destination.report_uri)


def _outputs(plan: ConversionPlan) -> Iterator[str]:
    """The names of the outputs below the destination."""
    job = plan.job
    rows = SINGLE_CELLS if job.concat else "<export>"
    if not (job.join or plan.kind.is_flat):
        rows = "<table>" if job.concat else "<table>/<export>"
    for stem in (rows, PROFILES) if job.well_profiles else (rows,):
        yield f"{stem}{PARQUET}"
        yield from (f"{stem}.{kind}" for kind in job.anndata)


def _cheap_rows(found: Survey, inputs: Inputs) -> dict[str, int]:
    """Rows by table: from SQLite's own row numbers, or by counting lines of small plates."""
    rows = dict.fromkeys(found.schemas, 0)
    if found.plan.kind is not SourceKind.SQLITE and found.plan.size > _COUNTED_BYTES:
        return {}
    for export in found.exports:
        for name, table in export.tables.items():
            rows[name] += _rows(table, inputs.whole(table.source))
    return rows


def _rows(table: SurveyedTable, path: Path) -> int:
    if table.sql_table is not None:
        return sqlite.approximate_rows(path, table.sql_table, table.schema.names)
    if table.shape is not None:
        return max(0, _lines(path) - table.shape.header_lines)
    return npz.read_head(path).rows


def _lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(2**20), b""))


def print_plan(console: Console, description: PlanDescription) -> None:
    """A plan as a person reads it, a line for each thing: paths stay whole in a log."""
    for name, value in _plan_lines(description):
        console.print(f"{name:<13} {value}", highlight=False, markup=False)


def _plan_lines(description: PlanDescription) -> Iterator[tuple[str, str]]:
    plan, found = description.plan, description.survey
    limits = limits_of(plan.job)
    preset = found.preset if found else plan.preset
    yield "plate", plan.job.label
    yield "source", plan.job.source
    yield "layout", f"{plan.kind.value}, preset {preset.name.value if preset else 'auto'}"
    yield "exports", _exports(plan)
    yield "files", f"{sum(len(e.files) for e in plan.exports)} to read, {len(plan.ignored)} ignored"
    yield "bytes", decimal(plan.size)
    yield "limits", f"{limits.workers} workers, {decimal(limits.memory)} memory"
    yield "scratch", _scratch(plan, limits)
    if plan.compartments:
        yield "compartments", ", ".join(plan.compartments)
    if found:
        yield from _survey_lines(description, found)
    for output in description.outputs:
        yield "output", output
    yield "report", description.report


def _scratch(plan: ConversionPlan, limits: Limits) -> str:
    need = scratch_need(plan, remote=is_remote(plan.job.source), table_bytes=limits.table_bytes)
    parts = [(need.fetched, "fetched files"), (need.staged, "tables too large for memory"), (need.outputs, "outputs")]
    listed = ", ".join(f"{decimal(size)} of {what}" for size, what in parts if size)
    return f"at most {decimal(need.total)}: {listed}"


def _exports(plan: ConversionPlan) -> str:
    names = [export.path for export in plan.exports[:_EXPORTS_SHOWN]]
    more = len(plan.exports) - len(names)
    return f"{len(plan.exports)}: {', '.join(names)}" + (f" and {more} more" if more else "")


def _survey_lines(description: PlanDescription, found: Survey) -> Iterator[tuple[str, str]]:
    for name, columns in found.schemas.items():
        rows = f", {description.rows[name]} rows" if name in description.rows else ""
        yield "table", f"{name}: {len(columns.schema)} columns{rows}"
    for line in found.join.describe() if found.join else []:
        yield "join", line
    failed = [entry for entry in found.ledger if entry.outcome is Outcome.FAILED]
    for entry in failed[:_EXPORTS_SHOWN]:
        yield "unsound", f"{entry.path} ({entry.table or 'file'}): {entry.reason}"
    if len(failed) > _EXPORTS_SHOWN:
        yield "unsound", f"and {len(failed) - _EXPORTS_SHOWN} more"


def print_report(console: Console, report: RunReport) -> None:
    """The upshot of a run, and how to read what it made."""
    for line in _report_lines(report):
        console.print(line, highlight=False, markup=False)


def _report_lines(report: RunReport) -> Iterator[str]:
    counts = report.counts
    failed = f", {counts.failed_exports} failed" if counts.failed_exports else ""
    yield (
        f"{report.plate}: {counts.rows} rows x {counts.columns} columns, {counts.wells} wells, {counts.sites} sites, "
        f"from {counts.exports} export(s){failed}"
    )
    for output in report.outputs[:_EXPORTS_SHOWN]:
        yield f"  {output.path.rpartition('.')[2]:<8} {output.path} ({decimal(output.bytes)})"
    if len(report.outputs) > _EXPORTS_SHOWN:
        yield f"  and {len(report.outputs) - _EXPORTS_SHOWN} more"
    for warning in report.warnings[:_WARNINGS_SHOWN]:
        yield f"  warning  {warning.what}" + (f": {warning.count} of {warning.table}" if warning.count else "")
    noted = f" ({len(report.warnings)} warning(s))" if report.warnings else ""
    yield f"  report   {report.report}{noted}"
    if report.outputs:
        first = report.outputs[0].path
        yield f"  read it  {sys.executable} -c \"import pyarrow.parquet as pq; print(pq.read_table('{first}'))\""
