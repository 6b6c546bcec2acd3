"""Facts about tables: warnings about columns and dialects, one for each fact, and the tables that most exports lack."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from cytobatch.formats.base import ExportScan, SurveyedTable
from cytobatch.report.model import ReportWarning

_FIRST_EXPORTS = 5


def fact_warnings(
    scans: Sequence[ExportScan], facts: Callable[[SurveyedTable], Iterable[str]]
) -> tuple[ReportWarning, ...]:
    """Return a warning for each fact about a table, with the exports that it holds for."""
    exports = defaultdict[tuple[str, str], list[str]](list)
    for scan in scans:
        for name, table in scan.tables.items():
            for what in facts(table):
                exports[name, what].append(scan.export.path)
    return tuple(
        ReportWarning(what=f"{name}: {what}", table=name, exports=len(paths), first_exports=paths[:_FIRST_EXPORTS])
        for (name, what), paths in exports.items()
    )


def numbers_rows(column: str) -> str:
    """Return the fact that a column numbers the rows."""
    return f"column {column!r} numbers the rows, and is left out"


def unusual_tables(counts: Mapping[str, int], known: Collection[str], exports: int) -> set[str]:
    """Return the tables that most exports lack and that the preset does not name; `counts` are exports by table."""
    return {table for table, count in counts.items() if table not in known and 2 * count < exports}
