"""The ways to read one table: the fast one first, and those to start anew with where its values do not fit."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import pyarrow as pa

from cytobatch.errors import FastPathUnavailable, InternalError
from cytobatch.readers.numbers import Repair

ReadStrategy = Callable[[], Iterator[pa.RecordBatch]]
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
