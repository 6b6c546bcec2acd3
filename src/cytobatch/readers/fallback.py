"""The ways to read one table: the fast one first, and those to start anew with where its values do not fit."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import pyarrow as pa

from cytobatch.engine.duckdb import MixedTypesError
from cytobatch.errors import InternalError
from cytobatch.readers.numbers import Repair

Lane = Callable[[], Iterator[pa.RecordBatch]]
Taken = TypeVar("Taken")


def take_first(lanes: Sequence[Lane], repairs: list[Repair], take: Callable[[Lane], Taken]) -> Taken:
    """What `take` makes of the first lane that does not raise MixedTypesError; `repairs` are those of that lane."""
    for lane in lanes:
        repairs.clear()
        try:
            return take(lane)
        except MixedTypesError:
            continue
    raise InternalError("no way to read a table", where="readers")
