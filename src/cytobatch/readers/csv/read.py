"""CSV tables as typed columns. The schema is given: no type is inferred from the rows."""

import functools
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from cytobatch.config.plural import plural
from cytobatch.errors import FastPathUnavailable
from cytobatch.planning.columns import HEADERS
from cytobatch.planning.schema import is_number_type
from cytobatch.readers.csv.dialect import PLAIN, arrow_input, in_single_bytes, with_decimal_points
from cytobatch.readers.csv.header import CsvShape, has_no_rows, invalid_file
from cytobatch.readers.numbers import NO, YES, Repair, flags_from_text, read_numbers

_BLOCK_BYTES = 16 * 2**20
SMALL_FILE, _SMALL_BLOCK_BYTES = 16 * 2**20, 5 * 2**20
_CACHED_BLOCK_BYTES, _CACHED_COLUMN_BYTES = 2 * 2**20, 8 * 2**10
_NOT_UTF8 = "invalid UTF8"
"""The words in Arrow's message about a text that is not UTF-8."""
Value = TypeVar("Value")


class _RaggedRows:
    """Skips and counts the rows whose number of values differs from the number of columns."""

    def __init__(self) -> None:
        self.count = 0
        self.first: pacsv.InvalidRow | None = None

    def __call__(self, row: pacsv.InvalidRow) -> str:
        self.count += 1
        self.first = self.first or row
        return "skip"

    def check(self, path: Path) -> None:
        """Raise InvalidTableError if there was such a row."""
        if self.first is not None:
            actual, expected = self.first.actual_columns, self.first.expected_columns
            what = "cut short" if actual < expected else "ragged row"
            raise invalid_file(path, what, f"{plural(self.count, 'row')} with {actual} of {expected} values")


class _BadValueError(Exception):
    """Arrow cannot parse a value as its column's type."""


class _FirstBlockError(Exception):
    """Arrow read nothing of a file, because of a bad value in its first block, or because no whole row is in it."""


