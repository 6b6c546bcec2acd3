import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.conversion.profile_assembler import concat_columns, take_rows


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=12), st.integers(1, 4))
def test_rows_are_taken_by_index(rows: list[int | None], chunks: int) -> None:
    whole = pa.table({"a": list(range(10)), "b": [str(n) for n in range(10)]})
    table = pa.concat_tables([whole.slice(start, chunks) for start in range(0, 10, chunks)])
    taken = take_rows(table, pa.chunked_array([pa.array(rows, pa.int64())]))
    assert taken["a"].to_pylist() == rows
    assert taken["b"].to_pylist() == [None if row is None else str(row) for row in rows]


@given(
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
)
def test_concatenated_columns_keep_values_nulls_and_types_whatever_their_chunks(
    widths: list[list[int]], chunks: list[int]
) -> None:
    rows = sum(chunks)
    kinds = (pa.int64(), pa.string(), pa.float64())
    tables = []
    for number, width in enumerate(widths):
        kind = kinds[number % len(kinds)]
        values = [[None if (row + number) % 3 == 0 else row for row in range(rows)] for _ in width]
        # Names repeat, and one table has other chunks than the next.
        whole = pa.table([pa.array(one, pa.int64()).cast(kind) for one in values], names=["a"] * len(width))
        starts = [sum(chunks[:at]) for at in range(len(chunks))] if number % 2 else [0]
        ends = [*starts[1:], rows]
        tables.append(pa.concat_tables([whole.slice(s, e - s) for s, e in zip(starts, ends, strict=True)]))
    result = concat_columns(tables)
    assert result.columns == [column for table in tables for column in table.columns]
    assert result.schema.types == [kind for table in tables for kind in table.schema.types]
