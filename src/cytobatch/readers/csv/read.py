"""CSV tables as typed columns. The schema is given; nothing is sniffed from the rows."""

import functools
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from cytobatch.errors import FastPathUnavailable
from cytobatch.planning.columns import HEADERS
from cytobatch.readers.csv.header import CsvShape, has_no_rows, unsound
from cytobatch.readers.numbers import NO, YES, Repair, flags_from_text, read_numbers

_BLOCK = 16 * 2**20
SMALL_FILE, _SMALL_BLOCK = 16 * 2**20, 5 * 2**20
_CACHED_BLOCK, _CACHED_COLUMN = 2 * 2**20, 8 * 2**10
Value = TypeVar("Value")


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
        if not has_no_rows(path, shape):
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


def read_lines(lines: pa.Buffer, shape: CsvShape, schema: pa.Schema) -> pa.Table:
    """Lines below a header as one table of columns in one piece, in the caller's thread.

    Raises FastPathUnavailable where Arrow cannot read all of them as rows of these types.
    """
    ragged = _RaggedRows()
    converting = _convert_options(_Itself(shape), _Itself(schema))
    # Blocks that stay in the CPU's cache are read faster, but for those of few rows, where columns cost more.
    block = max(_CACHED_BLOCK, _CACHED_COLUMN * len(shape.columns))
    reading = pacsv.ReadOptions(column_names=list(shape.columns), block_size=block, use_threads=False)
    try:
        parsing = pacsv.ParseOptions(invalid_row_handler=ragged)
        table = pacsv.read_csv(pa.BufferReader(lines), reading, parsing, converting)
    except pa.ArrowInvalid as error:
        raise FastPathUnavailable("values that are not of their columns' types") from error
    if ragged.count:
        raise FastPathUnavailable("rows of another length than the header")
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
@functools.lru_cache(maxsize=HEADERS)
def _read_options(shape: _Itself[CsvShape], *, use_threads: bool) -> pacsv.ReadOptions:
    names, lines = list(shape.value.columns), shape.value.header_lines
    size = _BLOCK if use_threads else _SMALL_BLOCK
    return pacsv.ReadOptions(column_names=names, skip_rows=lines, block_size=size, use_threads=use_threads)


@functools.lru_cache(maxsize=HEADERS)
def _convert_options(shape: _Itself[CsvShape], schema: _Itself[pa.Schema]) -> pacsv.ConvertOptions:
    filled = shape.value.filled
    types = {shape.value.in_file(field.name): field.type for field in schema.value}
    if filled:
        types.setdefault(filled, pa.string())
    return pacsv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        null_values=[""],
        strings_can_be_null=True,
        true_values=list(YES),
        false_values=list(NO),
    )


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


def read_text(path: Path, shape: CsvShape, wanted: tuple[str, ...]) -> pa.Table:
    """The wanted columns as text; blank values are null. Raises InvalidTableError for rows that are not whole."""
    schema = _text_schema(wanted)
    ragged = _RaggedRows()
    try:
        batches = list(_open(path, shape, schema, ragged))
    except _BadValueError as error:
        raise unsound(path, "not readable as CSV", str(error).splitlines()[0]) from error
    ragged.check(path)
    return pa.Table.from_batches(batches, schema)


@functools.lru_cache(maxsize=HEADERS)
def _text_schema(names: tuple[str, ...]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


def stream(
    path: Path, shape: CsvShape, schema: pa.Schema, repairs: list[Repair], forced: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Streams the columns of `schema`, typed by it; repairs of odd values are added to `repairs`.

    Arrow reads the types directly. Where a value is not of its type, the rest of the file is read as text and each
    value taken for what it means; what has no meaning raises InvalidTableError, but becomes null in the columns
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
