"""The tables that the listing of a plate found, by file: what the ledger must name at the end of a run."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from cytobatch.formats.base import ConversionPlan, ExportScan, PlateScan


def listed_tables(plan: ConversionPlan, scan: PlateScan) -> dict[str, frozenset[str]]:
    """Return the names of the tables in each file: those of the plan, of the format's own listing, and of its scan."""
    names: dict[str, set[str]] = defaultdict(set)
    for path, table in (*_planned(plan), *_listed(scan.listed), *_scanned(scan.exports)):
        names[path].add(table)
    return {path: frozenset(tables) for path, tables in names.items()}


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
