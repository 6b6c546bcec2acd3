"""What is kept of each plate's report: its figures, and the first of what went wrong.

A report names every file of its plate, and a batch may have ten thousand plates: each is let go of once it is summed
up.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from cytobatch.planning.columns import table_label
from cytobatch.report.model import Outcome, RunReport

_TROUBLES_KEPT = 8


class PlateState(StrEnum):
    """What is known of a plate of the batch."""

    DONE = "done"
    """Its report is there."""
    MISSING = "missing"
    """No report is there: it has not been converted, or failed."""
    UNREADABLE = "unreadable"
    """Something is there that cannot be read as a report, for the reason given."""


class TroubleKind(StrEnum):
    """How bad something is."""

    FAILED = "failed"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that befell `count` files (failed) or objects (warning) of a table; `where` names the first."""

    kind: TroubleKind
    what: str
    table: str | None
    count: int | None
    where: str


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The figures of one report, under the names that they have as columns.

    `steps`, `objects` and `ledger` are several columns each. `troubles` are some of what went wrong, and
    `more_troubles` says how many more there are.
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
    troubles: tuple[Trouble, ...]
    more_troubles: int


@dataclass(frozen=True, slots=True)
class PlateRow:
    """One plate of the batch; `run` is there where its state is done."""

    plate: str
    state: PlateState
    reason: str | None
    source: str
    destination: str
    report: str
    run: RunSummary | None = None


def summarise(report: RunReport) -> RunSummary:
    """The figures of a report."""
    counts = report.counts
    objects: Counter[str] = Counter()
    for name, count in counts.objects.items():
        objects[table_label(name)] += count
    troubles = [*_failures(report), *_warnings(report)]
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
        troubles=tuple(troubles[:_TROUBLES_KEPT]),
        more_troubles=max(0, len(troubles) - _TROUBLES_KEPT),
    )


def _failures(report: RunReport) -> Iterator[Trouble]:
    """What failed, one for each table and reason, in the ledger's order."""
    failed = [entry for entry in report.ledger if entry.outcome is Outcome.FAILED]
    counts = Counter((entry.table, entry.reason) for entry in failed)
    first = {(entry.table, entry.reason): entry.path for entry in reversed(failed)}
    for (table, reason), count in counts.items():
        yield Trouble(TroubleKind.FAILED, reason or "no reason given", table, count, first[table, reason])


def _warnings(report: RunReport) -> Iterator[Trouble]:
    for warning in report.warnings:
        where = warning.first_exports[0] if warning.first_exports else ""
        yield Trouble(TroubleKind.WARNING, warning.what, warning.table, warning.count, where)
