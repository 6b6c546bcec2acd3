"""The head of a CSV file: what its first lines tell of the table below them, and whether its last one is complete."""

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
_IMAGE_GROUP, _NUMBER_OBJECT_NUMBER = "Image", "Number_Object_Number"
_OTHER_DELIMITERS = {";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass(frozen=True, slots=True)
class CsvShape:
    """How a CSV file's lines are to be read: the names of its columns, and the lines that they take.

    `own` has those columns that make the table, by the table's names for them; all, where it is None. Rows without a
    number in the column `filled` are of other tables in the same file.
    """

    columns: tuple[str, ...]
    header_lines: int = 1
    own: Mapping[str, str] | None = None
    filled: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The table's column names."""
        return self.columns if self.own is None else tuple(self.own)

    def in_file(self, name: str) -> str:
        """A column's name in the file, by the table's name for it."""
        return name if self.own is None else self.own[name]


@dataclass(frozen=True, slots=True)
class CsvHead:
    """The beginning and the end of a CSV file: its shape, the first row, and whether its last line is complete.

    `row` is the row's line, empty where there is none. `ends_with_newline` is None where the end is not there yet.
    """

    shape: CsvShape
    row: str
    ends_with_newline: bool | None

    @property
    def has_rows(self) -> bool:
        """Whether there is anything below the header."""
        return bool(self.row)

    def first_row(self) -> dict[str, str]:
        """The first row's values by the table's names."""
        by_column = dict(zip(self.shape.columns, _values(self.row), strict=False))
        if self.shape.own is None:
            return by_column
        in_file = {name: self.shape.in_file(name) for name in self.shape.names}
        return {name: by_column[column] for name, column in in_file.items() if column in by_column}

    def texts(self) -> dict[str, str]:
        """Those of the first row's values that are text rather than a number or nothing, by the table's names."""
        return {} if are_numbers(self.row) else text_values(self.first_row())


class PartialHeadError(Exception):
    """So little of a file is there that its first row may go on."""


def unsound(path: Path, what: str, why: str) -> InvalidTableError:
    """The error for a CSV file that cannot be read whole."""
    return InvalidTableError(what, where=path.name, why=why, remedy=_REMEDY)


@functools.lru_cache(maxsize=HEADERS)
def parse_header(text: str) -> tuple[str, ...]:
    """Column names from the first line of a CSV file; none if it cannot be read as one."""
    try:
        with field_limit_for(text):
            names = tuple(next(csv.reader(io.StringIO(text, newline="")), []))
    except csv.Error:
        return ()
    # A name may have blanks around it; where each has one in front, `, ` stands between them.
    return tuple(name.strip() for name in names) if all(name.startswith(" ") for name in names[1:]) else names


def read_head(path: Path, size: int = 0) -> CsvHead:
    """A file's header and first row, of which not all `size` bytes may be there yet.

    Raises InvalidTableError for an empty file or an unusable header, PartialHeadError.
    """
    (header, row), complete = _ends(path, 1, size)
    columns = _header(path, header)
    _check_header(path, columns)
    shape = _shape(columns)
    return CsvHead(shape, _readable(path, row), complete)


@functools.lru_cache(maxsize=HEADERS)
def _shape(columns: tuple[str, ...]) -> CsvShape:
    """The one shape of all files with this header."""
    return CsvShape(columns)


def read_combined_head(path: Path, label: str, size: int = 0) -> CsvHead:
    """The head of one table among several that stand side by side under a header of two rows, table names above.

    `label` is the table's name there. As CellProfiler's ExportToSpreadsheet has it, all share the ObjectNumber that
    stands below the first, and columns of the image; where a table has fewer objects than others, it is NaN or blank.
    Raises InvalidTableError, PartialHeadError.
    """
    (above, below, row), complete = _ends(path, 2, size)
    groups, names = _header(path, above), _header(path, below)
    if len(groups) != len(names):
        raise unsound(path, "ragged header", f"its rows have {len(groups)} and {len(names)} names")
    pairs = list(zip(groups, names, strict=True))
    columns = tuple(f"{group}/{name}" for group, name in pairs)
    _check_header(path, columns)
    number = next((f"{group}/{name}" for group, name in pairs if name == OBJECT_NUMBER), None)
    measured = {name: f"{group}/{name}" for group, name in pairs if group == label and name != OBJECT_NUMBER}
    shared = {name: f"{group}/{name}" for group, name in pairs if group == _IMAGE_GROUP}
    if not measured or number is None or IMAGE_NUMBER not in shared:
        raise unsound(path, f"no columns of {label}", f"its header has those of {', '.join(sorted(set(groups)))}")
    own = {IMAGE_NUMBER: shared[IMAGE_NUMBER], OBJECT_NUMBER: number} | shared | measured
    filled = measured.get(_NUMBER_OBJECT_NUMBER, next(iter(measured.values())))
    shape = CsvShape(columns, 2, own, filled)
    return CsvHead(shape, _readable(path, row), complete)


def _ends(path: Path, header_lines: int, size: int) -> tuple[tuple[str, ...], bool | None]:
    """The header's lines and the first one below it that is not blank; and whether the last line is complete."""
    with path.open("rb", buffering=_FIRST_BYTES) as stream:
        # First of all: more may be added to the file while its lines are read.
        here = stream.seek(0, io.SEEK_END)
        complete = None if here < size else _ends_with_newline(path, stream, here)
        stream.seek(0)
        lines = _first_lines(stream, header_lines)
    if here < size and not lines[-1].endswith(b"\n"):
        raise PartialHeadError
    try:
        return tuple(line.decode("utf-8-sig") for line in lines), complete
    except UnicodeDecodeError as error:
        raise unsound(path, "header is not UTF-8", str(error)) from error


def ends_with_newline(path: Path) -> bool:
    """Whether a file's last line is complete. Raises InvalidTableError for an empty file."""
    with path.open("rb", buffering=0) as stream:
        return _ends_with_newline(path, stream, stream.seek(0, io.SEEK_END))


def _ends_with_newline(path: Path, stream: BinaryIO, size: int) -> bool:
    if not size:
        raise unsound(path, "empty file", "it has 0 bytes")
    stream.seek(size - 1)
    return stream.read(1) == b"\n"


def has_no_rows(path: Path, shape: CsvShape) -> bool:
    """Whether there is nothing below the header."""
    with path.open("rb") as stream:
        return not _first_lines(stream, shape.header_lines)[-1].strip()


def _first_lines(stream: BinaryIO, header_lines: int) -> tuple[bytes, ...]:
    header = [stream.readline(LONGEST_FIELD) for _ in range(header_lines)]
    row = stream.readline(LONGEST_FIELD)
    while row and not row.strip():
        row = stream.readline(LONGEST_FIELD)
    return (*header, row)


def _values(line: str) -> list[str]:
    # Rows of plain numbers are read at once; there is one of thousands of values in each of thousands of files.
    if '"' not in line:
        return line.rstrip("\r\n").split(",") if line else []
    with field_limit_for(line):
        return next(csv.reader([line]), [])


def _readable(path: Path, row: str) -> str:
    """The row's line. Raises InvalidTableError where it is none."""
    try:
        if '"' in row:
            _values(row)
    except csv.Error as error:
        raise unsound(path, "first row cannot be read", str(error)) from error
    return row


def _header(path: Path, line: str) -> tuple[str, ...]:
    columns = parse_header(line)
    if not any(name.strip() for name in columns):
        raise unsound(path, "no header", "the first line is blank or no CSV")
    if len(columns) == 1:
        other = next((name for mark, name in _OTHER_DELIMITERS.items() if mark in line), None)
        if other:
            raise unsound(path, "wrong delimiter", f"values are separated by {other}s, not commas")
    return columns


def _check_header(path: Path, columns: tuple[str, ...]) -> None:
    repeated = _repeated(columns)
    if repeated:
        raise unsound(path, "duplicate columns", f"the header names {', '.join(repeated)} more than once")


@functools.lru_cache(maxsize=HEADERS)
def _repeated(columns: tuple[str, ...]) -> list[str]:
    return sorted(name for name, count in Counter(columns).items() if count > 1)
