"""SQLite's records as Arrow columns: the bytes of all rows at once.

A record is a header with the serial types of its values, and the values. Numbers without a fraction are stored as
integers of one to eight bytes even in columns of floats, so that a column's values have another offset in each row. The
format: https://www.sqlite.org/fileformat2.html#record_format
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.sqlite.affinity import Value, ValueCoercer
from cytobatch.readers.sqlite.native.arrays import BoolArray, Int64Array, sliding_values
from cytobatch.readers.sqlite.native.btree import Records
from cytobatch.readers.sqlite.native.serial_types import (
    FIRST_BLOB,
    FIRST_TEXT,
    FIXED_LENGTHS,
    FLOAT,
    NULL,
    ONE,
    WRONG_END,
    ZERO,
    SerialTypes,
    parse_headers,
    value_lengths,
)

_COLUMNS_PER_BLOCK = 64
_MAX_TEXT_BYTES = 2**31 - 1

NumberArray = npt.NDArray[np.float64] | npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _ColumnBlock:
    """Neighbouring columns of one Arrow type, which are decoded at once.

    Attributes
    ----------
    first
        Position of the first column among the values of a record.
    indices
        Index of each column in the schema.
    names
        Name of each column.
    type
        Arrow type of all of them.
    """

    first: int
    indices: tuple[int, ...]
    names: tuple[str, ...]
    type: pa.DataType

    @property
    def positions(self) -> slice:
        return slice(self.first, self.first + len(self.indices))


class ColumnSelection:
    """The columns to decode: their positions in records of `total` values, and the schema that they become."""

    def __init__(self, positions: Sequence[int], total: int, schema: pa.Schema) -> None:
        self.total = total
        self.schema = schema
        self.blocks = tuple(_blocks(positions, schema))


def _blocks(positions: Sequence[int], schema: pa.Schema) -> Iterator[_ColumnBlock]:
    """Group the columns of a schema into blocks, in the order of their positions."""
    names, types = schema.names, schema.types
    ordered = sorted(range(len(names)), key=positions.__getitem__)
    begin = 0
    for end in range(1, len(ordered) + 1):
        first, last = ordered[begin], ordered[end - 1]
        has_room = end < len(ordered) and end - begin < _COLUMNS_PER_BLOCK
        if has_room and positions[ordered[end]] == positions[last] + 1 and types[ordered[end]] == types[first]:
            continue
        indices = tuple(ordered[begin:end])
        yield _ColumnBlock(positions[first], indices, tuple(names[index] for index in indices), types[first])
        begin = end


def decode_columns(records: Records, selection: ColumnSelection, coercer: ValueCoercer) -> pa.RecordBatch:
    """Decode columns of records.

    Parameters
    ----------
    records
        Bytes of the rows.
    selection
        The columns, of the types int64, float64 and string.
    coercer
        Converts values that are not of their column's type, and counts them.

    Returns
    -------
    The selected columns under their schema, a row for each record. Nothing in it refers to the records' buffer.

    Raises
    ------
    FastPathUnavailable
        If a record is damaged, or has another number of values than the table has columns.
    InvalidTableError
        If an integer column holds a fraction or too large a number, as `ValueCoercer.number` does.
    """
    schema = selection.schema
    if not len(records.sizes):
        return pa.RecordBatch.from_arrays([pa.array([], type_) for type_ in schema.types], schema=schema)
    decoder = _RecordDecoder(records, selection.total, coercer)
    arrays: list[pa.Array | None] = [None] * len(schema)
    for block in selection.blocks:
        for index, array in zip(block.indices, decoder.arrays(block), strict=True):
            arrays[index] = array
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class _RecordDecoder:
    """The serial types and offsets of all values of some records, and Arrow arrays of their columns.

    Serial types are integers, (rows, columns); lengths likewise; ends are int32, (rows, columns), from the beginning of
    each record.
    """

    def __init__(self, records: Records, total: int, coercer: ValueCoercer) -> None:
        self._coercer = coercer
        self._rows = len(records.sizes)
        self._buffer = records.content.reshape(-1)
        self._row_offsets = (np.arange(self._rows) * records.content.shape[1])[:, None]
        header_sizes, self._types = parse_headers(records, total)
        self._lengths = value_lengths(self._types)
        self._ends = np.cumsum(self._lengths, axis=1, dtype=np.int32)
        self._ends += header_sizes[:, None].astype(np.int32)
        if (self._ends[:, -1] != records.sizes).any():
            raise FastPathUnavailable(WRONG_END)

    def arrays(self, block: _ColumnBlock) -> Iterator[pa.Array]:
        """Decode the columns of a block."""
        types = self._types[:, block.positions]
        if pa.types.is_string(block.type):
            offsets = self._offsets(block.positions)
            return (self._texts(offsets[:, n], types[:, n], name) for n, name in enumerate(block.names))
        if pa.types.is_float64(block.type) and (types == FLOAT).all():
            values, nulls = self._floats(block.positions)
        else:
            values, nulls = self._numbers(block, np.ascontiguousarray(types.T))
        if pa.types.is_float64(block.type) and np.isnan(values).any():
            # SQLite has no NaN: it reads null.
            nulls = np.isnan(values) | (False if nulls is None else nulls)
        return _to_arrow(values, nulls, block.type)

    def _offsets(self, positions: slice) -> Int64Array:
        """Return where the values of some columns begin in the buffer: int64, (rows, columns)."""
        offsets: Int64Array = self._row_offsets + self._ends[:, positions] - self._lengths[:, positions]
        return offsets

    def _floats(self, positions: slice) -> tuple[NumberArray, BoolArray | None]:
        """Decode columns that are floats in all rows, so that they are contiguous in each.

        Parameters
        ----------
        positions
            Positions of the columns in a record.

        Returns
        -------
        float64, (columns, rows); and None, because no value is null.
        """
        width = positions.stop - positions.start
        offsets = self._offsets(slice(positions.start, positions.start + 1))[:, 0]
        contiguous = sliding_values(self._buffer, f"V{8 * width}")[offsets].view(">f8").reshape(self._rows, width)
        values = np.empty((width, self._rows), np.float64)
        values[...] = contiguous.T
        return values, None

    def _numbers(self, block: _ColumnBlock, types: SerialTypes) -> tuple[NumberArray, BoolArray | None]:
        """Decode columns of numbers whose values are floats, integers of any length, or other values, row by row.

        Parameters
        ----------
        block
            Columns of the type int64 or float64.
        types
            Serial types, integers, (columns, rows).

        Returns
        -------
        The values, float64 or int64, (columns, rows), 0 where null; and which are null, bool, (columns, rows), or None.

        Raises
        ------
        InvalidTableError
            If a column of integers holds a fraction or too large a number.
        """
        to_floats = pa.types.is_float64(block.type)
        offsets = np.ascontiguousarray(self._offsets(block.positions).T)
        words = sliding_values(self._buffer, ">i8")[offsets].astype(np.int64)
        foreign = types >= FIRST_BLOB if to_floats else (types >= FIRST_BLOB) | (types == FLOAT)
        integers = np.flatnonzero((types != FLOAT) & ~foreign)
        integer_types = types.reshape(-1)[integers]
        # A word has the eight bytes from the value's offset on; the value is the first of them.
        shifted = words.reshape(-1)[integers] >> np.minimum(64 - 8 * FIXED_LENGTHS[integer_types], 63)
        is_zero = (integer_types == ZERO) | (integer_types == NULL)
        values: NumberArray = words.view(np.float64) if to_floats else words
        values.reshape(-1)[integers] = np.where(integer_types == ONE, 1, np.where(is_zero, 0, shifted))
        nulls = types == NULL
        for column in np.flatnonzero(foreign.any(axis=1)).tolist():
            for rows, value in self._distinct_values(offsets[column], types[column], foreign[column]):
                number = self._coercer.number(value, block.names[column], integer=not to_floats, count=len(rows))
                values[column, rows] = 0 if number is None else number
                nulls[column, rows] = number is None
        return values, nulls if nulls.any() else None

    def _distinct_values(
        self, offsets: Int64Array, types: SerialTypes, chosen: BoolArray
    ) -> Iterator[tuple[list[int], Value]]:
        """Decode values of a column, each distinct one once.

        Parameters
        ----------
        offsets
            int64, (rows,). Where the column's values begin in the buffer.
        types
            Serial types, integers, (rows,).
        chosen
            bool, (rows,). The rows whose values are decoded.

        Yields
        ------
        The indices of the rows that have a value, and the value.
        """
        rows_by_value: dict[tuple[int, bytes], list[int]] = {}
        rows = np.flatnonzero(chosen)
        ends = offsets[rows] + value_lengths(types[rows])
        for row, type_, begin, end in zip(rows.tolist(), types[rows].tolist(), offsets[rows], ends, strict=True):
            rows_by_value.setdefault((type_, self._buffer[begin:end].tobytes()), []).append(row)
        for (type_, raw), same in rows_by_value.items():
            yield same, _decode_value(type_, raw)

    def _texts(self, offsets: Int64Array, types: SerialTypes, name: str) -> pa.Array:
        """Decode a column of text.

        Parameters
        ----------
        offsets
            int64, (rows,). Where the values begin in the buffer.
        types
            Serial types, integers, (rows,).
        name
            Name of the column.

        Returns
        -------
        string, (rows,).

        Raises
        ------
        FastPathUnavailable
            If the column has more bytes than the offsets of a string array, int32, can express.
        """
        if (((types < FIRST_TEXT) | (types % 2 == 0)) & (types != NULL)).any():
            return self._coerced_texts(offsets, types, name)
        lengths = value_lengths(types).astype(np.int64)
        ends = np.append(0, np.cumsum(lengths))
        if ends[-1] > _MAX_TEXT_BYTES:
            raise FastPathUnavailable("a column has more text than an Arrow array holds")
        content = self._buffer[np.repeat(offsets - ends[:-1], lengths) + np.arange(ends[-1])]
        buffers = [_validity_bitmap(types == NULL), pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(content)]
        texts = pa.Array.from_buffers(pa.string(), self._rows, buffers)
        try:
            texts.validate(full=True)
        except pa.ArrowInvalid:
            return self._coerced_texts(offsets, types, name)
        return texts

    def _coerced_texts(self, offsets: Int64Array, types: SerialTypes, name: str) -> pa.Array:
        """Decode a column as `_texts` does, of which some values are not text, or not UTF-8."""
        texts: list[str | None] = [None] * self._rows
        for rows, value in self._distinct_values(offsets, types, types != NULL):
            text = self._coercer.text(value, name, len(rows))
            for row in rows:
                texts[row] = text
        return pa.array(texts, pa.string())


def _decode_value(serial_type: int, raw: bytes) -> Value:
    """Return a value that is not null as a Python object, by its serial type and bytes."""
    if serial_type >= FIRST_BLOB:
        return raw.decode("utf-8", "replace") if serial_type % 2 else raw
    if serial_type == FLOAT:
        return float(struct.unpack(">d", raw)[0])
    return int(serial_type == ONE) if serial_type in (ZERO, ONE) else int.from_bytes(raw, "big", signed=True)


def _to_arrow(values: NumberArray, nulls: BoolArray | None, type_: pa.DataType) -> Iterator[pa.Array]:
    """Yield an Arrow array for each column, all of which share one buffer.

    Parameters
    ----------
    values
        float64 or int64, (columns, rows), contiguous.
    nulls
        bool, (columns, rows); None where no value is null.
    type_
        The same type in Arrow.
    """
    rows = values.shape[1]
    shared = pa.py_buffer(values)
    for column in range(len(values)):
        validity = None if nulls is None else _validity_bitmap(nulls[column])
        yield pa.Array.from_buffers(type_, rows, [validity, shared.slice(column * rows * 8, rows * 8)])


def _validity_bitmap(nulls: BoolArray) -> pa.Buffer | None:
    """Return Arrow's bitmap of the values that are not null, for nulls bool, (rows,); None where no value is null."""
    return pa.py_buffer(np.packbits(~nulls, bitorder="little")) if nulls.any() else None
