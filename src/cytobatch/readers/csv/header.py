"""The head of a CSV file: the columns and the first row of its table, and whether its last line is complete."""

import csv
import functools
import io
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from cytobatch.errors import InvalidTableError
from cytobatch.planning.columns import HEADERS, IMAGE_NUMBER, OBJECT_NUMBER
from cytobatch.readers.csv.columns import HeaderColumns, header_columns
from cytobatch.readers.csv.dialect import (
    PLAIN,
    CsvDialect,
    delimiter_of,
    ends_lines_with_returns,
    examine,
    has_decimal_commas,
    is_plain,
    is_separator_line,
    open_text,
    split_line,
    with_decimal_point,
)
from cytobatch.readers.csv.field_limit import LONGEST_FIELD, field_limit_for
from cytobatch.readers.numbers import are_numbers, text_values

# Header and first row of 2,000 columns, read at once.
_FIRST_BYTES = 128 * 2**10
_REMEDY = "export or copy it again"
CUT_END = ("cut short", "the last line has no end")
"""What is wrong with a file whose last line is incomplete, and why."""
_IMAGE_GROUP, _NUMBER_OBJECT_NUMBER = "Image", "Number_Object_Number"
_ROWS_WITH_DECIMAL_MARKS = 64


@dataclass(frozen=True, slots=True)
class CsvShape:
    """How the lines of a CSV file are read.

    Attributes
    ----------
    columns
        Names of all columns of the file.
    header_lines
        Number of lines above the rows.
    file_columns
        Where the file holds several tables side by side: the file's column by the table's name for it, for the columns
        of this table. None where the table has all columns, under their own names.
    presence_column
        Where the file holds several tables: the file's column that has a number in exactly the rows of this table.
    dialect
        How the bytes of the file become values.
    header
        The columns that are not part of the table, by the reason. None if all columns are.
    """

    columns: tuple[str, ...]
    header_lines: int = 1
    file_columns: Mapping[str, str] | None = None
    presence_column: str | None = None
    dialect: CsvDialect = PLAIN
    header: HeaderColumns | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the table's column names."""
        if self.file_columns is not None:
            return tuple(self.file_columns)
        return self.columns if self.header is None else _without(self.columns, self.header.left_out)

    @property
    def whole_file(self) -> "CsvShape":
        """Return the shape of the file as one table of all its columns."""
        return replace(self, file_columns=None, presence_column=None, header=None)

    def file_column(self, name: str) -> str:
        """Return the name that a column of the table has in the file."""
        return name if self.file_columns is None else self.file_columns[name]


@dataclass(frozen=True, slots=True)
class CsvHead:
    """The beginning and the end of a CSV file.

    Attributes
    ----------
    shape
        How its lines are read.
    row
        The line of the first row, empty if there are no rows.
    ends_with_newline
        Whether the last line is complete; None if the end of the file is not present yet.
    """

    shape: CsvShape
    row: str
    ends_with_newline: bool | None

    @property
    def has_rows(self) -> bool:
        """Return True if there is a row below the header."""
        return bool(self.row)

    def first_row(self) -> dict[str, str]:
        """Return the first row's values by the table's names."""
        by_column = dict(zip(self.shape.columns, _values(self.row), strict=False))
        if self.shape.file_columns is None:
            return (
                by_column
                if self.shape.header is None
                else {name: by_column[name] for name in self.shape.names if name in by_column}
            )
        return {name: by_column[column] for name, column in self.shape.file_columns.items() if column in by_column}

    def texts(self) -> dict[str, str]:
        """Return those of the first row's values, by the table's names, that are not numbers or missing values."""
        return {} if are_numbers(self.row) else text_values(self.first_row())


class PartialHeadError(Exception):
    """So few bytes of a file are present that its first row may continue beyond them."""


def invalid_file(path: Path, what: str, why: str) -> InvalidTableError:
    """Return the error for a CSV file that cannot be read whole."""
    return InvalidTableError(what, where=path.name, why=why, remedy=_REMEDY)


@functools.lru_cache(maxsize=HEADERS)
def parse_header(text: str, delimiter: str = ",") -> tuple[str, ...]:
    """Parse column names from the first line of a CSV file; empty if it is not a line of CSV."""
    try:
        names = tuple(split_line(text, delimiter))
    except csv.Error:
        return ()
    if names and names[-1].endswith("\n"):
        # A quote that is not closed: the last name goes on in the rows.
        return ()
    # A name may have blanks around it. Where every name but the first begins with one, the separator is `, `.
    return tuple(name.strip() for name in names) if all(name.startswith(" ") for name in names[1:]) else names


