"""SQLite's records as Arrow columns: the bytes of all rows at once.

A record is a header, of the types of its values, and the values. Numbers without a fraction are stored as integers of
one to eight bytes even in columns of floats, so that a column's values stand at another place in each row. The format:
https://www.sqlite.org/fileformat2.html#record_format
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.sqlite.affinity import Value, ValueCoercer
from cytobatch.readers.sqlite.native.btree import Records
from cytobatch.readers.sqlite.native.pages import Bytes, Flags, Numbers, windows

_NULL, _FLOAT, _ZERO, _ONE = 0, 7, 8, 9
_RESERVED = (10, 11)
_FIRST_BLOB, _FIRST_TEXT = 12, 13
_LENGTHS = np.array([0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0], np.int64)
_BYTE_LENGTHS = np.append(_LENGTHS, (np.arange(_FIRST_BLOB, 256) - _FIRST_BLOB) // 2).astype(np.uint8)
_MORE = 0x80
_BLOCK = 64
_MOST_TEXT = 2**31 - 1

Kinds = npt.NDArray[np.integer]
Values = npt.NDArray[np.float64] | npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Block:
    """Neighbouring columns of one type: their first place, their numbers in the schema, their names and their type."""

    first: int
    numbers: tuple[int, ...]
    names: tuple[str, ...]
    kind: pa.DataType

    @property
    def places(self) -> slice:
        return slice(self.first, self.first + len(self.numbers))


class Wanted:
    """Columns by their place in records of `total` values, and what they become."""

    def __init__(self, places: Sequence[int], total: int, schema: pa.Schema) -> None:
        self.total = total
        self.schema = schema
        self.blocks = tuple(_blocks(places, schema))


def _blocks(places: Sequence[int], schema: pa.Schema) -> Iterator[_Block]:
    """The columns in the order of their places."""
    names, kinds = schema.names, schema.types
    ordered = sorted(range(len(names)), key=places.__getitem__)
    begin = 0
    for end in range(1, len(ordered) + 1):
        first, last = ordered[begin], ordered[end - 1]
        follows = end < len(ordered) and end - begin < _BLOCK
        if follows and places[ordered[end]] == places[last] + 1 and kinds[ordered[end]] == kinds[first]:
            continue
        numbers = tuple(ordered[begin:end])
        yield _Block(places[first], numbers, tuple(names[number] for number in numbers), kinds[first])
        begin = end


def columns_of(records: Records, wanted: Wanted, coercer: ValueCoercer) -> pa.RecordBatch:
    """The wanted columns: integers, floats and text. What is none of its column's type becomes what it means.

    Raises FastPathUnavailable where a record is none, InvalidTableError as `ValueCoercer` does.
    """
    if not len(records.sizes):
        return pa.RecordBatch.from_arrays([pa.array([], kind) for kind in wanted.schema.types], schema=wanted.schema)
    values = _Values(records, wanted.total, coercer)
    arrays: list[pa.Array | None] = [None] * len(wanted.schema)
    for block in wanted.blocks:
        for number, array in zip(block.numbers, values.arrays(block), strict=True):
            arrays[number] = array
    return pa.RecordBatch.from_arrays(arrays, schema=wanted.schema)


class _Values:
    """Where the values of records are, and of which types."""

    def __init__(self, records: Records, total: int, coercer: ValueCoercer) -> None:
        self._coercer = coercer
        self._rows = len(records.sizes)
        self._flat = records.content.reshape(-1)
        self._lines = (np.arange(self._rows) * records.content.shape[1])[:, None]
        headers, self._types = _headers(records, total)
        if np.isin(self._types, _RESERVED).any():
            raise FastPathUnavailable("a value of no type")
        self._lengths = _lengths(self._types)
        self._ends = np.cumsum(self._lengths, axis=1, dtype=np.int32)
        self._ends += headers[:, None].astype(np.int32)
        if (self._ends[:, -1] != records.sizes).any():
            raise FastPathUnavailable("a record that does not end where its row does")

    def arrays(self, block: _Block) -> Iterator[pa.Array]:
        """Some columns."""
        types = self._types[:, block.places]
        if pa.types.is_string(block.kind):
            begins = self._begins(block.places)
            return (self._text(begins[:, at], types[:, at], name) for at, name in enumerate(block.names))
        if pa.types.is_float64(block.kind) and (types == _FLOAT).all():
            values, nulls = self._neighbours(block.places)
        else:
            values, nulls = self._each(block, np.ascontiguousarray(types.T))
        if pa.types.is_float64(block.kind) and np.isnan(values).any():
            # SQLite has no NaN: it reads null.
            nulls = np.isnan(values) | (False if nulls is None else nulls)
        return _arrays(values, nulls, block.kind)

    def _begins(self, places: slice) -> Numbers:
        """Where the values of some columns begin, a row in each line."""
        begins: Numbers = self._lines + self._ends[:, places] - self._lengths[:, places]
        return begins

    def _neighbours(self, places: slice) -> tuple[Values, Flags | None]:
        """Columns that are floats in all rows, so that they lie together in each."""
        width = places.stop - places.start
        begins = self._begins(slice(places.start, places.start + 1))[:, 0]
        together = windows(self._flat, f"V{8 * width}")[begins].view(">f8").reshape(self._rows, width)
        values = np.empty((width, self._rows), np.float64)
        values[...] = together.T
        return values, None

    def _each(self, block: _Block, types: Kinds) -> tuple[Values, Flags | None]:
        """Columns of numbers that are floats, integers of any length, or something else from row to row."""
        floats = pa.types.is_float64(block.kind)
        begins = np.ascontiguousarray(self._begins(block.places).T)
        words = windows(self._flat, ">i8")[begins].astype(np.int64)
        odd = types >= _FIRST_BLOB if floats else (types >= _FIRST_BLOB) | (types == _FLOAT)
        whole = np.flatnonzero((types != _FLOAT) & ~odd)
        kinds = types.reshape(-1)[whole]
        # What was taken are eight bytes from where a value begins; it is the first of them.
        integers = words.reshape(-1)[whole] >> np.minimum(64 - 8 * _LENGTHS[kinds], 63)
        integers = np.where(kinds == _ONE, 1, np.where((kinds == _ZERO) | (kinds == _NULL), 0, integers))
        values: Values = words.view(np.float64) if floats else words
        values.reshape(-1)[whole] = integers
        nulls = types == _NULL
        for column in np.flatnonzero(odd.any(axis=1)).tolist():
            for rows, value in self._odd(begins[column], types[column], odd[column]):
                number = self._coercer.number(value, block.names[column], whole=not floats, count=len(rows))
                values[column, rows] = 0 if number is None else number
                nulls[column, rows] = number is None
        return values, nulls if nulls.any() else None

    def _odd(self, begins: Numbers, types: Kinds, odd: Flags) -> Iterator[tuple[list[int], Value]]:
        """The different values of these rows of a column, and which rows have each."""
        found: dict[tuple[int, bytes], list[int]] = {}
        rows = np.flatnonzero(odd)
        ends = begins[rows] + _lengths(types[rows])
        for row, kind, begin, end in zip(rows.tolist(), types[rows].tolist(), begins[rows], ends, strict=True):
            found.setdefault((kind, self._flat[begin:end].tobytes()), []).append(row)
        for (kind, raw), own in found.items():
            yield own, _value(kind, raw)

    def _text(self, begins: Numbers, types: Kinds, name: str) -> pa.Array:
        """A column of text."""
        if (((types < _FIRST_TEXT) | (types % 2 == 0)) & (types != _NULL)).any():
            return self._as_text(begins, types, name)
        lengths = _lengths(types).astype(np.int64)
        ends = np.append(0, np.cumsum(lengths))
        if ends[-1] > _MOST_TEXT:
            raise FastPathUnavailable("more text than an array holds")
        content = self._flat[np.repeat(begins - ends[:-1], lengths) + np.arange(ends[-1])]
        buffers = [_bitmap(types == _NULL), pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(content)]
        text = pa.Array.from_buffers(pa.string(), self._rows, buffers)
        try:
            text.validate(full=True)
        except pa.ArrowInvalid:
            return self._as_text(begins, types, name)
        return text

    def _as_text(self, begins: Numbers, types: Kinds, name: str) -> pa.Array:
        """A column of which some values are no text, or not UTF-8."""
        texts: list[str | None] = [None] * self._rows
        for rows, value in self._odd(begins, types, types != _NULL):
            text = self._coercer.text(value, name, len(rows))
            for row in rows:
                texts[row] = text
        return pa.array(texts, pa.string())


def _value(kind: int, raw: bytes) -> Value:
    """A value as Python has it, by its type and bytes."""
    if kind >= _FIRST_BLOB:
        return raw.decode("utf-8", "replace") if kind % 2 else raw
    if kind == _FLOAT:
        return float(struct.unpack(">d", raw)[0])
    return int(kind == _ONE) if kind in (_ZERO, _ONE) else int.from_bytes(raw, "big", signed=True)


def _arrays(values: Values, nulls: Flags | None, kind: pa.DataType) -> Iterator[pa.Array]:
    """Arrow's arrays of the lines of `values`."""
    rows = values.shape[1]
    whole = pa.py_buffer(values)
    for number in range(len(values)):
        valid = None if nulls is None else _bitmap(nulls[number])
        yield pa.Array.from_buffers(kind, rows, [valid, whole.slice(number * rows * 8, rows * 8)])


