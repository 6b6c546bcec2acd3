"""CSV tables: headers, cut-short files, and typed columns. The schema is given; nothing is sniffed from the rows."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from cytobatch.errors import UnsoundTableError
from cytobatch.readers.values import Repair, numbers_from_text

_BLOCK = 16 * 2**20
_LINE = 16 * 2**20
_REMEDY = "export or copy it again"

# The standard library refuses fields beyond 128 KiB, which image tables with a pipeline in them have.
csv.field_size_limit(_LINE)


@dataclass(frozen=True, slots=True)
class CsvHead:
    """The beginning and the end of a CSV file: column names, first row, and whether its last line is complete."""

    columns: tuple[str, ...]
    first_row: tuple[str, ...]
    ends_with_newline: bool

    @property
    def has_rows(self) -> bool:
        """Whether there is anything below the header."""
        return bool(self.first_row)


def unsound(path: Path, what: str, why: str) -> UnsoundTableError:
    """The error for a CSV file that cannot be read whole."""
    return UnsoundTableError(what, where=path.name, why=why, remedy=_REMEDY)


def parse_header(text: str) -> tuple[str, ...]:
    """Column names from the first line of a CSV file; none if it cannot be read as one."""
    try:
        line = next(csv.reader(io.StringIO(text, newline="")), [])
    except csv.Error:
        return ()
    return tuple(name.strip() for name in line)


def read_head(path: Path) -> CsvHead:
    """A file's header and first row. Raises UnsoundTableError for an empty file or an unusable header."""
    with path.open("rb") as stream:
        lines = _first_lines(stream)
        size = stream.seek(0, io.SEEK_END)
        if not size:
            raise unsound(path, "empty file", "it has 0 bytes")
        stream.seek(size - 1)
        complete = stream.read(1) == b"\n"
    try:
        header, row = (line.decode("utf-8-sig") for line in lines)
    except UnicodeDecodeError as error:
        raise unsound(path, "header is not UTF-8", str(error)) from error
    columns = parse_header(header)
    _check_header(path, columns)
    return CsvHead(columns, _first_row(path, row), complete)


def _first_row(path: Path, line: str) -> tuple[str, ...]:
    try:
        return tuple(next(csv.reader([line]), []))
    except csv.Error as error:
        raise unsound(path, "first row cannot be read", str(error)) from error


def _first_lines(stream: io.BufferedReader) -> tuple[bytes, bytes]:
    """The header, and the first line below it that is not blank."""
    header = stream.readline(_LINE)
    row = stream.readline(_LINE)
    while row and not row.strip():
        row = stream.readline(_LINE)
    return header, row


def _check_header(path: Path, columns: tuple[str, ...]) -> None:
    if not any(columns):
        raise unsound(path, "no header", "the first line is blank or no CSV")
    repeated = sorted({name for name in columns if columns.count(name) > 1}) if len(set(columns)) < len(columns) else []
    if repeated:
        raise unsound(path, "duplicate columns", f"the header names {', '.join(repeated)} more than once")


class _RaggedRows:
    """Collects rows that have not as many values as the header has names."""

    def __init__(self) -> None:
        self.count = 0
        self.first: pacsv.InvalidRow | None = None

    def __call__(self, row: pacsv.InvalidRow) -> str:
        self.count += 1
        self.first = self.first or row
        return "skip"

    def check(self, path: Path) -> None:
        if self.first is not None:
            found, expected = self.first.actual_columns, self.first.expected_columns
            what = "cut short" if found < expected else "ragged row"
            raise unsound(path, what, f"{self.count} row(s) with {found} of {expected} values")


def _open(
    path: Path, columns: tuple[str, ...], types: dict[str, pa.DataType], ragged: _RaggedRows
) -> Iterator[pa.RecordBatch]:
    try:
        reader = pacsv.open_csv(
            path,
            pacsv.ReadOptions(column_names=list(columns), skip_rows=1, block_size=_BLOCK),
            pacsv.ParseOptions(invalid_row_handler=ragged),
            pacsv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[""], strings_can_be_null=True
            ),
        )
    except pa.ArrowInvalid as error:
        # Arrow reads the first block when it opens a file, and refuses one in which no whole row is left.
        ragged.check(path)
        if _no_rows(path):
            return
        raise _BadValueError(str(error)) from error
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except pa.ArrowInvalid as error:
            raise _BadValueError(str(error)) from error
        yield batch


class _BadValueError(Exception):
    """A value that Arrow cannot read as its column's type."""


def _no_rows(path: Path) -> bool:
    with path.open("rb") as stream:
        return not _first_lines(stream)[1].strip()


def read_text(path: Path, columns: tuple[str, ...], wanted: tuple[str, ...]) -> pa.Table:
    """The wanted columns as text; blank values are null. Raises UnsoundTableError for rows that are not whole."""
    types = {name: pa.string() for name in wanted}
    ragged = _RaggedRows()
    try:
        batches = list(_open(path, columns, types, ragged))
    except _BadValueError as error:
        raise unsound(path, "not readable as CSV", str(error).splitlines()[0]) from error
    ragged.check(path)
    return pa.Table.from_batches(batches, pa.schema(list(types.items())))


def stream(path: Path, columns: tuple[str, ...], schema: pa.Schema, repairs: list[Repair]) -> Iterator[pa.RecordBatch]:
    """Streams the columns of `schema`, typed by it; repairs of odd values are added to `repairs`.

    Arrow reads the types directly. Where a value is not of its type, the rest of the file is read as text and each
    value taken for what it means; what has no meaning raises UnsoundTableError, as do rows that are not whole.
    """
    ragged = _RaggedRows()
    done = 0
    try:
        for batch in _open(path, columns, dict(zip(schema.names, schema.types, strict=True)), ragged):
            done += batch.num_rows
            yield batch
    except _BadValueError:
        yield from _mended(path, columns, schema, done, repairs)
        return
    ragged.check(path)


def _mended(
    path: Path, columns: tuple[str, ...], schema: pa.Schema, done: int, repairs: list[Repair]
) -> Iterator[pa.RecordBatch]:
    table = read_text(path, columns, tuple(schema.names)).slice(done)
    arrays = []
    for field in schema:
        text = table[field.name]
        if pa.types.is_string(field.type):
            arrays.append(text)
            continue
        try:
            arrays.append(pc.cast(text, field.type))
        except pa.ArrowInvalid:
            numbers, found = numbers_from_text(field.name, text, field.type, path.name)
            repairs.extend(found)
            arrays.append(numbers)
    yield from pa.table(arrays, schema).to_batches()
