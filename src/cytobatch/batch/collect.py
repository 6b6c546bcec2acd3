"""Collect the reports of many plates into a table: Parquet and CSV for programs, a page for people."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from cytobatch.config.options import PlateJob
from cytobatch.errors import brief
from cytobatch.output.parquet.writer import write_small_table
from cytobatch.report.batch_page import render_page
from cytobatch.report.batch_table import BatchTable
from cytobatch.report.model import UnreadableReportError, parse_report
from cytobatch.report.summary import PlateRow, PlateState, summarise
from cytobatch.storage.access import Access, storage_errors
from cytobatch.storage.report_files import StoredReport, publish_files, read_reports
from cytobatch.storage.temporary_folder import temporary_folder

_OTHERS_SHOWN = 3
_FORMULA = ("=", "+", "-", "@")
"""The beginnings of text that spreadsheets run: https://owasp.org/www-community/attacks/CSV_Injection"""


def gather(jobs: Sequence[PlateJob]) -> BatchTable:
    """Read the reports of all plates. Raises StorageError if the store fails, but not for a missing report.

    A plate that occurs twice has a reason in each of its rows.
    """
    return BatchTable.of(with_repeated_plates(list(each_row(jobs))))


def with_repeated_plates(rows: Sequence[PlateRow]) -> Iterator[PlateRow]:
    """Yield the rows; where another row has objects of the same plate, the reason names it."""
    destinations: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for name in _plates_of(row):
            destinations[name].append(row.destination)
    for row in rows:
        repeated = [name for name in _plates_of(row) if len(destinations[name]) > 1]
        others = dict.fromkeys(each for name in repeated for each in destinations[name] if each != row.destination)
        if others:
            also = f"plate {', '.join(map(repr, repeated))} is also in {', '.join(list(others)[:_OTHERS_SHOWN])}"
            yield replace(row, reason=f"{row.reason}; {also}" if row.reason else also)
        else:
            yield row


def _plates_of(row: PlateRow) -> tuple[str, ...]:
    """Return the plates of a converted row: those of its objects, or else its name."""
    return () if row.run is None else row.run.plate_names or (row.plate,)


def each_row(jobs: Sequence[PlateJob]) -> Iterator[PlateRow]:
    """Yield the rows of the plates in the order of the jobs, each as soon as its report is read.

    A missing or unreadable report yields a row too. Raises StorageError if the store fails.
    """
    for job, stored in zip(jobs, read_reports(jobs), strict=True):
        yield plate_row(job, stored)


def plate_row(job: PlateJob, stored: StoredReport) -> PlateRow:
    """Return a plate's row, made from its stored report."""
    row = PlateRow(job.label, PlateState.UNREADABLE, stored.reason, job.source, job.destination, stored.uri)
    if stored.content is None:
        return replace(row, state=PlateState.MISSING) if stored.absent else row
    try:
        report = parse_report(stored.content)
        run = summarise(report)
    except UnreadableReportError as error:
        return replace(row, reason=str(error))
    # The job has the workspace as its source; only the run finds the plate's folder in it.
    state = PlateState.LOSSES if run.failed_exports else PlateState.DONE
    done = replace(row, state=state, reason=None, source=report.source, run=run)
    if report.plate != job.label:
        return replace(done, reason=f"the report is of plate {report.plate!r}")
    return done


def publish(table: BatchTable, destination: str, access: Access) -> list[str]:
    """Write `batch.parquet`, `batch.csv` and `index.html` into a folder or prefix, and return their paths.

    The same reports give the same bytes. Raises StorageError.
    """
    with temporary_folder("cytobatch-") as scratch:
        parquet, text, page = (scratch / name for name in ("batch.parquet", "batch.csv", "index.html"))
        with storage_errors(str(scratch)):
            arrow = table.to_arrow()
            write_small_table(parquet, arrow)
            write_csv(arrow, text)
            with page.open("w", encoding="utf-8", newline="") as stream:
                stream.writelines(render_page(table, destination))
        # The page last, for it links to the others.
        return publish_files(destination, {path.name: path for path in (parquet, text, page)}, access)


def write_csv(table: pa.Table, path: Path) -> None:
    """Write a table as CSV for people: null as an empty field, times in ISO 8601 and UTC.

    Text is made fit to be shown. Text that a spreadsheet would run as a formula begins with an apostrophe.

    Parameters
    ----------
    table : pa.Table
        The table; its values are texts, numbers or `datetime`s.
    path : Path
        The file to write, in UTF-8 with `\\n` line ends.
    """
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([_cell(name) for name in table.column_names])
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            writer.writerow([_cell(value) for value in row])


def _cell(value: object) -> object:
    if isinstance(value, str):
        text = brief(value)
        return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
    return value.isoformat() if isinstance(value, datetime) else value