def read_head(path: Path, size: int = 0) -> CsvHead:
    """Read the head of a CSV file, of whose `size` bytes some may not be present yet.

    Raises InvalidTableError if the file is empty or its header unusable, PartialHeadError if the first row may continue
    beyond the bytes that are present.
    """
    ends = _read_ends(path, 1, size)
    header, row = ends.lines
    shape = _shape(_columns(path, header, ends.dialect), ends.dialect)
    return CsvHead(shape, _checked_row(path, row), ends.complete)


@functools.lru_cache(maxsize=HEADERS)
def _shape(names: tuple[str, ...], dialect: CsvDialect) -> CsvShape:
    """Return one object for all files with this header, because caches of readers compare shapes by identity."""
    header = header_columns(names)
    left_out = header if header.left_out else None
    return CsvShape(header.columns, 1 + dialect.separator_line, dialect=dialect, header=left_out)


@functools.lru_cache(maxsize=HEADERS)
def _without(columns: tuple[str, ...], left_out: frozenset[str]) -> tuple[str, ...]:
    return tuple(column for column in columns if column not in left_out)


def read_combined_head(path: Path, label: str, size: int = 0) -> CsvHead:
    """Read the head of one of several tables side by side, under a header of two rows with table names above.

    `label` is the name of the table there. CellProfiler's ExportToSpreadsheet writes such files: all tables share the
    ObjectNumber that stands below the first of them, and the columns of the image. Where a table has fewer objects than
    others, its values are NaN or blank. Raises InvalidTableError and PartialHeadError as `read_head` does.
    """
    ends = _read_ends(path, 2, size)
    above, below, row = ends.lines
    groups, names = (_columns(path, line, ends.dialect) for line in (above, below))
    shape = _combined_shape(path, label, groups, names)
    header_lines = shape.header_lines + ends.dialect.separator_line
    shape = replace(shape, dialect=ends.dialect, header_lines=header_lines)
    return CsvHead(shape, _checked_row(path, row), ends.complete)


def _combined_shape(path: Path, label: str, groups: tuple[str, ...], names: tuple[str, ...]) -> CsvShape:
    """Return the shape of the table `label`. Raises InvalidTableError if it lacks columns or keys."""
    if len(groups) != len(names):
        raise invalid_file(path, "ragged header", f"its rows have {len(groups)} and {len(names)} names")
    header = header_columns(names, groups)
    left_out = header.left_out
    all_columns = zip(header.columns, groups, names, strict=True)
    part = [(column, group, name) for column, group, name in all_columns if column not in left_out]
    number = next((column for column, _, name in part if name == OBJECT_NUMBER), None)
    measured = {name: column for column, group, name in part if group == label and name != OBJECT_NUMBER}
    shared = {name: column for column, group, name in part if group == _IMAGE_GROUP}
    if not measured or number is None or IMAGE_NUMBER not in shared:
        raise invalid_file(path, f"no columns of {label}", f"its header has those of {', '.join(sorted(set(groups)))}")
    file_columns = {IMAGE_NUMBER: shared[IMAGE_NUMBER], OBJECT_NUMBER: number} | shared | measured
    presence_column = measured.get(_NUMBER_OBJECT_NUMBER, next(iter(measured.values())))
    return CsvShape(header.columns, 2, file_columns, presence_column, header=header if left_out else None)


@dataclass(frozen=True, slots=True)
class _Ends:
    """The lines of a header and the first line below it that is not blank, and whether the last line is complete."""

    lines: tuple[str, ...]
    complete: bool | None
    dialect: CsvDialect = PLAIN


def _read_ends(path: Path, header_lines: int, size: int) -> _Ends:
    """Read the beginning and the end of a file. The row is a line of plain CSV, whatever the dialect of the file."""
    with path.open("rb", buffering=_FIRST_BYTES) as stream:
        # The size comes first, because more may be added to the file while its lines are read.
        present = stream.seek(0, io.SEEK_END)
        complete = None if present < size else _ends_with_newline(path, stream, present)
        stream.seek(0)
        lines = _first_lines(stream, header_lines)
    if any(len(line) >= LONGEST_FIELD for line in lines):
        raise invalid_file(path, "a line that is too long", f"it has {LONGEST_FIELD // 2**20} MiB or more")
    if present < size and not lines[-1].endswith(b"\n"):
        raise PartialHeadError
    if is_plain(lines[0]):
        try:
            header = [line.decode("utf-8-sig") for line in lines[:-1]]
        except UnicodeDecodeError:
            pass
        else:
            if delimiter_of(header[0]) == PLAIN.delimiter:
                # The header decides: whether another encoding matters depends on the columns that are read.
                return _Ends((*header, lines[-1].decode("utf-8", "replace")), complete)
    if present < size:
        raise PartialHeadError
    return _read_examined_ends(path, header_lines)