class _IdentityKey(Generic[Value]):
    """A cache key that equals only a key of the same object: comparing thousands of columns takes too long."""

    def __init__(self, value: Value) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _IdentityKey) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def stream(
    path: Path, shape: CsvShape, schema: pa.Schema, repairs: list[Repair], forced: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Stream columns of a CSV file.

    Arrow parses the types directly. From the first block on that has a value of another type, the file is read as text
    and each value converted by `readers.numbers`.

    Parameters
    ----------
    path
        The file.
    shape
        How its lines are read.
    schema
        The columns and their types.
    repairs
        Gets the texts in numeric columns that were converted.
    forced
        Names of columns in which text that is not a number becomes null.

    Yields
    ------
    Batches under the schema, in the order of the file.

    Raises
    ------
    InvalidTableError
        If a row has too few or too many values, or a value cannot be converted to its column's type.
    """
    ragged = _RaggedRows()
    rows_read = 0
    try:
        for batch in _read_batches(path, shape, schema, ragged):
            rows_read += batch.num_rows
            yield batch
    except _BadValueError:
        table = _read_text(path, shape, tuple(schema.names), _numeric(schema)).slice(rows_read)
        yield from _convert_text(path, table, schema, repairs, forced).to_batches()
        return
    ragged.check(path)


def read_text(path: Path, shape: CsvShape, wanted: tuple[str, ...]) -> pa.Table:
    """Read the wanted columns as text, blank values as null, decimal points in columns of numbers.

    Raises InvalidTableError if a row is not whole, or a value is in no encoding.
    """
    return _read_text(path, shape, wanted, None)


def _read_text(path: Path, shape: CsvShape, wanted: tuple[str, ...], numeric: Collection[str] | None) -> pa.Table:
    """Read the wanted columns as `read_text` does. Those in `numeric` must hold numbers, and no other does."""
    schema = _text_schema(wanted)
    ragged = _RaggedRows()
    try:
        batches = list(_read_batches(path, shape, schema, ragged))
    except _BadValueError as error:
        other = in_single_bytes(path, shape.dialect) if _NOT_UTF8 in str(error) else None
        if other is None:
            raise invalid_file(path, "not readable as CSV", str(error).splitlines()[0]) from error
        return _read_text(path, replace(shape, dialect=other), wanted, numeric)
    ragged.check(path)
    table = pa.Table.from_batches(batches, schema)
    return with_decimal_points(path, table, numeric) if shape.dialect.decimal_comma else table


def _numeric(schema: pa.Schema) -> frozenset[str]:
    return frozenset(f.name for f in schema if is_number_type(f.type))


def read_lines(lines: pa.Buffer, shape: CsvShape, schema: pa.Schema) -> pa.Table:
    """Read the lines below a header in the caller's thread.

    Parameters
    ----------
    lines
        Whole lines. No column of the result refers to them.
    shape
        How the lines are read.
    schema
        The columns and their types.

    Returns
    -------
    A table of one chunk for each column.

    Raises
    ------
    FastPathUnavailable
        If Arrow cannot parse all lines as rows of these types.
    """
    ragged = _RaggedRows()
    converting = _convert_options(_IdentityKey(shape), _IdentityKey(schema))
    # Blocks that stay in the CPU's cache are read faster, except those of few rows, because columns then cost more.
    block = max(_CACHED_BLOCK_BYTES, _CACHED_COLUMN_BYTES * len(shape.columns))
    reading = pacsv.ReadOptions(column_names=list(shape.columns), block_size=block, use_threads=False)
    try:
        parsing = pacsv.ParseOptions(invalid_row_handler=ragged)
        table = pacsv.read_csv(pa.BufferReader(lines), reading, parsing, converting)
    except pa.ArrowInvalid as error:
        raise FastPathUnavailable(f"Arrow cannot parse the lines: {str(error).splitlines()[0]}") from error
    if ragged.count:
        raise FastPathUnavailable("a row has more or fewer values than the header has columns")
    return table.combine_chunks()


def _read_batches(path: Path, shape: CsvShape, schema: pa.Schema, ragged: _RaggedRows) -> Iterator[pa.RecordBatch]:
    """Yield batches under the schema. Raises _BadValueError, InvalidTableError; ragged rows go to `ragged`."""
    is_small = shape.dialect == PLAIN and path.stat().st_size <= SMALL_FILE
    read = _read_small if is_small else _read_blocks
    parsing = pacsv.ParseOptions(delimiter=shape.dialect.delimiter, invalid_row_handler=ragged)
    try:
        for batch in read(path, parsing, _IdentityKey(shape), _IdentityKey(schema)):
            yield _select_table(batch, shape, schema)
    except OSError as error:
        # Arrow finds other damage in gzip's data than Python, and has no class of its own for it.
        if error.errno is not None or not shape.dialect.compressed:
            raise
        raise invalid_file(path, "damaged gzip data", str(error)) from error
    except _FirstBlockError as error:
        # Arrow also fails on a first block of ragged rows only, all of which are skipped.
        ragged.check(path)
        if not has_no_rows(path, shape):
            raise _BadValueError(str(error)) from error


def _read_small(
    path: Path, parsing: pacsv.ParseOptions, shape: _IdentityKey[CsvShape], schema: _IdentityKey[pa.Schema]
) -> Iterator[pa.RecordBatch]:
    """Read a file in one block, in the caller's thread: files side by side are faster than each by all threads."""
    try:
        source = arrow_input(path, shape.value.dialect)
        table = pacsv.read_csv(
            source, _read_options(shape, use_threads=False), parsing, _convert_options(shape, schema)
        )
    except pa.ArrowInvalid as error:
        raise _FirstBlockError(str(error)) from error
    yield from table.to_batches()


def _read_blocks(
    path: Path, parsing: pacsv.ParseOptions, shape: _IdentityKey[CsvShape], schema: _IdentityKey[pa.Schema]
) -> Iterator[pa.RecordBatch]:
    """Read a file block by block, each by Arrow's threads."""
    try:
        source = arrow_input(path, shape.value.dialect)
        reader = pacsv.open_csv(
            source, _read_options(shape, use_threads=True), parsing, _convert_options(shape, schema)
        )
    except pa.ArrowInvalid as error:
        raise _FirstBlockError(str(error)) from error
    while True:
        try:
            yield reader.read_next_batch()
        except StopIteration:
            return
        except pa.ArrowInvalid as error:
            raise _BadValueError(str(error)) from error


def _select_table(batch: pa.RecordBatch, shape: CsvShape, schema: pa.Schema) -> pa.RecordBatch:
    """Select the rows of the table from a file of several tables, and name its columns as the schema does."""
    if shape.presence_column:
        is_present = _has_number(batch[shape.presence_column])
        batch = batch.filter(is_present).select([shape.file_column(name) for name in schema.names])
    return batch if shape.file_columns is None else batch.rename_columns(schema.names)


def _has_number(column: pa.Array) -> pa.Array:
    """Return which values are neither null nor NaN: bool, (rows,), for a column of text or numbers."""
    if pa.types.is_string(column.type):
        is_number = pc.not_equal(pc.utf8_lower(pc.utf8_trim_whitespace(column)), "nan")
    else:
        is_number = pc.invert(pc.is_nan(column.cast(pa.float64())))
    return pc.fill_null(is_number, fill_value=False)


# Making these for thousands of columns takes as long as parsing a small file.
@functools.lru_cache(maxsize=HEADERS)
def _read_options(shape: _IdentityKey[CsvShape], *, use_threads: bool) -> pacsv.ReadOptions:
    names, header_lines = list(shape.value.columns), shape.value.header_lines
    size = _BLOCK_BYTES if use_threads else _SMALL_BLOCK_BYTES
    encoding = shape.value.dialect.encoding
    return pacsv.ReadOptions(
        column_names=names, skip_rows=header_lines, block_size=size, use_threads=use_threads, encoding=encoding
    )


@functools.lru_cache(maxsize=HEADERS)
def _convert_options(shape: _IdentityKey[CsvShape], schema: _IdentityKey[pa.Schema]) -> pacsv.ConvertOptions:
    presence_column = shape.value.presence_column
    types = {shape.value.file_column(field.name): field.type for field in schema.value}
    if presence_column:
        types.setdefault(presence_column, pa.string())
    return pacsv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        null_values=[""],
        strings_can_be_null=True,
        true_values=list(YES),
        false_values=list(NO),
        decimal_point="," if shape.value.dialect.decimal_comma else ".",
    )


@functools.lru_cache(maxsize=HEADERS)
def _text_schema(names: tuple[str, ...]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


def _convert_text(
    path: Path, table: pa.Table, schema: pa.Schema, repairs: list[Repair], forced: Collection[str]
) -> pa.Table:
    """Convert columns of text to the types of the schema, as `stream` does."""
    arrays = []
    for field in schema:
        texts = table[field.name]
        if pa.types.is_boolean(field.type):
            arrays.append(flags_from_text(field.name, texts, path.name))
        elif pa.types.is_string(field.type):
            arrays.append(texts)
        else:
            numbers, repaired = read_numbers(
                field.name, texts, field.type, path.name, otherwise_null=field.name in forced
            )
            repairs.extend(repaired)
            arrays.append(numbers)
    return pa.table(arrays, schema)