def _bitmap(nulls: Flags) -> pa.Buffer | None:
    return pa.py_buffer(np.packbits(~nulls, bitorder="little")) if nulls.any() else None


def _lengths(types: Kinds) -> Kinds:
    if types.dtype == np.uint8:
        return np.take(_BYTE_LENGTHS, types)
    return np.where(types < _FIRST_BLOB, _LENGTHS[np.minimum(types, _FIRST_BLOB - 1)], (types - _FIRST_BLOB) // 2)


def _headers(records: Records, total: int) -> tuple[Numbers, Kinds]:
    """How long each record's header is, and the types that it tells."""
    content = records.content
    first, second = content[:, 0].astype(np.int64), content[:, 1].astype(np.int64)
    long = first >= _MORE
    if (long & (second >= _MORE)).any():
        raise FastPathUnavailable("a header of more than sixteen kilobytes")
    headers = np.where(long, (first & ~_MORE) << 7 | second, first)
    leads = 1 + long
    if (headers > records.sizes).any():
        raise FastPathUnavailable("a header longer than its row")
    lead = int(leads[0])
    types = content[:, lead : lead + total]
    if (leads == lead).all() and (headers - lead == total).all() and (types < _MORE).all():
        return headers, types
    lines = zip(content, leads.tolist(), headers.tolist(), strict=True)
    return headers, np.array([_types(line[lead:header], total) for line, lead, header in lines])


def _types(header: Bytes, total: int) -> list[int]:
    """The types of a header in which some take several bytes, as those of long texts do."""
    types, kind = list[int](), 0
    for byte in header.tolist():
        kind = kind << 7 | byte & ~_MORE
        if byte < _MORE:
            types.append(kind)
            kind = 0
    if len(types) != total:
        raise FastPathUnavailable("a row that lacks columns")
    return types
