import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from cytobatch.engine.duckdb import Engine
from cytobatch.errors import FastPathUnavailable, InvalidTableError
from cytobatch.readers.numbers import Repair
from cytobatch.readers.sqlite import read as sqlite

SCHEMA = pa.schema([("n", pa.int64()), ("x", pa.float64()), ("s", pa.string())])


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(spill=tmp_path, memory=2**28, workers=1) as engine:
        yield engine


def database(path: Path, *rows: tuple[object, ...]) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE Cells (n INTEGER, x FLOAT, s TEXT)")
        connection.executemany("INSERT INTO Cells VALUES (?, ?, ?)", rows)
        connection.commit()
    return path


def test_a_table_of_its_declared_types_is_read_by_duckdb(engine: Engine, tmp_path: Path) -> None:
    path = database(tmp_path / "a.sqlite", (1, 0.1, "a"), (2, None, None))
    by_duckdb, _ = sqlite.strategies(engine, sqlite.SqliteTable(path, "Cells"), SCHEMA, [])
    assert pa.Table.from_batches(by_duckdb(), SCHEMA).to_pylist() == [
        {"n": 1, "x": 0.1, "s": "a"},
        {"n": 2, "x": None, "s": None},
    ]


def test_mixed_values_are_read_by_sqlite_and_recorded(engine: Engine, tmp_path: Path) -> None:
    values = [
        (1, "nan", "a"),
        (2, 0.1, 5),
        ("3", "nan", "c"),
        (4.0, "inf", "d"),
        ("x", "word", b"\xffe"),
        (5, b"\xff", None),
    ]
    path = database(tmp_path / "a.sqlite", *values)
    repairs: list[Repair] = []
    by_duckdb, by_sqlite = sqlite.strategies(engine, sqlite.SqliteTable(path, "Cells"), SCHEMA, repairs)
    with pytest.raises(FastPathUnavailable, match="a value is not of its column's declared type"):
        list(by_duckdb())
    table = pa.Table.from_batches(by_sqlite(), SCHEMA)
    assert table["n"].to_pylist() == [1, 2, 3, 4, None, 5]
    assert table["x"].to_pylist() == [None, 0.1, None, float("inf"), None, None]
    assert table["s"].to_pylist() == ["a", "5", "c", "d", "\ufffde", None]
    recorded = {(repair.column, repair.text): (repair.became, repair.count) for repair in repairs}
    assert recorded == {
        ("x", "nan"): ("null", 2),
        ("x", "word"): ("null", 1),
        ("x", "b'\\xff'"): ("null", 1),
        ("n", "x"): ("null", 1),
        ("s", "bytes that are not UTF-8"): ("\ufffde", 1),
        ("x", "inf"): ("inf", 1),
    }


def test_a_fraction_in_a_measurement_declared_as_an_integer_is_kept(engine: Engine, tmp_path: Path) -> None:
    path = database(tmp_path / "a.sqlite", (1, 0.5, "a"), (2.75, 0.5, "b"))
    schema = pa.schema([("n", pa.float64())])
    by_duckdb, by_sqlite = sqlite.strategies(engine, sqlite.SqliteTable(path, "Cells"), schema, [])
    with pytest.raises(FastPathUnavailable, match="a value is not of its column's declared type"):
        list(by_duckdb())
    assert pa.Table.from_batches(by_sqlite(), schema)["n"].to_pylist() == [1.0, 2.75]


def test_a_fraction_in_a_key_is_refused(engine: Engine, tmp_path: Path) -> None:
    path = database(tmp_path / "a.sqlite", (1, 0.5, "a"), (2.75, 0.5, "b"))
    by_duckdb, by_sqlite = sqlite.strategies(engine, sqlite.SqliteTable(path, "Cells"), SCHEMA, [])
    with pytest.raises(FastPathUnavailable, match="a value is not of its column's declared type"):
        list(by_duckdb())
    with pytest.raises(InvalidTableError, match="a fraction in integer column 'n'"):
        list(by_sqlite())


