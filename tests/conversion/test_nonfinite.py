"""Counts of values in columns of floats that are no finite numbers."""

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.conversion.nonfinite import NonFinite, all_finite, non_finite

VALUES = st.lists(st.one_of(st.none(), st.floats()), max_size=8)


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_each_column_is_counted_over_all_chunks(first: list[list[float | None]]) -> None:
    rows = max(map(len, first))
    columns = [[*column, *[0.5] * (rows - len(column))] for column in first]
    whole = pa.table({str(n): pa.array(column, pa.float64()) for n, column in enumerate(columns)})
    table = pa.concat_tables([whole.slice(start, 3) for start in range(0, rows, 3)] or [whole])
    expected = []
    for name, column in enumerate(columns):
        there = [value for value in column if value is not None]
        counts = (column.count(None), sum(map(math.isnan, there)), sum(map(math.isinf, there)))
        if any(counts):
            expected.append(NonFinite(str(name), *counts))
    assert non_finite(table) == expected


def test_float32_and_float64_are_counted_among_other_columns() -> None:
    table = pa.table(
        {
            "n": pa.array([1, None], pa.int64()),
            "s": pa.array(["a", None]),
            "f": pa.array([1.0, None], pa.float32()),
            "d": pa.array([1.0, math.nan]),
        }
    )
    assert non_finite(table) == [NonFinite("f", 1, 0, 0), NonFinite("d", 0, 1, 0)]


def test_a_sum_beyond_all_numbers_is_no_infinity() -> None:
    column = pa.array([1e308, 1e308])
    assert non_finite(pa.table({"d": column})) == []
    assert not all_finite(pa.chunked_array([column]))


def test_a_table_without_floats_or_rows_has_no_counts() -> None:
    assert non_finite(pa.table({"n": [1]})) == []
    assert non_finite(pa.schema([("d", pa.float64())]).empty_table()) == []


@pytest.mark.parametrize("count", [511, 512, 513])
def test_any_number_of_columns_is_counted(count: int) -> None:
    table = pa.table({str(n): [math.inf if n == count - 1 else 0.0] for n in range(count)})
    assert non_finite(table) == [NonFinite(str(count - 1), 0, 0, 1)]
