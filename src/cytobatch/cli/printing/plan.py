"""Print plans."""

from collections.abc import Iterator

from rich.console import Console
from rich.filesize import decimal

from cytobatch.config.plural import count, plural
from cytobatch.config.uris import is_remote
from cytobatch.engine.resources import ResourceLimits, resource_limits
from cytobatch.formats.base import ConversionPlan
from cytobatch.pipeline.describe import PlanDescription
from cytobatch.pipeline.sample import SourceSample
from cytobatch.pipeline.scratch_estimate import scratch_need
from cytobatch.report.model import Outcome
from cytobatch.survey.model import Survey

_EXPORTS_SHOWN = 10


def print_plan(console: Console, description: PlanDescription) -> None:
    """Print a plan, one line for each property, so that paths stay whole in a log."""
    for name, value in _plan_lines(description):
        console.print(f"{name:<13} {value}", highlight=False, markup=False)


def _plan_lines(description: PlanDescription) -> Iterator[tuple[str, str]]:
    plan, survey = description.plan, description.survey
    limits = resource_limits(plan.job)
    preset = survey.preset if survey else plan.preset
    yield "plate", plan.job.label
    yield "source", plan.job.source
    yield "layout", f"{plan.format.name}, preset {preset.name if preset else 'auto'}"
    yield "exports", _exports(plan)
    yield "files", f"{sum(len(e.files) for e in plan.exports)} to read, {len(plan.ignored)} ignored"
    yield "bytes", decimal(sum(file.size for export in plan.exports for file in export.files))
    yield "limits", f"{limits.workers} workers, {decimal(limits.memory)} memory"
    yield "memory", f"at least {description.least_memory // 2**20} MiB"
    yield "scratch", _scratch(plan, limits)
    if plan.compartments:
        yield "compartments", ", ".join(plan.compartments)
    if description.sample:
        yield "looked at", sample_line(description.sample)
    if survey:
        yield from _survey_lines(description, survey)
    for output in description.outputs:
        yield "output", output
    yield "report", description.report


def sample_line(sample: SourceSample) -> str:
    """Return what was looked at of a plate in a bucket."""
    if not sample.exports:
        return f"none of {plural(sample.of, 'export')}: {sample.reason}"
    what = "the declarations of " if sample.is_outline else ""
    looked = f"{what}{count(sample.exports)} of {plural(sample.of, 'export')}, {decimal(sample.fetched)} fetched"
    return f"{looked}; they cannot be surveyed: {sample.reason}" if sample.reason else looked


def _scratch(plan: ConversionPlan, limits: ResourceLimits) -> str:
    need = scratch_need(plan, remote=is_remote(plan.job.source), table_bytes=limits.table_bytes)
    parts = [(need.fetched, "fetched files"), (need.staged, "tables too large for memory"), (need.outputs, "outputs")]
    listed = ", ".join(f"{decimal(size)} of {what}" for size, what in parts if size)
    return f"at most {decimal(need.total)}: {listed}"


def _exports(plan: ConversionPlan) -> str:
    names = [export.path for export in plan.exports[:_EXPORTS_SHOWN]]
    more = len(plan.exports) - len(names)
    return f"{len(plan.exports)}: {', '.join(names)}" + (f" and {more} more" if more else "")


def _survey_lines(description: PlanDescription, survey: Survey) -> Iterator[tuple[str, str]]:
    about = "about " if description.sample and not description.sample.is_whole else ""
    for name, columns in survey.schemas.items():
        rows = f", {about}{description.rows[name]} rows" if name in description.rows else ""
        yield "table", f"{name}: {len(columns.schema)} columns{rows}"
    for line in survey.join.describe() if survey.join else []:
        yield "join", line
    failed = [entry for entry in survey.ledger if entry.outcome is Outcome.FAILED]
    for entry in failed[:_EXPORTS_SHOWN]:
        yield "invalid", f"{entry.path} ({entry.table or 'file'}): {entry.reason}"
    if len(failed) > _EXPORTS_SHOWN:
        yield "invalid", f"and {len(failed) - _EXPORTS_SHOWN} more"
