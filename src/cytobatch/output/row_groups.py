"""Rows of many columns, of which some columns at a time are put together, when they are wanted."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Protocol, Self

import pyarrow as pa


class RowGroup(Protocol):
    """Rows that are written at once."""

    @property
    def num_rows(self) -> int:
        """How many there are."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Their columns."""
        ...

    def select(self, numbers: Sequence[int]) -> pa.Table:
        """Some of their columns, by place. Several threads may ask at once."""
        ...


class Rows(RowGroup, Protocol):
    """Rows of which row groups are made. A table is such rows, all of which are there."""

    def slice(self, offset: int, length: int | None = None) -> Self:
        """Some of them, or all from `offset` on."""
        ...


class StackedRows:
    """Rows of one schema one after the other, of which there is one part at least."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        # Stacks of stacks would be as deep as there are row groups of one table.
        self._parts = tuple(itertools.chain.from_iterable(map(_parts_of, parts)))

    @property
    def num_rows(self) -> int:
        """Those of all parts."""
        return sum(part.num_rows for part in self._parts)

    @property
    def schema(self) -> pa.Schema:
        """That of each part."""
        return self._parts[0].schema

    def slice(self, offset: int, length: int | None = None) -> "StackedRows":
        """Parts, or slices of them."""
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
        """The parts' columns, in as many chunks at least as there are parts."""
        return pa.concat_tables([part.select(numbers) for part in self._parts])


def _parts_of(rows: Rows) -> Sequence[Rows]:
    return rows._parts if isinstance(rows, StackedRows) else (rows,)


def as_table(rows: RowGroup) -> pa.Table:
    """All columns."""
    return rows.select(range(len(rows.schema)))
