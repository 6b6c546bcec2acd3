"""The table as files: Parquet and CSV for programs, a page for people."""

import csv
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from cytobatch.config.options import PlateJob
from cytobatch.output.parquet import write_small_table
from cytobatch.report.batch_page import write_page
from cytobatch.report.batch_table import BatchTable
from cytobatch.report.model import UnreadableReportError, parse_report
from cytobatch.report.summary import PlateRow, PlateState, summarise
from cytobatch.storage.access import Access, storage_errors
from cytobatch.storage.report_files import StoredReport, publish_files, read_reports


def gather(jobs: Sequence[PlateJob]) -> BatchTable:
    """Reads the reports of all plates. Raises StorageError where the store fails, but not where a report is missing."""
    return BatchTable.of(each_row(jobs))


def each_row(jobs: Sequence[PlateJob]) -> Iterator[PlateRow]:
    """The batch's plates in the order of the jobs, each as soon as its report is read.

    A report that is missing, or that cannot be read, makes a row too. Raises StorageError where the store fails.
    """
    for job, stored in zip(jobs, read_reports(jobs), strict=True):
        yield plate_row(job, stored)


def plate_row(job: PlateJob, stored: StoredReport) -> PlateRow:
    """A plate's row from its report as it is stored."""
    row = PlateRow(job.label, PlateState.UNREADABLE, stored.reason, job.source, job.destination, stored.uri)
    if stored.content is None:
        return replace(row, state=PlateState.MISSING) if stored.absent else row
    try:
        report = parse_report(stored.content)
    except UnreadableReportError as error:
        return replace(row, reason=str(error))
    # Sources of a workspace are found by the run alone.
    done = replace(row, state=PlateState.DONE, reason=None, source=report.source, run=summarise(report))
    if report.plate != job.label:
        return replace(done, reason=f"the report is of plate {report.plate!r}")
    return done


def publish(table: BatchTable, destination: str, access: Access) -> list[str]:
    """Writes `batch.parquet`, `batch.csv` and `index.html` into a folder or prefix, and returns where they are.

    The same reports give the same bytes. Raises StorageError.
    """
    with tempfile.TemporaryDirectory(prefix="cytobatch-") as scratch:
        parquet, text, page = (Path(scratch, name) for name in ("batch.parquet", "batch.csv", "index.html"))
        with storage_errors(scratch):
            arrow = table.to_arrow()
            write_small_table(parquet, arrow)
            write_csv(arrow, text)
            write_page(table, destination, page)
        # The page last, for it links to the others.
        return publish_files(destination, {path.name: path for path in (parquet, text, page)}, access)


def write_csv(table: pa.Table, path: Path) -> None:
    """Writes the table as CSV; null is empty, times are ISO 8601 in UTC."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(table.column_names)
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            writer.writerow([value.isoformat() if isinstance(value, datetime) else value for value in row])
