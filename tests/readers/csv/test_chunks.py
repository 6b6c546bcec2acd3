"""A large CSV file read in chunks gives the same table as read at once, or raises so that it is read at once."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.engine.executor import Executor
from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.chunks import stream_chunks
from cytobatch.readers.csv.header import CsvShape

SCHEMA = pa.schema([("ImageNumber", pa.int64()), ("AreaShape_Area", pa.float64()), ("Metadata_Name", pa.string())])
SHAPE = CsvShape(tuple(SCHEMA.names))


def write(path: Path, lines: list[str], end: str = "\n", last: str = "\n") -> Path:
    text = end.join([",".join(SCHEMA.names), *lines]) + (last and end)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def read(path: Path, workers: int, chunk_bytes: int) -> pa.Table:
    with Executor(workers) as executor:
        return pa.Table.from_batches(stream_chunks(path, SHAPE, SCHEMA, executor, chunk_bytes), SCHEMA)


@given(
    st.lists(st.tuples(st.integers(0, 99), st.floats(allow_nan=False), st.sampled_from(["", "a", "ü b"])), max_size=60),
    st.integers(1, 200),
    st.integers(1, 3),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_chunks_of_any_size_make_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, float, str]],
    chunk_bytes: int,
    workers: int,
    end: str,
    ended: bool,
) -> None:
    lines = [f"{number},{value!r},{name}" for number, value, name in rows]
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", lines, end, "x" if ended else "")
    whole = pa.Table.from_batches(csv.stream(path, SHAPE, SCHEMA, []), SCHEMA)
    assert read(path, workers, chunk_bytes).equals(whole)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2,text,b", "Arrow cannot parse the lines: .* invalid value 'text'"),
        ("2,0.5", "a row has more or fewer values than the header has columns"),
        ("2,0.5,b,c", "a row has more or fewer values than the header has columns"),
        ('2,0.5,"b\nc"', "a row has more or fewer values than the header has columns"),
    ],
)
def test_a_row_that_does_not_fit_is_left_to_be_read_at_once(row: str, reason: str, tmp_path: Path) -> None:
    fitting = ["1,0.5,a"] * 40
    path = write(tmp_path / "a.csv", [*fitting, row, *fitting])
    if "\n" in row:
        # Within a chunk a line break in a value does no harm; between two chunks it divides the row.
        assert read(path, 2, 10_000).num_rows == 81
    with pytest.raises(FastPathUnavailable, match=reason):
        read(path, 2, path.read_bytes().index(row.encode()) - len(",".join(SCHEMA.names)) + 4)


def test_a_file_that_becomes_shorter_is_left_to_be_read_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["1,0.5,a"] * 40)
    with Executor(1) as executor:
        batches = stream_chunks(path, SHAPE, SCHEMA, executor, 16)
        next(batches)
        path.write_bytes(path.read_bytes()[:60])
        with pytest.raises(FastPathUnavailable, match="the file became shorter while it was read"):
            list(batches)
