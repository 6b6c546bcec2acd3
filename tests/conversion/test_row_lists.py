import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.conversion.row_lists import child_counts, list_lengths, list_means, used_rows, with_rows

VALUES = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf])
LISTS = st.lists(st.none() | st.lists(VALUES, max_size=5), max_size=8)


def column(lists: list[Any]) -> pa.ChunkedArray:
    """Return lists of increasing row indices of the same lengths."""
    numbers = iter(range(100))
    return pa.chunked_array([pa.array([one and [next(numbers) for _ in one] for one in lists], pa.list_(pa.int64()))])


@pytest.mark.filterwarnings("ignore:invalid value encountered in reduce")
@given(LISTS)
def test_means_are_those_of_pandas(lists: list[list[float | None] | None]) -> None:
    values = pa.table({"x": pa.array([value for one in lists for value in one or ()], pa.float64())})
    means = list_means(values, list_lengths(column(lists)))["x"]
    expected = [pd.Series(one or [], dtype="float64").mean() for one in lists]
    assert np.allclose(means.to_numpy(zero_copy_only=False), np.array(expected, float), equal_nan=True)
    has_value = [any(value is not None and not math.isnan(value) for value in one or ()) for one in lists]
    assert means.is_valid().to_pylist() == has_value


@pytest.mark.parametrize(
    ("indices", "rows", "owners"),
    [
        (pa.array([3, None, 1], pa.int64()), [3, 1], [0, 2]),
        (pa.array([[3, 5], None, [], [1]], pa.list_(pa.int64())), [3, 5, 1], [0, 0, 3]),
        (pa.array([[9], [3, 5], None, [], [1]], pa.list_(pa.int64())).slice(1), [3, 5, 1], [0, 0, 3]),
        (pa.array([], pa.list_(pa.int64())), [], []),
    ],
    ids=["numbers", "lists", "a slice of lists", "no row"],
)
def test_used_rows(indices: pa.Array, rows: list[int], owners: list[int]) -> None:
    found = used_rows(pa.chunked_array([indices]))
    assert [one.tolist() for one in found] == [rows, owners]


def test_lists_get_other_rows_and_a_row_without_a_parent_has_no_count() -> None:
    indices = pa.chunked_array([pa.array([[0], [3, 5], None, [1]], pa.list_(pa.int64()))]).slice(1)
    assert with_rows(indices, pa.array([7, 8, 9], pa.int64())).to_pylist() == [[7, 8], [], [9]]
    parents = pa.chunked_array([pa.array([4, 4, None], pa.int64())])
    assert child_counts(indices, parents).to_pylist() == [2, 0, None]
