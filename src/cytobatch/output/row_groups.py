"""Row groups: rows of many columns, of which some columns at a time are assembled, when a writer selects them."""

import itertools
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, Self

import pyarrow as pa

_GROUP_BYTES, _MAX_GROUP_BYTES = 128 * 2**20, 512 * 2**20
_MAX_GROUPS = 64
_SOURCE_BYTES_PER_BYTE = 2
MAX_GROUP_ROWS = 2**20


class RowGroup(Protocol):
    """Rows that are written at once."""

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        ...

    def select(self, numbers: Sequence[int]) -> pa.Table:
        """Return some columns, by position, with all rows.

        The same columns may be selected again. Several threads may call this at once.
        """
        ...


class Rows(RowGroup, Protocol):
    """Rows that can be cut into row groups. A `pyarrow.Table` is such rows, with all columns in memory."""

    def slice(self, offset: int, length: int | None = None) -> Self:
        """Return `length` rows from `offset` on, or all of them from there."""
        ...


class StackedRows:
    """Rows of one schema one after the other, made of at least one part."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        # Parts of parts are flattened, because a stack of stacks would be as deep as one table has row groups.
        self._parts = tuple(itertools.chain.from_iterable(map(_flat_parts, parts)))

    @property
    def num_rows(self) -> int:
        """The number of rows of all parts."""
        return sum(part.num_rows for part in self._parts)

    @property
    def schema(self) -> pa.Schema:
        """The schema of each part."""
        return self._parts[0].schema

    def slice(self, offset: int, length: int | None = None) -> "StackedRows":
        """Return `length` rows from `offset` on, or all of them from there, without copying."""
        end = self.num_rows if length is None else offset + length
        return StackedRows(list(self._cut(offset, end)) or [self._parts[0].slice(0, 0)])

    def _cut(self, begin: int, end: int) -> Iterator[Rows]:
        for part in self._parts:
            size = part.num_rows
            if begin < size and end > 0:
                first = max(begin, 0)
                yield part if (begin <= 0 and end >= size) else part.slice(first, min(end, size) - first)
            begin, end = begin - size, end - size

    def select(self, numbers: Sequence[int]) -> pa.Table:
        """Return some columns, by position. Each column has at least one chunk for each part."""
        return pa.concat_tables([part.select(numbers) for part in self._parts])


def _flat_parts(rows: Rows) -> Sequence[Rows]:
    return rows._parts if isinstance(rows, StackedRows) else (rows,)


def as_table(rows: RowGroup) -> pa.Table:
    """Return all columns as a table."""
    return rows.select(range(len(rows.schema)))


def row_group_rows(columns: int, source_bytes: int) -> int:
    """Return the rows of a row group: as many as have 128 MiB of doubles.

    Every reader first reads some 100 bytes for each column of each row group. A plate of 400,000 cells with 6,000
    columns therefore gets larger groups, about 64 of them.

    Parameters
    ----------
    columns
        Columns of the profile.
    source_bytes
        Bytes of the plate at the source. The profile is taken to have half of them.

    Returns
    -------
    int
        From 1 to 2**20 rows, of at most 512 MiB of doubles.
    """
    return max(1, min(MAX_GROUP_ROWS, row_group_bytes(source_bytes) // (8 * max(1, columns))))


def row_group_source_bytes(source_bytes: int) -> int:
    """Return the bytes at the source of which about one row group is made, for a plate of `source_bytes`.

    From 256 MiB to 1 GiB: rows take half as many bytes as doubles as they take at the source.
    """
    return _SOURCE_BYTES_PER_BYTE * row_group_bytes(source_bytes)


def row_group_bytes(source_bytes: int) -> int:
    """Return the bytes of doubles in a row group."""
    wanted = source_bytes // (_SOURCE_BYTES_PER_BYTE * _MAX_GROUPS)
    return min(max(wanted, _GROUP_BYTES), _MAX_GROUP_BYTES)


def in_ranges(numbered: Iterable[tuple[int, Rows]]) -> Iterator[Iterator[Rows]]:
    """Yield the rows of each range, which are read as they are asked for, from rows with the numbers of their ranges.

    Ranges are to be used one after the other, each to its end.
    """
    for _, rows in itertools.groupby(numbered, operator.itemgetter(0)):
        yield map(operator.itemgetter(1), rows)


def regroup(batches: Iterable[Rows], size: int) -> Iterator[RowGroup]:
    """Yield the same rows in row groups.

    Parameters
    ----------
    batches
        Rows of one schema, any number of them at a time.
    size
        Rows of each group. Only the last one has fewer.

    Yields
    ------
    RowGroup
        At least one row. While the next batch is awaited, no written row is referenced from here: written rows would
        be half of a run's memory.
    """
    pending: list[Rows] = []
    for rows in batches:
        # A batch without rows may still hold much memory.
        if rows.num_rows:
            pending.append(rows)
        del rows
        while sum(part.num_rows for part in pending) >= size:
            stacked = StackedRows(pending)
            pending = [stacked.slice(size)] if stacked.num_rows > size else []
            yield stacked.slice(0, size)
            del stacked
    if pending:
        yield StackedRows(pending)
