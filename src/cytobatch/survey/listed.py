"""What the listing of a plate found: the tables in each file, which the ledger must name, and what cannot be read."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from cytobatch.config.plural import plural
from cytobatch.formats.base import ConversionPlan, ExportScan, PlateScan
from cytobatch.formats.hidden_files import DANGLING, MARKER
from cytobatch.report.model import ReportWarning

_SHOWN = 5


def listed_tables(plan: ConversionPlan, scan: PlateScan) -> dict[str, frozenset[str]]:
    """Return the names of the tables in each file: those of the plan, of the format's own listing, and of its scan."""
    names: dict[str, set[str]] = defaultdict(set)
    for path, table in (*_planned(plan), *_listed(scan.listed), *_scanned(scan.exports)):
        names[path].add(table)
    return {path: frozenset(tables) for path, tables in names.items()}


def unread_warnings(plan: ConversionPlan) -> tuple[ReportWarning, ...]:
    """Return warnings for links without a target and for objects under the keys of folders: both may be lost data."""
    by_reason: dict[str, list[str]] = {reason: [] for reason in (DANGLING, MARKER)}
    for file, reason in plan.ignored:
        if reason in by_reason:
            by_reason[reason].append(file.path)
    return tuple(
        ReportWarning(what=f"{plural(len(paths), 'file')} not read: {', '.join(paths[:_SHOWN])}: {reason}")
        for reason, paths in by_reason.items()
        if paths
    )


def _planned(plan: ConversionPlan) -> Iterator[tuple[str, str]]:
    for export in plan.exports:
        for table in export.tables.values():
            yield table.file.path, table.name


def _listed(listed: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    for path, tables in listed.items():
        for table in tables:
            yield path, table


def _scanned(scans: tuple[ExportScan, ...]) -> Iterator[tuple[str, str]]:
    for scan in scans:
        for table in scan.tables.values():
            yield table.source, table.shown_name
        for entry in (*scan.empty, *scan.ignored):
            if entry.table is not None:
                yield entry.path, entry.table
