"""A table read from its pages equals the table that SQLite reads, for any stored values and any history of the file."""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.engine.duckdb import Engine
from cytobatch.engine.executor import Executor
from cytobatch.errors import FastPathUnavailable, InvalidTableError
from cytobatch.readers.numbers import Repair
from cytobatch.readers.sqlite import read as sqlite
from cytobatch.readers.sqlite.native.scan import OutOfCoreRows, find_rows, stream_pages
from cytobatch.readers.sqlite.read import SqliteTable
from tests.support.examples import examples

SCHEMA = pa.schema([("s", pa.string()), ("x", pa.float64()), ("n", pa.int64()), ("y", pa.float64())])
COLUMNS = "n INTEGER, x FLOAT, y FLOAT, s TEXT"
PAGE_SIZES = (512, 1024, 4096, 65536)

Row = tuple[object, ...]

INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, -1, 127, 128, -129, 2**23, 2**31, 2**47, -(2**55)])
FLOATS = st.floats(width=64) | st.integers(-300, 300).map(float)
TEXTS = st.text(max_size=200) | st.sampled_from(["nan", "NaN", "inf", "1.5", "7", " 3 ", "no number", ""])
NUMBERS = st.none() | INTEGERS | FLOATS
ANYTHING = NUMBERS | TEXTS | st.binary(max_size=80)
# A fraction in a column of integers is refused, which another test checks.
KEYS = st.none() | INTEGERS | st.sampled_from(["nan", "12", "word", b"\x01"])


@pytest.fixture(scope="module")
def workers() -> Iterator[Executor]:
    with Executor(2) as workers:
        yield workers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.sqlite"


def database(path: Path, rows: Sequence[Row], *, page: int = 4096, columns: str = COLUMNS) -> Path:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size = {page}")
        connection.execute(f"CREATE TABLE Cells ({columns})")
        marks = ", ".join("?" * (columns.count(",") + 1))
        connection.executemany(f"INSERT INTO Cells VALUES ({marks})", rows)
        connection.commit()
    return path


def wide(count: int, columns: int, seed: int = 0) -> tuple[str, list[Row], pa.Schema]:
    """Rows that lie on several pages, of numbers with and without fractions."""
    dice = random.Random(seed)
    values = (None, 0, 1, 5, 700, 70_000.0, 2**40, 0.5)
    rows = [
        tuple(dice.random() if dice.random() < 0.7 else dice.choice(values) for _ in range(columns))
        for _ in range(count)
    ]
    names = [f"c{number}" for number in range(columns)]
    return ", ".join(f"{name} FLOAT" for name in names), rows, pa.schema([(name, pa.float64()) for name in names])


def through_pages(
    path: Path, workers: Executor, schema: pa.Schema = SCHEMA, chunk_bytes: int = 2000
) -> tuple[pa.Table, list[Repair]]:
    repairs: list[Repair] = []
    batches = stream_pages(SqliteTable(path, "Cells"), schema, workers, repairs, chunk_bytes)
    table = pa.Table.from_batches(batches, schema)
    table.validate(full=True)
    return table, repairs


def through_sqlite(path: Path, schema: pa.Schema = SCHEMA) -> tuple[pa.Table, list[Repair]]:
    """The table that Python's sqlite3 returns, value by value."""
    repairs: list[Repair] = []
    with Engine(spill=path.parent, memory=2**28, workers=1) as engine:
        by_sqlite = sqlite.strategies(engine, SqliteTable(path, "Cells"), schema, repairs)[-1]
        return pa.Table.from_batches(by_sqlite(), schema), repairs


def assert_same(path: Path, workers: Executor, schema: pa.Schema = SCHEMA) -> pa.Table:
    table, repairs = through_pages(path, workers, schema)
    expected, expected_repairs = through_sqlite(path, schema)
    assert table.equals(expected)
    assert sorted(map(str, repairs)) == sorted(map(str, expected_repairs))
    return table


