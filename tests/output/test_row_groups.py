import weakref
from collections.abc import Iterator

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.output.row_groups import StackedRows, as_table, in_ranges


class Counted:
    """Rows of which it is counted how many are alive."""

    def __init__(self, number: int) -> None:
        self.number = number


SCHEMA = pa.schema([("k", pa.int64()), ("s", pa.string()), ("x", pa.float64())])


def numbered(count: int, start: int) -> pa.Table:
    numbers = range(start, start + count)
    return pa.table([list(numbers), [str(n) for n in numbers], [n / 7 for n in numbers]], schema=SCHEMA)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 12), st.none() | st.integers(0, 12))
def test_slices_of_stacked_rows_are_those_of_one_table(counts: list[int], offset: int, length: int | None) -> None:
    parts = [numbered(count, sum(counts[:number])) for number, count in enumerate(counts)]
    whole, stacked = pa.concat_tables(parts), StackedRows(parts)
    offset = min(offset, whole.num_rows)
    length = None if length is None else min(length, whole.num_rows - offset)
    got, expected = stacked.slice(offset, length), whole.slice(offset, length)
    assert (got.num_rows, got.schema) == (expected.num_rows, SCHEMA)
    assert as_table(got).equals(expected)
    assert got.select([2, 0]).equals(expected.select([2, 0]))


def test_stacks_of_what_is_left_of_one_table_do_not_grow_deep() -> None:
    left = StackedRows([numbered(5000, 0)])
    for start in range(4999):
        assert left.slice(0, 1).select([0]).column(0).to_pylist() == [start]
        left = StackedRows([left.slice(1)])
    assert as_table(left).equals(numbered(1, 4999))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 6), st.integers(0, 6))
def test_slices_of_slices_are_slices(counts: list[int], first: int, second: int) -> None:
    stacked = StackedRows([numbered(count, sum(counts[:number])) for number, count in enumerate(counts)])
    first = min(first, stacked.num_rows)
    second = min(second, stacked.num_rows - first)
    assert as_table(stacked.slice(first).slice(second)).equals(as_table(stacked.slice(first + second)))


def test_rows_of_a_range_are_freed_before_the_next_are_produced() -> None:
    alive: list[weakref.ref[Counted]] = []
    most: list[int] = []

    def rows() -> Iterator[tuple[int, Counted]]:
        for number in (0, 0, 1, 1, 2):
            most.append(sum(ref() is not None for ref in alive))
            made = Counted(number)
            alive.append(weakref.ref(made))
            yield number, made
            del made

    found = []
    for batches in in_ranges(rows()):
        found.append([])
        for batch in batches:
            found[-1].append(batch.number)
            del batch
    assert found == [[0, 0], [1, 1], [2]]
    # The first rows of a range are read when the range before them ends.
    assert max(most) == 0
