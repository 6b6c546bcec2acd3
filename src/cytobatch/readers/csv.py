"""CSV tables: headers, cut-short files, and typed columns. The schema is given; nothing is sniffed from the rows."""

import csv
import functools
import io
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from cytobatch.columns import IMAGE_NUMBER, OBJECT_NUMBER
from cytobatch.errors import UnsoundTableError
from cytobatch.readers.values import NO, YES, Repair, flags_from_text, read_numbers

_BLOCK = 16 * 2**20
SMALL_FILE, _SMALL_BLOCK = 16 * 2**20, 5 * 2**20
_CACHED_BLOCK, _CACHED_COLUMN = 2 * 2**20, 8 * 2**10
_LINE = 16 * 2**20
# Header and first row of 2,000 columns, read at once.
_FIRST_BYTES = 128 * 2**10
# Thousands of files have few headers between them.
_HEADERS = 64
Value = TypeVar("Value")
_REMEDY = "export or copy it again"
CUT_END = ("cut short", "the last line has no end")
_IMAGE_GROUP, _NUMBER_OBJECT_NUMBER = "Image", "Number_Object_Number"
_OTHER_DELIMITERS = {";": "semicolon", "\t": "tab", "|": "bar"}

# The standard library refuses fields beyond 128 KiB, which image tables with a pipeline in them have.
csv.field_size_limit(_LINE)


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

    `first_row` has the values by the table's names; it is empty where there is no row. `ends_with_newline` is None
    where the end is not there yet.
    """

    shape: CsvShape
    first_row: Mapping[str, str]
    ends_with_newline: bool | None

    @property
    def has_rows(self) -> bool:
        """Whether there is anything below the header."""
        return bool(self.first_row)


class PartialHeadError(Exception):
    """So little of a file is there that its first row may go on."""


def unsound(path: Path, what: str, why: str) -> UnsoundTableError:
    """The error for a CSV file that cannot be read whole."""
    return UnsoundTableError(what, where=path.name, why=why, remedy=_REMEDY)


@functools.lru_cache(maxsize=_HEADERS)
def parse_header(text: str) -> tuple[str, ...]:
    """Column names from the first line of a CSV file; none if it cannot be read as one."""
    try:
        names = tuple(next(csv.reader(io.StringIO(text, newline="")), []))
    except csv.Error:
        return ()
    # A name may have blanks around it; where each has one in front, `, ` stands between them.
    return tuple(name.strip() for name in names) if all(name.startswith(" ") for name in names[1:]) else names


def read_head(path: Path, size: int = 0) -> CsvHead:
    """A file's header and first row, of which not all `size` bytes may be there yet.

    Raises UnsoundTableError for an empty file or an unusable header, PartialHeadError.
    """
    (header, row), complete = _ends(path, 1, size)
    columns = _header(path, header)
    _check_header(path, columns)
    shape = _shape(columns)
    return CsvHead(shape, _first_row(path, row, shape), complete)


@functools.lru_cache(maxsize=_HEADERS)
def _shape(columns: tuple[str, ...]) -> CsvShape:
    """The one shape of all files with this header."""
    return CsvShape(columns)


def read_combined_head(path: Path, label: str, size: int = 0) -> CsvHead:
    """The head of one table among several that stand side by side under a header of two rows, table names above.

    `label` is the table's name there. As CellProfiler's ExportToSpreadsheet has it, all share the ObjectNumber that
    stands below the first, and columns of the image; where a table has fewer objects than others, it is NaN or blank.
    Raises UnsoundTableError, PartialHeadError.
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
    return CsvHead(shape, _first_row(path, row, shape), complete)


def _ends(path: Path, header_lines: int, size: int) -> tuple[tuple[str, ...], bool | None]:
    """The header's lines and the first one below it that is not blank; and whether the last line is complete."""
    with path.open("rb", buffering=_FIRST_BYTES) as stream:
        lines = _first_lines(stream, header_lines)
        here = stream.seek(0, io.SEEK_END)
    if here < size and not lines[-1].endswith(b"\n"):
        raise PartialHeadError
    complete = None if here < size else ends_with_newline(path)
    try:
        return tuple(line.decode("utf-8-sig") for line in lines), complete
    except UnicodeDecodeError as error:
        raise unsound(path, "header is not UTF-8", str(error)) from error