@pytest.mark.slow
@settings(max_examples=examples(80, 1500), deadline=None)
@given(
    rows=st.lists(st.tuples(KEYS, ANYTHING, NUMBERS, ANYTHING), max_size=40),
    page=st.sampled_from(PAGE_SIZES),
)
def test_any_stored_values_are_read_as_sqlite_reads_them(
    tmp_path_factory: pytest.TempPathFactory, workers: Executor, rows: list[Row], page: int
) -> None:
    path = database(tmp_path_factory.mktemp("pages") / "a.sqlite", rows, page=page)
    assert assert_same(path, workers).num_rows == len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGE_SIZES)
def test_wide_rows_lie_on_several_pages(path: Path, workers: Executor, page: int) -> None:
    columns, rows, schema = wide(150, 900)
    database(path, rows, page=page, columns=columns)
    table = assert_same(path, workers, schema)
    assert [tuple(row.values()) for row in table.to_pylist()] == rows


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGE_SIZES)
def test_rows_whose_pages_are_scattered(path: Path, workers: Executor, page: int) -> None:
    """Rows reuse the pages of deleted rows in any order, so that their pages do not follow each other."""
    columns, rows, schema = wide(400, 600)
    database(path, rows, page=page, columns=columns)
    marks = ", ".join("?" * 600)
    with closing(sqlite3.connect(path)) as connection:
        for step in (3, 5):
            connection.execute(f"DELETE FROM Cells WHERE rowid % {step} = 0")
            connection.executemany(f"INSERT INTO Cells VALUES ({marks})", wide(90, 600, step)[1])
            connection.execute("UPDATE Cells SET c1 = 'a longer text ' || rowid WHERE rowid % 7 = 0")
        connection.commit()
    assert assert_same(path, workers, schema).num_rows == 375


def test_several_tables_that_grow_in_turn(path: Path, workers: Executor) -> None:
    columns, rows, schema = wide(200, 700)
    database(path, rows[:0], columns=columns)
    marks = ", ".join("?" * 700)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE Nuclei ({columns})")
        for begin in range(0, 200, 10):
            for name in ("Cells", "Nuclei"):
                connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows[begin : begin + 10])
        connection.commit()
    assert assert_same(path, workers, schema).num_rows == 200


def test_long_texts_and_many_rows(path: Path, workers: Executor) -> None:
    rows = [(n, n / 8, n * 1.0, "ü" * (n % 300)) for n in range(20_000)]
    assert assert_same(database(path, rows), workers)["s"].to_pylist() == [row[3] for row in rows]


def test_columns_come_in_the_order_of_the_schema(path: Path, workers: Executor) -> None:
    database(path, [(1, 0.5, 2.5, "a"), (2, None, 3.0, None)])
    schema = pa.schema([("y", pa.float64()), ("s", pa.string())])
    assert through_pages(path, workers, schema)[0].to_pylist() == [{"y": 2.5, "s": "a"}, {"y": 3.0, "s": None}]


def test_an_empty_table(path: Path, workers: Executor) -> None:
    assert assert_same(database(path, []), workers).num_rows == 0


def test_nan_in_a_file_is_null_as_for_sqlite(path: Path, workers: Executor) -> None:
    database(path, [(1, 0.123456789, 2.5, "a")])
    number, nan = (bytes.fromhex(text) for text in ("3fbf9add3739635f", "7ff8000000000000"))
    content = path.read_bytes()
    assert content.count(number) == 1
    path.write_bytes(content.replace(number, nan))
    assert assert_same(path, workers)["x"].to_pylist() == [None]


