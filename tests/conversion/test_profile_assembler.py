import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.conversion.profile_assembler import concat_columns, take_rows


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=12), st.integers(1, 4))
def test_take_is_the_rows_asked_for(rows: list[int | None], chunks: int) -> None:
    whole = pa.table({"a": list(range(10)), "b": [str(n) for n in range(10)]})
    table = pa.concat_tables([whole.slice(start, chunks) for start in range(0, 10, chunks)])
    got = take_rows(table, pa.chunked_array([pa.array(rows, pa.int64())]))
    assert got["a"].to_pylist() == rows
    assert got["b"].to_pylist() == [None if row is None else str(row) for row in rows]


@given(
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
)
def test_tables_side_by_side_keep_values_nulls_and_types_however_they_are_cut(
    widths: list[list[int]], chunks: list[int]
) -> None:
    rows = sum(chunks)
    kinds = (pa.int64(), pa.string(), pa.float64())
    tables = []
    for number, width in enumerate(widths):
        kind = kinds[number % len(kinds)]
        values = [[None if (row + number) % 3 == 0 else row for row in range(rows)] for _ in width]
        # Names that repeat, and one table cut otherwise than the next.
        whole = pa.table([pa.array(one, pa.int64()).cast(kind) for one in values], names=["a"] * len(width))
        starts = [sum(chunks[:at]) for at in range(len(chunks))] if number % 2 else [0]
        ends = [*starts[1:], rows]
        tables.append(pa.concat_tables([whole.slice(s, e - s) for s, e in zip(starts, ends, strict=True)]))
    got = concat_columns(tables)
    assert got.columns == [column for table in tables for column in table.columns]
    assert got.schema.types == [kind for table in tables for kind in table.schema.types]
