"""A table has several strategies to read it: the fast one first, and slower ones where its values do not fit."""

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

Result = TypeVar("Result")


def read_with_fallback(
    strategies: Sequence[ReadStrategy], repairs: list[Repair], consume: Callable[[ReadStrategy], Result]
) -> Result:
    """Return what `consume` makes of the first strategy that reads the whole table.

    A strategy that raises FastPathUnavailable is given up, also after it yielded batches: `consume` then starts anew
    with the next one, and `repairs`, to which strategies add, is cleared. Other errors are raised.
    """
    for strategy in strategies:
        repairs.clear()
        try:
            return consume(strategy)
        except FastPathUnavailable:
            continue
    raise InternalError("no way to read a table", where="readers")
