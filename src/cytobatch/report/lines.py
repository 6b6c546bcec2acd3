"""Parts of a run report in one line, for terminals and logs."""

from cytobatch.report.model import ReportWarning, RunReport


def counts_line(report: RunReport) -> str:
    """Return the counts of a report."""
    counts = report.counts
    failed = f", {counts.failed_exports} failed" if counts.failed_exports else ""
    return (
        f"{counts.rows} rows x {counts.columns} columns, {counts.wells} wells, {counts.sites} sites, "
        f"from {counts.exports} export(s){failed}"
    )


def warning_line(warning: ReportWarning) -> str:
    """Return a warning with the number of objects that it is about."""
    return warning.what + (f": {warning.count} of {warning.table}" if warning.count else "")
