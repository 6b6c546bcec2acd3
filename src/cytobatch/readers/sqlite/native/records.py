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
from cytobatch.readers.sqlite.native.arrays import BoolArray, ByteArray, Int64Array, sliding_values
from cytobatch.readers.sqlite.native.btree import Records

_NULL, _FLOAT, _ZERO, _ONE = 0, 7, 8, 9
_RESERVED = (10, 11)
_FIRST_BLOB, _FIRST_TEXT = 12, 13
# Bytes of a value by its serial type: those below the first blob, and those that fit in a byte.
_FIXED_LENGTHS = np.array([0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0], np.int64)
_BYTE_LENGTHS = np.append(_FIXED_LENGTHS, (np.arange(_FIRST_BLOB, 256) - _FIRST_BLOB) // 2).astype(np.uint8)
_CONTINUATION_BIT = 0x80
_COLUMNS_PER_BLOCK = 64
_MAX_TEXT_BYTES = 2**31 - 1
_WRONG_END = "the values of a record do not end where the record ends"

SerialTypes = npt.NDArray[np.integer]
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
        header_sizes, self._types = _parse_headers(records, total)
        if np.isin(self._types, _RESERVED).any():
            raise FastPathUnavailable("a value has a reserved serial type")
        self._lengths = _value_lengths(self._types)
        self._ends = np.cumsum(self._lengths, axis=1, dtype=np.int32)
        self._ends += header_sizes[:, None].astype(np.int32)
        if (self._ends[:, -1] != records.sizes).any():
            raise FastPathUnavailable(_WRONG_END)

    def arrays(self, block: _ColumnBlock) -> Iterator[pa.Array]:
        """Decode the columns of a block."""
        types = self._types[:, block.positions]
        if pa.types.is_string(block.type):
            offsets = self._offsets(block.positions)
            return (self._texts(offsets[:, n], types[:, n], name) for n, name in enumerate(block.names))
        if pa.types.is_float64(block.type) and (types == _FLOAT).all():
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
        foreign = types >= _FIRST_BLOB if to_floats else (types >= _FIRST_BLOB) | (types == _FLOAT)
        integers = np.flatnonzero((types != _FLOAT) & ~foreign)
        integer_types = types.reshape(-1)[integers]
        # A word has the eight bytes from the value's offset on; the value is the first of them.
        shifted = words.reshape(-1)[integers] >> np.minimum(64 - 8 * _FIXED_LENGTHS[integer_types], 63)
        is_zero = (integer_types == _ZERO) | (integer_types == _NULL)
        values: NumberArray = words.view(np.float64) if to_floats else words
        values.reshape(-1)[integers] = np.where(integer_types == _ONE, 1, np.where(is_zero, 0, shifted))
        nulls = types == _NULL
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
        ends = offsets[rows] + _value_lengths(types[rows])
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
        if (((types < _FIRST_TEXT) | (types % 2 == 0)) & (types != _NULL)).any():
            return self._coerced_texts(offsets, types, name)
        lengths = _value_lengths(types).astype(np.int64)
        ends = np.append(0, np.cumsum(lengths))
        if ends[-1] > _MAX_TEXT_BYTES:
            raise FastPathUnavailable("a column has more text than an Arrow array holds")
        content = self._buffer[np.repeat(offsets - ends[:-1], lengths) + np.arange(ends[-1])]
        buffers = [_validity_bitmap(types == _NULL), pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(content)]
        texts = pa.Array.from_buffers(pa.string(), self._rows, buffers)
        try:
            texts.validate(full=True)
        except pa.ArrowInvalid:
            return self._coerced_texts(offsets, types, name)
        return texts

    def _coerced_texts(self, offsets: Int64Array, types: SerialTypes, name: str) -> pa.Array:
        """Decode a column as `_texts` does, of which some values are not text, or not UTF-8."""
        texts: list[str | None] = [None] * self._rows
        for rows, value in self._distinct_values(offsets, types, types != _NULL):
            text = self._coercer.text(value, name, len(rows))
            for row in rows:
                texts[row] = text
        return pa.array(texts, pa.string())


def _decode_value(serial_type: int, raw: bytes) -> Value:
    """Return a value that is not null as a Python object, by its serial type and bytes."""
    if serial_type >= _FIRST_BLOB:
        return raw.decode("utf-8", "replace") if serial_type % 2 else raw
    if serial_type == _FLOAT:
        return float(struct.unpack(">d", raw)[0])
    return int(serial_type == _ONE) if serial_type in (_ZERO, _ONE) else int.from_bytes(raw, "big", signed=True)


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


def _value_lengths(types: SerialTypes) -> SerialTypes:
    """Return the bytes of each value by its serial type: integers, of the shape of `types`."""
    if types.dtype == np.uint8:
        return np.take(_BYTE_LENGTHS, types)
    fixed = _FIXED_LENGTHS[np.minimum(types, _FIRST_BLOB - 1)]
    return np.where(types < _FIRST_BLOB, fixed, (types - _FIRST_BLOB) // 2)


def _parse_headers(records: Records, total: int) -> tuple[Int64Array, SerialTypes]:
    """Parse the headers of records.

    Parameters
    ----------
    records
        The records of `rows` rows.
    total
        Columns of the table.

    Returns
    -------
    Bytes of each header, int64, (rows,); and the serial types, uint8 or int64, (rows, total).

    Raises
    ------
    FastPathUnavailable
        If a header is damaged or too long, or does not have `total` serial types.
    """
    content = records.content
    first, second = content[:, 0].astype(np.int64), content[:, 1].astype(np.int64)
    is_long = first >= _CONTINUATION_BIT
    if (is_long & (second >= _CONTINUATION_BIT)).any():
        raise FastPathUnavailable("the header of a record is longer than 16 KiB")
    sizes = np.where(is_long, (first & ~_CONTINUATION_BIT) << 7 | second, first)
    # A header begins with its own size, in one byte or two.
    leads = 1 + is_long
    if (sizes > records.sizes).any():
        raise FastPathUnavailable("the header of a record is longer than the record")
    lead = int(leads[0])
    types = content[:, lead : lead + total]
    if (leads == lead).all() and (sizes - lead == total).all() and (types < _CONTINUATION_BIT).all():
        return sizes, types
    headers = zip(content, leads.tolist(), sizes.tolist(), records.sizes.tolist(), strict=True)
    return sizes, np.array([_parse_serial_types(row[lead:end], total, size) for row, lead, end, size in headers])


def _parse_serial_types(header: ByteArray, total: int, record_size: int) -> list[int]:
    """Parse the serial types of one header, of which some take several bytes, as those of long texts do.

    Parameters
    ----------
    header
        uint8, (header size,), without its own size.
    total
        Columns of the table.
    record_size
        Bytes of the record.

    Raises
    ------
    FastPathUnavailable
        If the header does not have `total` serial types, or their values are longer than the record.
    """
    types, serial_type = list[int](), 0
    for byte in header.tolist():
        serial_type = serial_type << 7 | byte & ~_CONTINUATION_BIT
        if byte < _CONTINUATION_BIT:
            types.append(serial_type)
            serial_type = 0
    if len(types) != total:
        raise FastPathUnavailable("a record has another number of values than the table has columns")
    # Text of n bytes has the type 2 n + 13. Beyond this sum, lengths would overflow the integers that add them.
    if sum(types) > 2 * record_size + _FIRST_TEXT * total:
        raise FastPathUnavailable(_WRONG_END)
    return types