def _read_examined_ends(path: Path, header_lines: int) -> _Ends:
    """Read the beginning of a file that is not plain, all bytes of which are examined first."""
    dialect, complete = examine(path)
    with open_text(path, dialect) as stream:
        header = [stream.readline(LONGEST_FIELD) for _ in range(header_lines)]
        delimiter = delimiter_of(header[0])
        if is_separator_line(header[0]):
            dialect = replace(dialect, separator_line=True)
            header = [*header[1:], stream.readline(LONGEST_FIELD)]
        lines = (line for line in iter(functools.partial(stream.readline, LONGEST_FIELD), "") if line.strip())
        rows = list(itertools.islice(lines, _ROWS_WITH_DECIMAL_MARKS))
        returns = ends_lines_with_returns(stream)
    try:
        commas = has_decimal_commas(rows, delimiter)
        dialect = replace(dialect, delimiter=delimiter, decimal_comma=commas, returns=returns)
        row = _plain_row(rows[0], dialect) if rows else ""
    except csv.Error as error:
        raise invalid_file(path, "first row cannot be read", str(error)) from error
    return _Ends((*header, row), complete, dialect)


def _plain_row(line: str, dialect: CsvDialect) -> str:
    """Return the line of a row as plain CSV. Raises csv.Error."""
    values = split_line(line, dialect.delimiter)
    if dialect.decimal_comma:
        values = [with_decimal_point(value) for value in values]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def ends_with_newline(path: Path) -> bool:
    """Return True if the last line of a file is complete. Raises InvalidTableError if the file is empty."""
    with path.open("rb", buffering=0) as stream:
        return _ends_with_newline(path, stream, stream.seek(0, io.SEEK_END))


def _ends_with_newline(path: Path, stream: BinaryIO, size: int) -> bool:
    if not size:
        raise invalid_file(path, "empty file", "it has 0 bytes")
    stream.seek(size - 1)
    return stream.read(1) == b"\n"


def has_no_rows(path: Path, shape: CsvShape) -> bool:
    """Return True if there are only blank lines below the header of a file."""
    if shape.dialect != PLAIN:
        with open_text(path, shape.dialect) as lines:
            return not any(line.strip() for line in itertools.islice(lines, shape.header_lines, None))
    with path.open("rb") as stream:
        return not _first_lines(stream, shape.header_lines)[-1].strip()


def _first_lines(stream: BinaryIO, header_lines: int) -> tuple[bytes, ...]:
    """Read the lines of the header and the first line below it that is not blank."""
    header = [stream.readline(LONGEST_FIELD) for _ in range(header_lines)]
    row = stream.readline(LONGEST_FIELD)
    while row and not row.strip():
        row = stream.readline(LONGEST_FIELD)
    return (*header, row)


def _values(line: str) -> list[str]:
    """Parse the values of one line. Raises csv.Error."""
    # Most rows have no quotes, and splitting is faster: there is a row of thousands of values in thousands of files.
    if '"' not in line:
        return line.rstrip("\r\n").split(",") if line else []
    with field_limit_for(line):
        return next(csv.reader([line]), [])


def _checked_row(path: Path, row: str) -> str:
    """Return the line of a row. Raises InvalidTableError if it is not a line of CSV."""
    try:
        if '"' in row:
            _values(row)
    except csv.Error as error:
        raise invalid_file(path, "first row cannot be read", str(error)) from error
    return row


def _columns(path: Path, line: str, dialect: CsvDialect) -> tuple[str, ...]:
    """Return the names in a line of the header. Raises InvalidTableError if it has none."""
    columns = parse_header(line, dialect.delimiter)
    if not any(name.strip() for name in columns):
        raise invalid_file(
            path, "no header", "the first line is blank or not CSV, such as one with a quote that is not closed"
        )
    return columns
