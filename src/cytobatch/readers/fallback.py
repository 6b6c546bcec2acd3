"""The ways to read one table: the fast one first, and those to start anew with where its values do not fit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from cytobatch.errors import FastPathUnavailable, InternalError
from cytobatch.readers.numbers import Repair

ReadStrategy = Callable[[], Iterator[pa.RecordBatch]]
"""One way to read a table: it streams record batches of one schema."""


@dataclass(frozen=True, slots=True)
class ConcatenatedTables:
    """The rows of several files, one after the other, and the number of rows of each file."""

    table: pa.Table
    rows: tuple[int, ...]


ConcatReader = Callable[[Sequence[Path], pa.Schema], ConcatenatedTables]
"""Reads local files as one table of a schema. Raises FastPathUnavailable if they must be read one by one."""

Taken = TypeVar("Taken")


def read_with_fallback(
    strategies: Sequence[ReadStrategy], repairs: list[Repair], take: Callable[[ReadStrategy], Taken]
) -> Taken:
    """What `take` makes of the first lane that does not raise FastPathUnavailable; `repairs` are those of that lane."""
    for strategy in strategies:
        repairs.clear()
        try:
            return take(strategy)
        except FastPathUnavailable:
            continue
    raise InternalError("no way to read a table", where="readers")
