"""Facts about the columns and dialects of tables, as warnings of the report: one for each fact, with its exports."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

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