def test_a_fraction_in_a_key_is_refused(path: Path, workers: Executor) -> None:
    database(path, [(2.75, 0.5, 0.5, "b")])
    with pytest.raises(InvalidTableError, match="a fraction in integer column 'n'"):
        through_pages(path, workers)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE TABLE Cells (n INTEGER PRIMARY KEY, x FLOAT, y FLOAT, s TEXT)", "the primary key is the row id"),
        (
            "CREATE TABLE Cells (n INTEGER, x FLOAT, y FLOAT, s TEXT, PRIMARY KEY (n, s)) WITHOUT ROWID",
            "a page is neither a leaf nor a valid interior page of a table",
        ),
        (
            "CREATE TABLE Cells (n INTEGER, x FLOAT, s TEXT, y FLOAT GENERATED ALWAYS AS (x * 2) VIRTUAL)",
            "a column is generated or hidden",
        ),
        (
            "CREATE VIEW Cells AS SELECT 1 AS n, 0.5 AS x, 0.5 AS y, 'a' AS s",
            "the database has no table of this name",
        ),
        (
            "PRAGMA encoding = 'UTF-16'; CREATE TABLE Cells (n INTEGER, x FLOAT, y FLOAT, s TEXT)",
            "the text encoding of the database is not UTF-8",
        ),
        (
            "PRAGMA journal_mode = WAL; CREATE TABLE Cells (n INTEGER, x FLOAT, y FLOAT, s TEXT)",
            "the database is in another journal mode than rollback, such as WAL",
        ),
        (
            "CREATE TABLE Cells (n INTEGER, x FLOAT, s TEXT); INSERT INTO Cells VALUES (1, 0.5, 'a');"
            "ALTER TABLE Cells ADD COLUMN y FLOAT DEFAULT 3.5",
            "a record has another number of values than the table has columns",
        ),
        ("CREATE TABLE Cells (n INTEGER, x FLOAT, s TEXT)", "the table does not have all wanted columns"),
        ("CREATE TABLE Others (n INTEGER)", "the database has no table of this name"),
    ],
    ids=["rowid", "without rowid", "computed", "view", "utf-16", "wal", "added column", "no such column", "no table"],
)
def test_a_table_of_another_kind_is_left_to_sqlite(path: Path, workers: Executor, statement: str, reason: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)
        connection.commit()
        with pytest.raises(FastPathUnavailable, match=reason):
            through_pages(path, workers)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is shorter than the header of a database"),
        (b"SQLite format 3\x00" + b"\x10\x00\x01\x01" + bytes(80), "the text encoding of the database is not UTF-8"),
        (b"ImageNumber,x\n" * 9, "the database is in another journal mode than rollback, such as WAL"),
    ],
    ids=["empty", "zeros", "text"],
)
def test_a_file_that_is_not_a_database_is_left_to_sqlite(
    path: Path, workers: Executor, content: bytes, reason: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(FastPathUnavailable, match=reason):
        through_pages(path, workers)


def test_columns_of_other_types_are_left_to_sqlite(path: Path, workers: Executor) -> None:
    database(path, [(1, 0.5, 2.5, "a")])
    with pytest.raises(FastPathUnavailable, match="a column is wanted as another type than int64, float64 or string"):
        through_pages(path, workers, pa.schema([("s", pa.date32())]))


def test_a_file_that_changes_while_it_is_read_is_left_to_sqlite(path: Path) -> None:
    columns, rows, schema = wide(300, 500)
    database(path, rows, columns=columns)
    with Executor(1) as alone:
        batches = stream_pages(SqliteTable(path, "Cells"), schema, alone, [], 2000)
        next(batches)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM Cells WHERE rowid = 300")
            connection.commit()
        with pytest.raises(FastPathUnavailable, match="the file changed while it was read"):
            list(batches)


def out_of_core(path: Path, workers: Executor, schema: pa.Schema) -> tuple[OutOfCoreRows, pa.Table]:
    keys = pa.schema([field for field in schema if pa.types.is_integer(field.type)])
    return find_rows(SqliteTable(path, "Cells"), schema, keys, workers, 2000)


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(
    rows=st.lists(st.tuples(KEYS, ANYTHING, NUMBERS, ANYTHING), min_size=1, max_size=60),
    page=st.sampled_from(PAGE_SIZES),
    chosen=st.data(),
)
def test_some_rows_by_their_numbers(
    tmp_path_factory: pytest.TempPathFactory, workers: Executor, rows: list[Row], page: int, chosen: st.DataObject
) -> None:
    path = database(tmp_path_factory.mktemp("pages") / "a.sqlite", rows, page=page)
    whole, _ = through_pages(path, workers)
    chosen_rows, keys = out_of_core(path, workers, SCHEMA)
    assert keys.equals(whole.select(["n"]))
    numbers = sorted(chosen.draw(st.sets(st.integers(0, len(rows) - 1))))
    assert chosen_rows.read(np.array(numbers, np.int64))[0].equals(whole.take(pa.array(numbers, pa.int64())))
    assert chosen_rows.leaves_of(np.arange(len(rows))) == chosen_rows.leaves


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGE_SIZES)
def test_each_row_by_its_number_where_rows_are_wide(path: Path, workers: Executor, page: int) -> None:
    columns, rows, schema = wide(300, 500)
    database(path, rows, page=page, columns=columns)
    whole, _ = through_pages(path, workers, schema)
    chosen_rows, _ = out_of_core(path, workers, schema)
    for first in (0, 1, 7):
        numbers = np.arange(first, 300, 13)
        assert chosen_rows.read(numbers)[0].equals(whole.take(pa.array(numbers)))
    parts = [chosen_rows.read(np.arange(begin, begin + 100))[0] for begin in (0, 100, 200)]
    assert pa.concat_tables(parts).equals(whole)


