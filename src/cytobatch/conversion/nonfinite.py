"""Which columns of floats hold values that are no finite numbers, and how many of each kind."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_COLUMNS_AT_ONCE = 512
_TALL_ROWS = 2**14


@dataclass(frozen=True, slots=True)
class NonFinite:
    """How many values of a column are null, NaN, and infinite."""

    column: str
    nulls: int
    nans: int
    infinities: int


def non_finite(table: pa.Table) -> list[NonFinite]:
    """Count the values of each column of floats that are no finite numbers.

    Parameters
    ----------
    table
        Columns of any types, of which those of type float16, float32 and float64 are counted.

    Returns
    -------
    list of NonFinite
        The columns that have such values, in the table's order.
    """
    floats = [number for number, field in enumerate(table.schema) if pa.types.is_floating(field.type)]
    counts = []
    for start in range(0, len(floats), _COLUMNS_AT_ONCE):
        block = table.select(floats[start : start + _COLUMNS_AT_ONCE])
        for number in np.flatnonzero(~np.isfinite(_sums(block))):
            counts.append(_count(block.column_names[number], block.column(int(number))))
    # Finite values may add up to infinity.
    return [column for column in counts if column.nulls or column.nans or column.infinities]


def _sums(table: pa.Table) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the sum of each column, `float64, (columns,)`: finite only if all values are, a null counted as NaN.

    Computed on tensors, because thousands of calls, one for each column, take four times as long. Columns of many rows
    are added up faster where they are.
    """
    if table.num_rows > _TALL_ROWS:
        return np.array([math.nan if column.null_count else pc.sum(column).as_py() for column in table.columns])
    sums = np.zeros(table.num_columns)
    with np.errstate(invalid="ignore", over="ignore"):
        for batch in table.to_batches():
            sums += batch.to_tensor(null_to_nan=True, row_major=False).to_numpy().sum(axis=0, dtype=np.float64)
    return sums


def _count(name: str, column: pa.ChunkedArray) -> NonFinite:
    nans, infinities = (int(pc.sum(test(column)).as_py() or 0) for test in (pc.is_nan, pc.is_inf))
    return NonFinite(name, column.null_count, nans, infinities)


def all_finite(column: pa.ChunkedArray) -> bool:
    """Return whether a column of floats has neither NaN nor infinity, nulls aside.

    False too for finite values that add up to infinity, because only the sum is computed.
    """
    return math.isfinite(pc.sum(column).as_py() or 0.0)
