"""The head of a CSV file: the columns and the first row of its table, and whether its last line is complete."""

import csv
import functools
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cytobatch.errors import InvalidTableError
from cytobatch.planning.columns import HEADERS, IMAGE_NUMBER, OBJECT_NUMBER
from cytobatch.readers.csv.field_limit import LONGEST_FIELD, field_limit_for
from cytobatch.readers.numbers import are_numbers, text_values

# Header and first row of 2,000 columns, read at once.
_FIRST_BYTES = 128 * 2**10
_REMEDY = "export or copy it again"
CUT_END = ("cut short", "the last line has no end")
"""What is wrong with a file whose last line is incomplete, and why."""
_IMAGE_GROUP, _NUMBER_OBJECT_NUMBER = "Image", "Number_Object_Number"
_OTHER_DELIMITERS = {";": "semicolon", "\t": "tab", "|": "bar"}


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
    """

    columns: tuple[str, ...]
    header_lines: int = 1
    file_columns: Mapping[str, str] | None = None
    presence_column: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the table's column names."""
        return self.columns if self.file_columns is None else tuple(self.file_columns)

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
            return by_column
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
def parse_header(text: str) -> tuple[str, ...]:
    """Parse column names from the first line of a CSV file; empty if it is not a line of CSV."""
    try:
        with field_limit_for(text):
            names = tuple(next(csv.reader(io.StringIO(text, newline="")), []))
    except csv.Error:
        return ()
    # A name may have blanks around it. Where every name but the first begins with one, the separator is `, `.
    return tuple(name.strip() for name in names) if all(name.startswith(" ") for name in names[1:]) else names


def read_head(path: Path, size: int = 0) -> CsvHead:
    """Read the head of a CSV file, of whose `size` bytes some may not be present yet.

    Raises InvalidTableError if the file is empty or its header unusable, PartialHeadError if the first row may continue
    beyond the bytes that are present.
    """
    (header, row), complete = _read_ends(path, 1, size)
    columns = _columns(path, header)
    _check_duplicates(path, columns)
    return CsvHead(_shape(columns), _checked_row(path, row), complete)


@functools.lru_cache(maxsize=HEADERS)
def _shape(columns: tuple[str, ...]) -> CsvShape:
    """Return one object for all files with this header, because caches of readers compare shapes by identity."""
    return CsvShape(columns)


def read_combined_head(path: Path, label: str, size: int = 0) -> CsvHead:
    """Read the head of one of several tables side by side, under a header of two rows with table names above.

    `label` is the name of the table there. CellProfiler's ExportToSpreadsheet writes such files: all tables share the
    ObjectNumber that stands below the first of them, and the columns of the image. Where a table has fewer objects than
    others, its values are NaN or blank. Raises InvalidTableError and PartialHeadError as `read_head` does.
    """
    (above, below, row), complete = _read_ends(path, 2, size)
    shape = _combined_shape(path, label, _columns(path, above), _columns(path, below))
    return CsvHead(shape, _checked_row(path, row), complete)


def _combined_shape(path: Path, label: str, groups: tuple[str, ...], names: tuple[str, ...]) -> CsvShape:
    """Return the shape of the table `label`. Raises InvalidTableError if it lacks columns or keys."""
    if len(groups) != len(names):
        raise invalid_file(path, "ragged header", f"its rows have {len(groups)} and {len(names)} names")
    pairs = list(zip(groups, names, strict=True))
    columns = tuple(f"{group}/{name}" for group, name in pairs)
    _check_duplicates(path, columns)
    number = next((f"{group}/{name}" for group, name in pairs if name == OBJECT_NUMBER), None)
    measured = {name: f"{group}/{name}" for group, name in pairs if group == label and name != OBJECT_NUMBER}
    shared = {name: f"{group}/{name}" for group, name in pairs if group == _IMAGE_GROUP}
    if not measured or number is None or IMAGE_NUMBER not in shared:
        raise invalid_file(path, f"no columns of {label}", f"its header has those of {', '.join(sorted(set(groups)))}")
    file_columns = {IMAGE_NUMBER: shared[IMAGE_NUMBER], OBJECT_NUMBER: number} | shared | measured
    presence_column = measured.get(_NUMBER_OBJECT_NUMBER, next(iter(measured.values())))
    return CsvShape(columns, 2, file_columns, presence_column)


def _read_ends(path: Path, header_lines: int, size: int) -> tuple[tuple[str, ...], bool | None]:
    """Read the lines of the header, the first line below it that is not blank, and whether the last is complete."""
    with path.open("rb", buffering=_FIRST_BYTES) as stream:
        # The size comes first, because more may be added to the file while its lines are read.
        present = stream.seek(0, io.SEEK_END)
        complete = None if present < size else _ends_with_newline(path, stream, present)
        stream.seek(0)
        lines = _first_lines(stream, header_lines)
    if present < size and not lines[-1].endswith(b"\n"):
        raise PartialHeadError
    try:
        return tuple(line.decode("utf-8-sig") for line in lines), complete
    except UnicodeDecodeError as error:
        raise invalid_file(path, "header is not UTF-8", str(error)) from error


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


def _columns(path: Path, line: str) -> tuple[str, ...]:
    """Return the names in a line of the header. Raises InvalidTableError if it has none, or another delimiter."""
    columns = parse_header(line)
    if not any(name.strip() for name in columns):
        raise invalid_file(path, "no header", "the first line is blank or not CSV")
    if len(columns) == 1:
        other = next((name for mark, name in _OTHER_DELIMITERS.items() if mark in line), None)
        if other:
            raise invalid_file(path, "wrong delimiter", f"values are separated by {other}s, not commas")
    return columns


def _check_duplicates(path: Path, columns: tuple[str, ...]) -> None:
    repeated = _repeated(columns)
    if repeated:
        raise invalid_file(path, "duplicate columns", f"the header names {', '.join(repeated)} more than once")


@functools.lru_cache(maxsize=HEADERS)
def _repeated(columns: tuple[str, ...]) -> list[str]:
    return sorted(name for name, count in Counter(columns).items() if count > 1)