def ends_with_newline(path: Path) -> bool:
    """Whether a file's last line is complete. Raises UnsoundTableError for an empty file."""
    with path.open("rb", buffering=0) as stream:
        size = stream.seek(0, io.SEEK_END)
        if not size:
            raise unsound(path, "empty file", "it has 0 bytes")
        stream.seek(size - 1)
        return stream.read(1) == b"\n"


def _first_lines(stream: BinaryIO, header_lines: int) -> tuple[bytes, ...]:
    header = [stream.readline(_LINE) for _ in range(header_lines)]
    row = stream.readline(_LINE)
    while row and not row.strip():
        row = stream.readline(_LINE)
    return (*header, row)


def _first_row(path: Path, line: str, shape: CsvShape) -> dict[str, str]:
    try:
        # Rows of plain numbers are read at once; there is one of thousands of values in each of thousands of files.
        values = next(csv.reader([line]), []) if '"' in line else line.rstrip("\r\n").split(",") if line else []
    except csv.Error as error:
        raise unsound(path, "first row cannot be read", str(error)) from error
    by_column = dict(zip(shape.columns, values, strict=False))
    if shape.own is None:
        return by_column
    return {name: by_column[shape.in_file(name)] for name in shape.names if shape.in_file(name) in by_column}


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


@functools.lru_cache(maxsize=_HEADERS)
def _repeated(columns: tuple[str, ...]) -> list[str]:
    return sorted(name for name, count in Counter(columns).items() if count > 1)


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


def _open(path: Path, shape: CsvShape, schema: pa.Schema, ragged: _RaggedRows) -> Iterator[pa.RecordBatch]:
    """Batches with the columns of `schema`, by the table's names."""
    read = _read_small if path.stat().st_size <= SMALL_FILE else _read_blocks
    parsing = pacsv.ParseOptions(invalid_row_handler=ragged)
    try:
        for batch in read(path, parsing, _Itself(shape), _Itself(schema)):
            yield _own_columns(batch, shape, schema)
    except _NothingReadError as error:
        # Arrow refuses a first block in which no whole row is left.
        ragged.check(path)
        if not _no_rows(path, shape):
            raise _BadValueError(str(error)) from error


def _own_columns(batch: pa.RecordBatch, shape: CsvShape, schema: pa.Schema) -> pa.RecordBatch:
    if shape.filled:
        batch = batch.filter(_is_filled(batch[shape.filled])).select([shape.in_file(name) for name in schema.names])
    return batch if shape.own is None else batch.rename_columns(schema.names)


def _read_small(
    path: Path, parsing: pacsv.ParseOptions, shape: "_Itself[CsvShape]", schema: "_Itself[pa.Schema]"
) -> Iterator[pa.RecordBatch]:
    """A file in one block, in the caller's thread: side by side, files are read faster than each by all threads."""
    try:
        table = pacsv.read_csv(path, _read_options(shape, use_threads=False), parsing, _convert_options(shape, schema))
    except pa.ArrowInvalid as error:
        raise _NothingReadError(str(error)) from error
    yield from table.to_batches()


def _read_blocks(
    path: Path, parsing: pacsv.ParseOptions, shape: "_Itself[CsvShape]", schema: "_Itself[pa.Schema]"
) -> Iterator[pa.RecordBatch]:
    """A file block by block, each by Arrow's threads."""
    try:
        reader = pacsv.open_csv(path, _read_options(shape, use_threads=True), parsing, _convert_options(shape, schema))
    except pa.ArrowInvalid as error:
        raise _NothingReadError(str(error)) from error
    while True:
        try:
            yield reader.read_next_batch()
        except StopIteration:
            return
        except pa.ArrowInvalid as error:
            raise _BadValueError(str(error)) from error


class OddValuesError(Exception):
    """Lines that Arrow cannot all read as rows of the types that are asked for."""


def read_lines(lines: pa.Buffer, shape: CsvShape, schema: pa.Schema) -> pa.Table:
    """Lines below a header as one table of columns in one piece, in the caller's thread. Raises OddValuesError."""
    ragged = _RaggedRows()
    converting = _convert_options(_Itself(shape), _Itself(schema))
    # Blocks that stay in the CPU's cache are read faster, but for those of few rows, where columns cost more.
    block = max(_CACHED_BLOCK, _CACHED_COLUMN * len(shape.columns))
    reading = pacsv.ReadOptions(column_names=list(shape.columns), block_size=block, use_threads=False)
    try:
        parsing = pacsv.ParseOptions(invalid_row_handler=ragged)
        table = pacsv.read_csv(pa.BufferReader(lines), reading, parsing, converting)
    except pa.ArrowInvalid as error:
        raise OddValuesError from error
    if ragged.count:
        raise OddValuesError
    return table.combine_chunks()