def test_repairs_of_chosen_rows_are_those_of_these_rows(path: Path, workers: Executor) -> None:
    database(path, [(1, "nan", 0.5, "a"), (2, 0.5, 0.5, "b"), (3, "nan", 0.5, "c"), (4, "nan", 0.5, "d")])
    chosen_rows, _ = out_of_core(path, workers, SCHEMA)
    assert chosen_rows.read(np.array([0, 1]))[1] == [Repair("x", "nan", "null", 1)]
    assert chosen_rows.read(np.array([2, 3]))[1] == [Repair("x", "nan", "null", 2)]


def test_a_key_that_is_not_an_integer_is_found_before_any_row_is_read(path: Path, workers: Executor) -> None:
    database(path, [(1, 0.5, 0.5, "a"), (2.5, 0.5, 0.5, "b")])
    with pytest.raises(InvalidTableError, match="a fraction in integer column 'n'"):
        out_of_core(path, workers, SCHEMA)


def test_rows_of_a_file_that_was_changed_since_are_refused(path: Path, workers: Executor) -> None:
    columns, rows, schema = wide(300, 500)
    database(path, rows, columns=columns)
    chosen_rows, _ = out_of_core(path, workers, schema)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM Cells WHERE rowid = 300")
        connection.commit()
    with pytest.raises(InvalidTableError) as caught:
        chosen_rows.read(np.array([0]))
    assert caught.value.what == "changed while it was read"
    assert caught.value.why == "the file changed while it was read"


@pytest.mark.parametrize("chunk_bytes", [2000, 2**24])
def test_a_leaf_that_is_named_twice_is_left_to_sqlite(path: Path, workers: Executor, chunk_bytes: int) -> None:
    """An interior page names one leaf in place of another: rows would come twice, and others would be missing."""
    columns, rows, schema = wide(300, 500)
    database(path, rows, columns=columns)
    content = bytearray(path.read_bytes())
    root = (2 - 1) * 4096
    assert content[root] == 5
    cells = [int.from_bytes(content[root + 12 + 2 * n :][:2], "big") for n in range(40)]
    content[root + cells[30] : root + cells[30] + 4] = content[root + cells[2] : root + cells[2] + 4]
    path.write_bytes(content)
    with pytest.raises(FastPathUnavailable, match="row ids do not ascend"):
        through_pages(path, workers, schema, chunk_bytes)


