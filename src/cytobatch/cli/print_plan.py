"""Plans and reports for people."""

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.filesize import decimal

from cytobatch.config.uris import is_remote
from cytobatch.engine.resources import ResourceLimits, resource_limits
from cytobatch.formats.base import ConversionPlan
from cytobatch.pipeline.describe import PlanDescription
from cytobatch.pipeline.scratch_estimate import scratch_need
from cytobatch.report.model import Outcome, RunReport
from cytobatch.survey.model import Survey

_EXPORTS_SHOWN = 10
_WARNINGS_SHOWN = 5


def print_plan(console: Console, description: PlanDescription) -> None:
    """A plan as a person reads it, a line for each thing: paths stay whole in a log."""
    for name, value in _plan_lines(description):
        console.print(f"{name:<13} {value}", highlight=False, markup=False)


def _plan_lines(description: PlanDescription) -> Iterator[tuple[str, str]]:
    plan, found = description.plan, description.survey
    limits = resource_limits(plan.job)
    preset = found.preset if found else plan.preset
    yield "plate", plan.job.label
    yield "source", plan.job.source
    yield "layout", f"{plan.format.name}, preset {preset.name if preset else 'auto'}"
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


def _scratch(plan: ConversionPlan, limits: ResourceLimits) -> str:
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
