"""What was in the source and what became of it, table by table."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from cytobatch.report.model import LedgerEntry, Outcome, RunReport


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A table of the source over all exports: its files by outcome, its objects, and the objects in warnings.

    `name` is None for files that are no tables.
    """

    name: str | None
    files: int
    outcomes: Counter[Outcome]
    objects: int
    in_warnings: int
    reasons: tuple[tuple[str, int], ...]


def source_tables(report: RunReport) -> list[SourceTable]:
    """Return the tables of a source in the order of the ledger, those without objects last."""
    entries: dict[str | None, list[LedgerEntry]] = defaultdict(list)
    for entry in report.ledger:
        entries[entry.table].append(entry)
    noted: Counter[str] = Counter()
    for warning in report.warnings:
        if warning.table and warning.count:
            noted[warning.table.lower()] += warning.count
    tables = [_table(name, of_table, noted[(name or "").lower()]) for name, of_table in entries.items()]
    return sorted(tables, key=lambda table: (table.name is None, not table.objects))


def _table(name: str | None, entries: Sequence[LedgerEntry], in_warnings: int) -> SourceTable:
    reasons = Counter(entry.reason for entry in entries if entry.reason and entry.outcome is not Outcome.EMPTY)
    return SourceTable(
        name,
        len(entries),
        Counter(entry.outcome for entry in entries),
        sum(entry.rows or 0 for entry in entries),
        in_warnings,
        tuple(reasons.most_common(3)),
    )
