import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.gather import take


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=12), st.integers(1, 4))
def test_take_is_the_rows_asked_for(rows: list[int | None], chunks: int) -> None:
    whole = pa.table({"a": list(range(10)), "b": [str(n) for n in range(10)]})
    table = pa.concat_tables([whole.slice(start, chunks) for start in range(0, 10, chunks)])
    got = take(table, pa.chunked_array([pa.array(rows, pa.int64())]))
    assert got["a"].to_pylist() == rows
    assert got["b"].to_pylist() == [None if row is None else str(row) for row in rows]
