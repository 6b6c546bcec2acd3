"""The summary of a plate's report: its figures, and its first problems.

A report names every file of its plate, and a batch may have ten thousand plates, so that only summaries are kept in
memory.
"""

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum

from cytobatch.planning.columns import table_label
from cytobatch.report.model import Outcome, RunReport, UnreadableReportError
from cytobatch.report.small_map import SmallMap, small_map

_MAX_PROBLEMS = 8
_LARGEST = 2**62
_MOST_NAMES = 1000


class PlateState(StrEnum):
    """Whether a plate of the batch has a report."""

    DONE = "done"
    """Its report was read."""
    LOSSES = "done with losses"
    """Its report was read; exports of it failed, which its job allowed."""
    MISSING = "missing"
    """It has no report: it was not converted yet, or its conversion failed."""
    UNREADABLE = "unreadable"
    """The file in place of its report cannot be read as a report; the row has the reason."""


class ProblemKind(StrEnum):
    """The severity of a problem."""

    FAILED = "failed"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of `count` files (failed) or objects (warning) of a table; `where` names the first one."""

    kind: ProblemKind
    what: str
    table: str | None
    count: int | None
    where: str


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The figures of one report, with the names that they have as columns.

    `steps` (in seconds), `objects` and `ledger` are several columns each. `problems` are the first ones, and
    `more_problems` is how many others there are. `plate_names` are the plates of its rows. `page` is the plate's page.
    `median_cells` is the median of the cells a well, of wells with a valid site; None if the report has no wells.
    """

    preset: str
    layout: str
    started: datetime
    finished: datetime
    seconds: float
    steps: Mapping[str, float]
    peak_memory_bytes: int
    workers: int
    exports: int
    failed_exports: int
    rows: int
    rows_dropped_as_null: int
    columns: int
    plates: int
    wells: int
    sites: int
    objects: Mapping[str, int]
    output_bytes: int
    warnings: int
    schema_differences: int
    repairs: int
    odd_value_columns: int
    ledger: Mapping[str, int]
    cytobatch_version: str
    problems: tuple[Problem, ...]
    more_problems: int
    plate_names: tuple[str, ...] = ()
    page: str | None = None
    median_cells: float | None = None
    small_map: SmallMap | None = None


@dataclass(frozen=True, slots=True)
class PlateRow:
    """One plate of the batch. `run` is set if it is done, also with losses, `reason` if its report has a defect."""

    plate: str
    state: PlateState
    reason: str | None
    source: str
    destination: str
    report: str
    run: RunSummary | None = None


def summarise(report: RunReport) -> RunSummary:
    """Return the summary of a report. Raises UnreadableReportError if its figures are none that a run can have."""
    try:
        summary = _summary(report)
    except OverflowError as error:
        raise UnreadableReportError("it is no run report: its times are out of range") from error
    for figure in (getattr(summary, field.name) for field in fields(summary)):
        values = list(figure.values()) if isinstance(figure, Mapping) else [figure]
        # This refuses NaN, too, which is neither smaller nor larger.
        if not all(abs(value) < _LARGEST for value in values if isinstance(value, int | float)):
            raise UnreadableReportError("it is no run report: a figure is out of range")
        if len(values) > _MOST_NAMES:
            raise UnreadableReportError(f"it is no run report: a figure has more than {_MOST_NAMES} names")
    return summary


def _summary(report: RunReport) -> RunSummary:
    counts = report.counts
    cells = [well.cells for well in report.plate_wells if well.sites]
    objects: Counter[str] = Counter()
    for name, count in counts.objects.items():
        objects[table_label(name)] += count
    problems = [*_failures(report), *_warnings(report)]
    outcomes = Counter(entry.outcome for entry in report.ledger)
    return RunSummary(
        preset=report.preset,
        layout=report.layout,
        started=report.started.astimezone(UTC),
        finished=report.finished.astimezone(UTC),
        seconds=round((report.finished - report.started).total_seconds(), 3),
        steps=report.seconds,
        peak_memory_bytes=report.peak_memory_bytes,
        workers=report.limits.workers,
        exports=counts.exports,
        failed_exports=counts.failed_exports,
        rows=counts.rows,
        rows_dropped_as_null=counts.rows_dropped_as_null,
        columns=counts.columns,
        plates=counts.plates,
        wells=counts.wells,
        sites=counts.sites,
        objects=objects,
        output_bytes=sum(output.bytes for output in report.outputs),
        warnings=len(report.warnings),
        schema_differences=len(report.schema_differences),
        repairs=len(report.repairs),
        odd_value_columns=len(report.odd_values),
        ledger={outcome.value: outcomes[outcome] for outcome in Outcome},
        cytobatch_version=report.cytobatch_version,
        problems=tuple(problems[:_MAX_PROBLEMS]),
        more_problems=max(0, len(problems) - _MAX_PROBLEMS),
        plate_names=tuple(report.plates),
        page=report.page,
        median_cells=statistics.median(cells) if cells else None,
        small_map=small_map(report.plate_wells),
    )


def _failures(report: RunReport) -> Iterator[Problem]:
    """Yield a problem for each table and reason of failed entries, in the ledger's order."""
    failed = [entry for entry in report.ledger if entry.outcome is Outcome.FAILED]
    counts = Counter((entry.table, entry.reason) for entry in failed)
    first = {(entry.table, entry.reason): entry.path for entry in reversed(failed)}
    for (table, reason), count in counts.items():
        yield Problem(ProblemKind.FAILED, reason or "no reason given", table, count, first[table, reason])


def _warnings(report: RunReport) -> Iterator[Problem]:
    for warning in report.warnings:
        where = warning.first_exports[0] if warning.first_exports else ""
        yield Problem(ProblemKind.WARNING, warning.what, warning.table, warning.count, where)
