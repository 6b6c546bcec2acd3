"""Which columns of floats hold anything but finite numbers, and how much of it."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_COLUMNS_AT_ONCE = 512
_TALL = 2**14


@dataclass(frozen=True, slots=True)
class NonFinite:
    """How many values of a column are null, NaN, and infinite."""

    column: str
    nulls: int
    nans: int
    infinities: int


def non_finite(table: pa.Table) -> list[NonFinite]:
    """The columns of floats in which not all values are finite numbers."""
    floats = [number for number, field in enumerate(table.schema) if pa.types.is_floating(field.type)]
    found = []
    for start in range(0, len(floats), _COLUMNS_AT_ONCE):
        some = table.select(floats[start : start + _COLUMNS_AT_ONCE])
        for number in np.flatnonzero(~np.isfinite(_sums(some))):
            found.append(_counted(some.column_names[number], some.column(int(number))))
    # Finite values may add up to infinity.
    return [column for column in found if column.nulls or column.nans or column.infinities]


def _sums(table: pa.Table) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """The sum of each column, in which a null counts as NaN: finite only if all values are.

    As tensors, for asking thousands of columns one by one takes four times as long; but columns of many rows are read
    faster where they are.
    """
    if table.num_rows > _TALL:
        return np.array([math.nan if column.null_count else pc.sum(column).as_py() for column in table.columns])
    sums = np.zeros(table.num_columns)
    with np.errstate(invalid="ignore", over="ignore"):
        for batch in table.to_batches():
            sums += batch.to_tensor(null_to_nan=True, row_major=False).to_numpy().sum(axis=0, dtype=np.float64)
    return sums


def _counted(name: str, column: pa.ChunkedArray) -> NonFinite:
    nans, infinities = (int(pc.sum(test(column)).as_py() or 0) for test in (pc.is_nan, pc.is_inf))
    return NonFinite(name, column.null_count, nans, infinities)


def all_finite(column: pa.ChunkedArray) -> bool:
    """Whether a column of floats has neither NaN nor infinity; not sure to be true where values add up to infinity."""
    return math.isfinite(pc.sum(column).as_py() or 0.0)
