"""Parts of reports and messages in one line."""

from collections.abc import Sequence

from cytobatch.config.plural import count, plural
from cytobatch.errors import brief
from cytobatch.report.model import ReportWarning, RunReport


def counts_line(report: RunReport) -> str:
    """Return the counts of a report."""
    counts = report.counts
    failed = f", {count(counts.failed_exports)} failed" if counts.failed_exports else ""
    return (
        f"{plural(counts.rows, 'row')} x {plural(counts.columns, 'column')}, {plural(counts.wells, 'well')}, "
        f"{plural(counts.sites, 'site')}, from {plural(counts.exports, 'export')}{failed}"
    )


def warning_line(warning: ReportWarning) -> str:
    """Return a warning with the number of objects that it is about, or with the name of its table, fit to be shown."""
    if warning.count:
        return brief(f"{warning.what}: {count(warning.count)} of {warning.table}")
    named = warning.table is None or warning.table.lower() in warning.what.lower()
    return brief(warning.what if named else f"{warning.table}: {warning.what}")


def shortened(names: Sequence[str], most: int) -> str:
    """Return the first names, at most `most` of them, and how many more there are: `a, b and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