class _Itself(Generic[Value]):
    """A key that equals only its like of the very same object: comparing thousands of columns takes too long."""

    def __init__(self, value: Value) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


# Making these for thousands of columns takes as long as parsing a small file.
@functools.lru_cache(maxsize=_HEADERS)
def _read_options(shape: _Itself[CsvShape], *, use_threads: bool) -> pacsv.ReadOptions:
    names, lines = list(shape.value.columns), shape.value.header_lines
    size = _BLOCK if use_threads else _SMALL_BLOCK
    return pacsv.ReadOptions(column_names=names, skip_rows=lines, block_size=size, use_threads=use_threads)


@functools.lru_cache(maxsize=_HEADERS)
def _convert_options(shape: _Itself[CsvShape], schema: _Itself[pa.Schema]) -> pacsv.ConvertOptions:
    filled = shape.value.filled
    types = {shape.value.in_file(field.name): field.type for field in schema.value}
    if filled:
        types.setdefault(filled, pa.string())
    return pacsv.ConvertOptions(
        column_types=types, include_columns=list(types), null_values=[""], strings_can_be_null=True,
        true_values=list(YES), false_values=list(NO),
    )  # fmt: skip


def _is_filled(column: pa.Array) -> pa.Array:
    if pa.types.is_string(column.type):
        number = pc.not_equal(pc.utf8_lower(pc.utf8_trim_whitespace(column)), "nan")
    else:
        number = pc.invert(pc.is_nan(column.cast(pa.float64())))
    return pc.fill_null(number, fill_value=False)


class _BadValueError(Exception):
    """A value that Arrow cannot read as its column's type."""


class _NothingReadError(Exception):
    """Arrow read nothing of a file: there is a bad value in its first block, or no whole row."""


def _no_rows(path: Path, shape: CsvShape) -> bool:
    with path.open("rb") as stream:
        return not _first_lines(stream, shape.header_lines)[-1].strip()


def read_text(path: Path, shape: CsvShape, wanted: tuple[str, ...]) -> pa.Table:
    """The wanted columns as text; blank values are null. Raises UnsoundTableError for rows that are not whole."""
    schema = _text_schema(wanted)
    ragged = _RaggedRows()
    try:
        batches = list(_open(path, shape, schema, ragged))
    except _BadValueError as error:
        raise unsound(path, "not readable as CSV", str(error).splitlines()[0]) from error
    ragged.check(path)
    return pa.Table.from_batches(batches, schema)


@functools.lru_cache(maxsize=_HEADERS)
def _text_schema(names: tuple[str, ...]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


def stream(
    path: Path, shape: CsvShape, schema: pa.Schema, repairs: list[Repair], forced: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Streams the columns of `schema`, typed by it; repairs of odd values are added to `repairs`.

    Arrow reads the types directly. Where a value is not of its type, the rest of the file is read as text and each
    value taken for what it means; what has no meaning raises UnsoundTableError, but becomes null in the columns
    `forced`. Rows that are not whole raise it too.
    """
    ragged = _RaggedRows()
    done = 0
    try:
        for batch in _open(path, shape, schema, ragged):
            done += batch.num_rows
            yield batch
    except _BadValueError:
        table = read_text(path, shape, tuple(schema.names)).slice(done)
        yield from _mended(path, table, schema, repairs, forced).to_batches()
        return
    ragged.check(path)


def _mended(path: Path, table: pa.Table, schema: pa.Schema, repairs: list[Repair], forced: Collection[str]) -> pa.Table:
    """Text columns as the types of `schema`."""
    arrays = []
    for field in schema:
        text = table[field.name]
        if pa.types.is_boolean(field.type):
            arrays.append(flags_from_text(field.name, text, path.name))
        elif pa.types.is_string(field.type):
            arrays.append(text)
        else:
            numbers, found = read_numbers(field.name, text, field.type, path.name, otherwise_null=field.name in forced)
            repairs.extend(found)
            arrays.append(numbers)
    return pa.table(arrays, schema)