@pytest.mark.slow
@settings(max_examples=examples(150, 3000), deadline=None)
@given(data=st.data(), page=st.sampled_from((512, 4096)))
def test_a_damaged_file_is_read_or_left_to_sqlite(
    tmp_path_factory: pytest.TempPathFactory, workers: Executor, data: st.DataObject, page: int
) -> None:
    columns, rows, schema = wide(20, 120)
    path = database(tmp_path_factory.mktemp("pages") / "a.sqlite", rows, page=page, columns=columns)
    content = bytearray(path.read_bytes())
    for offset, byte in data.draw(
        st.lists(st.tuples(st.integers(page, len(content) - 1), st.integers(0, 255)), min_size=1, max_size=20)
    ):
        content[offset] = byte
    # The headers of pages are few of their bytes, and decide how the others are read.
    pages = st.integers(1, len(content) // page - 1)
    for number, offset, byte in data.draw(
        st.lists(st.tuples(pages, st.integers(0, 40), st.integers(0, 255)), max_size=9)
    ):
        content[number * page + offset] = byte
    path.write_bytes(content[: data.draw(st.integers(page, len(content)))] if data.draw(st.booleans()) else content)
    with suppress(FastPathUnavailable, InvalidTableError):
        through_pages(path, workers, schema)


def with_bytes(path: Path, old: bytes, new: bytes) -> Path:
    """Replace bytes that occur once in a file by as many others."""
    content = path.read_bytes()
    assert (content.count(old), len(old)) == (1, len(new))
    path.write_bytes(content.replace(old, new))
    return path


LONGER_THAN_ANY_NUMBER = b"\xff" * 10 + b"\x7f"
TWO_GIB_OF_BLOB = b"\x90\x80\x80\x80\x0c"


@pytest.mark.parametrize(
    ("text", "header"),
    [
        # Serial types of 1, null, null and text: a header of 6 bytes, then the text.
        (b"a" * 100, b"\x0f\x09\x00\x00" + LONGER_THAN_ANY_NUMBER),
        # The lengths of the two blobs are 2**32 bytes together, which 32 bits take for 0.
        (b"a" * 100, b"\x0e\x09" + TWO_GIB_OF_BLOB * 2 + b"\x81\x45"),
    ],
    ids=["a number of 77 bits", "lengths that overflow"],
)
def test_serial_types_beyond_their_record_are_left_to_sqlite(
    path: Path, workers: Executor, text: bytes, header: bytes
) -> None:
    database(path, [(1, None, None, text.decode())])
    record = b"\x06\x09\x00\x00\x81\x55" + text
    with_bytes(path, record, header + record[len(header) :])
    with pytest.raises(FastPathUnavailable, match="the values of a record do not end where the record ends"):
        through_pages(path, workers)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"\x06\x09\x0a\x00\x81\x55", "a value has a reserved serial type"),
        (b"\x06\x09\x01\x00\x81\x55", "the values of a record do not end where the record ends"),
        (b"\x05\x09\x00\x00\x81\x55", "a record has another number of values than the table has columns"),
        (b"\x7f\x09\x00\x00\x81\x55", "the header of a record is longer than the record"),
        (b"\xff\x89\x00\x00\x81\x55", "the header of a record is longer than 16 KiB"),
    ],
    ids=["reserved", "other end", "too short", "longer than the record", "longer than 16 KiB"],
)
def test_a_record_with_a_damaged_header_is_left_to_sqlite(
    path: Path, workers: Executor, header: bytes, reason: str
) -> None:
    text = b"a" * 100
    database(path, [(1, None, None, text.decode())])
    with_bytes(path, b"\x06\x09\x00\x00\x81\x55" + text, header + text)
    with pytest.raises(FastPathUnavailable, match=reason):
        through_pages(path, workers)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (b"\x00\x00", "a page size of 0 bytes is invalid"),
        (b"\x12\x34", "a page size of 4660 bytes is invalid"),
        (b"\x00\x01", "SQLite cannot read the schema"),
    ],
    ids=["0", "4660", "65536 in a smaller file"],
)
def test_a_page_size_that_is_wrong_is_left_to_sqlite(path: Path, workers: Executor, size: bytes, reason: str) -> None:
    database(path, [(1, 0.5, 2.5, "a")])
    content = path.read_bytes()
    path.write_bytes(content[:16] + size + content[18:])
    with pytest.raises(FastPathUnavailable, match=reason):
        through_pages(path, workers)
