"""A large CSV file read piece by piece gives what it gives at once, or is left to be read so."""

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


def read(path: Path, workers: int, piece: int) -> pa.Table:
    with Executor(workers) as threads:
        return pa.Table.from_batches(stream_chunks(path, SHAPE, SCHEMA, threads, piece), SCHEMA)


@given(
    st.lists(st.tuples(st.integers(0, 99), st.floats(allow_nan=False), st.sampled_from(["", "a", "ü b"])), max_size=60),
    st.integers(1, 200),
    st.integers(1, 3),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_pieces_of_any_size_make_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, float, str]],
    piece: int,
    workers: int,
    end: str,
    ended: bool,
) -> None:
    lines = [f"{number},{value!r},{name}" for number, value, name in rows]
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", lines, end, "x" if ended else "")
    whole = pa.Table.from_batches(csv.stream(path, SHAPE, SCHEMA, []), SCHEMA)
    assert read(path, workers, piece).equals(whole)


@pytest.mark.parametrize("odd", ["2,text,b", "2,0.5", "2,0.5,b,c", '2,0.5,"b\nc"'])
def test_what_is_odd_anywhere_is_left_to_be_read_at_once(odd: str, tmp_path: Path) -> None:
    plain = ["1,0.5,a"] * 40
    path = write(tmp_path / "a.csv", [*plain, odd, *plain])
    if "\n" in odd:
        # Within a piece a line in a value does no harm; between two pieces it is odd.
        assert read(path, 2, 10_000).num_rows == 81
    with pytest.raises(FastPathUnavailable):
        read(path, 2, path.read_bytes().index(odd.encode()) - len(",".join(SCHEMA.names)) + 4)