def test_a_fraction_that_duckdb_would_cut_off_is_left_to_sqlite(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database(tmp_path / "a.sqlite", (1, 0.5, "a"), (2.75, 0.5, "b"))
    schema = pa.schema([("n", pa.int64())])
    cut_off = pa.record_batch({"n": [1, 2]}, schema)
    monkeypatch.setattr(Engine, "scan_sqlite", lambda *_: iter([cut_off]))
    by_duckdb, _ = sqlite.strategies(engine, sqlite.SqliteTable(path, "Cells"), schema, [])
    with pytest.raises(FastPathUnavailable, match="a column declared as integer holds a fraction"):
        list(by_duckdb())


def test_bytes_that_are_not_utf8_are_replaced_in_text_and_recorded(engine: Engine, tmp_path: Path) -> None:
    path = database(tmp_path / "a.sqlite", (1, 0.5, "a"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE Cells SET s = CAST(x'41ff42' AS TEXT)")
        connection.commit()
    repairs: list[Repair] = []
    by_duckdb, by_sqlite = sqlite.strategies(engine, sqlite.SqliteTable(path, "Cells"), SCHEMA, repairs)
    with pytest.raises(FastPathUnavailable, match=r"a value does not fit its column: .*UTF8"):
        list(by_duckdb())
    assert pa.Table.from_batches(by_sqlite(), SCHEMA)["s"].to_pylist() == ["A\ufffdB"]
    assert repairs == [Repair("s", "bytes that are not UTF-8", "A\ufffdB", 1)]


def test_doubles_keep_every_bit_when_sqlite_reads_them(engine: Engine, tmp_path: Path) -> None:
    exact = 0.1 + 0.2
    path = database(tmp_path / "a.sqlite", (1, exact, "a"), (2, "nan", "b"))
    _, by_sqlite = sqlite.strategies(engine, sqlite.SqliteTable(path, "Cells"), SCHEMA, [])
    assert pa.Table.from_batches(by_sqlite(), SCHEMA)["x"][0].as_py() == exact


@pytest.mark.parametrize(("content", "what"), [(b"", "empty file"), (b"ImageNumber,x\n1,2\n", "not a SQLite database")])
def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(content)
    with pytest.raises(InvalidTableError) as caught:
        sqlite.list_tables_and_views(path)
    assert caught.value.what == what


def test_a_database_cut_short_is_refused(engine: Engine, tmp_path: Path) -> None:
    path = database(tmp_path / "a.sqlite", *((n, n / 7, "text" * 20) for n in range(5000)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidTableError):
        for strategy in sqlite.strategies(engine, sqlite.SqliteTable(path, "Cells"), SCHEMA, []):
            list(strategy())
    path.write_bytes(whole[:50])
    with pytest.raises(InvalidTableError):
        sqlite.list_tables_and_views(path)


def test_a_schema_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """SQLite quotes the statement that it cannot parse, and these bytes are not UTF-8."""
    path = database(tmp_path / "a.sqlite", (1, 0.5, "a"))
    content = path.read_bytes()
    assert b"TABLE Cells (n" in content
    path.write_bytes(content.replace(b"TABLE Cells (n", b"TABLE Cells \x80n"))
    for read in (sqlite.list_tables_and_views, lambda path: sqlite.approximate_rows(path, "Cells", [])):
        with pytest.raises(InvalidTableError):
            read(path)


def test_tables_and_their_rows_are_listed(tmp_path: Path) -> None:
    path = database(tmp_path / "quoted ' name.sqlite", (1, 1.0, "a"), (2, 1.0, "a"))
    assert sqlite.list_tables_and_views(path).tables == ("Cells",)
    assert sqlite.approximate_rows(path, "Cells", []) == 2


def test_rows_that_are_still_in_the_write_ahead_log_are_read(engine: Engine, tmp_path: Path) -> None:
    path = database(tmp_path / "a.sqlite", (1, 0.5, "a"))
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("INSERT INTO Cells VALUES (2, 1.5, 'b')")
        writer.commit()
        (tmp_path / "staged").mkdir()
        for name in ("a.sqlite", "a.sqlite-wal"):
            shutil.copy(tmp_path / name, tmp_path / "staged" / name)
    by_duckdb, by_sqlite = sqlite.strategies(
        engine, sqlite.SqliteTable(tmp_path / "staged" / "a.sqlite", "Cells"), SCHEMA, []
    )
    with pytest.raises(FastPathUnavailable):
        list(by_duckdb())
    assert pa.Table.from_batches(by_sqlite(), SCHEMA)["n"].to_pylist() == [1, 2]
