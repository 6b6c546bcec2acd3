import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.engine.executor import Executor
from cytobatch.output.parquet.encoder import Encoder
from cytobatch.output.parquet.writer import ParquetFileWriter
from cytobatch.output.row_groups import regroup, row_group_rows

WORKERS = Executor(1)
SCHEMA = pa.schema([("k", pa.int64()), ("x", pa.float64()), ("s", pa.string())])


def rows(count: int, start: int = 0) -> pa.Table:
    numbers = list(range(start, start + count))
    return pa.table([numbers, [n / 7 for n in numbers], [str(n) for n in numbers]], schema=SCHEMA)


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 7))
def test_row_groups_have_the_given_size_for_batches_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], size: int
) -> None:
    path = tmp_path_factory.mktemp("p") / "a.parquet"
    with ParquetFileWriter(path, Encoder(SCHEMA, WORKERS), {}) as file:
        starts = [sum(counts[:n]) for n in range(len(counts))]
        for group in regroup((rows(n, start) for n, start in zip(counts, starts, strict=True)), size):
            file.write(group)
    read = pq.ParquetFile(path)
    sizes = [read.metadata.row_group(n).num_rows for n in range(read.num_row_groups)]
    assert all(found == size for found in sizes[:-1])
    assert all(1 <= found <= size for found in sizes)
    assert read.read().equals(rows(sum(counts)))
    assert file.written().rows == sum(counts)


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(RuntimeError), ParquetFileWriter(path, Encoder(SCHEMA, WORKERS), {}) as file:
        file.write(rows(12))
        raise RuntimeError
    assert not path.exists()


def test_encodings_and_statistics(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with ParquetFileWriter(path, Encoder(SCHEMA, WORKERS), {"a": "b"}) as file:
        file.write(rows(5))
    group = pq.ParquetFile(path).metadata.row_group(0)
    assert "BYTE_STREAM_SPLIT" in group.column(1).encodings
    assert group.column(0).statistics.max == 4
    assert group.column(1).statistics is None
    assert pq.read_schema(path).metadata == {b"a": b"b"}


@pytest.mark.parametrize("workers", [1, 3])
def test_the_bytes_are_those_of_one_writer_for_any_number_of_workers(tmp_path: Path, workers: int) -> None:
    table = pa.table(
        {f"c{n}": [n / 7, None, n / 3] * 50 for n in range(70)} | {"k": range(150), "s": ["a", "b", None] * 50}
    )
    schema = table.schema.with_metadata({"a": "b"})
    names = {"use_dictionary": ["s"], "use_byte_stream_split": table.column_names[:70], "write_statistics": ["k", "s"]}
    plain = pa.BufferOutputStream()
    with pq.ParquetWriter(plain, schema, compression="zstd", compression_level=3, **names) as writer:
        writer.write_table(table.cast(schema), row_group_size=100)
    with (
        Executor(workers) as several,
        ParquetFileWriter(tmp_path / "a.parquet", Encoder(schema, several), {"a": "b"}) as file,
    ):
        for group in regroup([table], 100):
            file.write(group)
    assert file.path.read_bytes() == plain.getvalue().to_pybytes()


@given(st.lists(st.lists(st.integers(1, 9), max_size=3), max_size=4))
def test_parts_make_the_file_that_one_writer_writes(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("p")
    encoder, start = Encoder(SCHEMA, WORKERS), 0
    with (
        ParquetFileWriter(folder / "whole.parquet", encoder, {"a": "b"}) as whole,
        ParquetFileWriter(folder / "spliced.parquet", encoder, {"a": "b"}) as spliced,
    ):
        for counts in parts:
            with ParquetFileWriter(folder / "part.parquet", encoder, {"a": "b"}) as part:
                for count in counts:
                    part.write(rows(count, start))
                    whole.write(rows(count, start))
                    start += count
            spliced.append(part.path)
    assert spliced.path.read_bytes() == whole.path.read_bytes()
    assert spliced.written().sha256 == whole.written().sha256 == hashlib.sha256(whole.path.read_bytes()).hexdigest()
    assert spliced.written().rows == start


NESTED = {
    "list": pa.list_(pa.int64()),
    "large": pa.large_list(pa.string()),
    "three": pa.list_(pa.float64(), 3),
    "struct.dot": pa.struct([("a", pa.int64()), ("b", pa.list_(pa.struct([("c", pa.string())])))]),
    "map": pa.map_(pa.string(), pa.list_(pa.float64())),
    "date": pa.date32(),
}
NESTED_ROWS = [
    {
        "list": [1, None],
        "large": [],
        "three": [0.5, None, 1.5],
        "struct.dot": {"a": 1, "b": [{"c": "x"}]},
        "map": [("k", [1.0])],
        "date": 3,
    },
    dict.fromkeys(NESTED),
]


def test_nested_types_of_a_users_sql_are_written(tmp_path: Path) -> None:
    schema = pa.schema(list(NESTED.items()))
    table = pa.Table.from_pylist(NESTED_ROWS, schema)
    with ParquetFileWriter(tmp_path / "a.parquet", Encoder(schema, WORKERS), {}) as file:
        for group in regroup([table], 1):
            file.write(group)
    plain = pa.BufferOutputStream()
    pq.write_table(table, plain)
    assert pq.read_table(file.path).equals(pq.read_table(pa.BufferReader(plain.getvalue())))


class RecordingRows:
    """Rows that record which columns were selected."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.schema = table.schema
        self.num_rows = table.num_rows
        self.selections: list[list[int]] = []

    def select(self, numbers: Sequence[int]) -> pa.Table:
        self.selections.append(list(numbers))
        return self._table.select(self.selections[-1])


def test_a_row_group_is_assembled_some_columns_at_a_time_and_each_column_once(tmp_path: Path) -> None:
    table = pa.table({f"c{n}": [n / 7, None] for n in range(1000)})
    group = RecordingRows(table)
    with Executor(2) as workers, ParquetFileWriter(tmp_path / "a.parquet", Encoder(table.schema, workers), {}) as file:
        file.write(group)
    assert sorted(number for some in group.selections for number in some) == list(range(1000))
    assert max(map(len, group.selections)) <= 1000 // 20
    assert pq.read_table(file.path).equals(table)


def test_the_digest_is_that_of_the_finished_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with ParquetFileWriter(path, Encoder(SCHEMA, WORKERS), {}) as file:
        for start in range(0, 20, 4):
            file.write(rows(4, start))
    assert file.written().sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.written().bytes == path.stat().st_size


@given(st.integers(0, 10_000), st.integers(0, 2**41))
def test_row_groups_are_bounded_in_bytes_and_a_large_plate_has_few(columns: int, source_bytes: int) -> None:
    size = row_group_rows(columns, source_bytes) * columns * 8
    assert size <= 2**29
    assert row_group_rows(columns, source_bytes) >= row_group_rows(columns, 0) >= 1


def test_a_plate_of_forty_gigabytes_has_about_64_row_groups() -> None:
    rows_of_a_group = row_group_rows(6000, 40 * 10**9)
    assert 50 < 400_000 / rows_of_a_group < 70
    assert row_group_rows(6000, 10**9) == 2796
