"""A database without its rows: the same declarations and numbers of rows as SQLite has, from a few pages."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.sqlite.outline import write_outline

FEATURES = ", ".join(f"Cells_Feature_{n} DOUBLE" for n in range(1500))
WIDE = f"CREATE TABLE Per_Cells (ImageNumber INTEGER, {FEATURES})"
LISTED = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"


def database(path: Path, *statements: str, rows: Iterable[tuple[str, int]] = ()) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for statement in statements:
            connection.execute(statement)
        for table, count in rows:
            connection.executemany(f"INSERT INTO {table} (ImageNumber) VALUES (?)", [(n,) for n in range(count)])
        connection.commit()
    return path


def declared(path: Path) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(LISTED).fetchall()


def outline_of(path: Path, target: Path) -> dict[str, int]:
    with path.open("rb", buffering=0) as stream:
        return write_outline(stream, target)


@pytest.mark.parametrize("count", [0, 1, 300, 20_000])
def test_declarations_and_highest_row_ids_are_those_of_sqlite(count: int, tmp_path: Path) -> None:
    path = database(
        tmp_path / "a.sqlite",
        "CREATE TABLE Per_Image (ImageNumber INTEGER PRIMARY KEY, Image_Metadata_Well TEXT)",
        WIDE,
        "CREATE INDEX of_cells ON Per_Cells (ImageNumber)",
        "CREATE VIEW wells AS SELECT Image_Metadata_Well FROM Per_Image",
        rows=[("Per_Image", 7), ("Per_Cells", count)],
    )
    rows = outline_of(path, tmp_path / "new" / "b.sqlite")
    assert rows == {"Per_Image": 6, "Per_Cells": count}
    assert declared(tmp_path / "new" / "b.sqlite") == declared(path)


def test_a_table_without_row_ids_has_no_number_of_rows(tmp_path: Path) -> None:
    keyed = "CREATE TABLE keyed (ImageNumber INTEGER PRIMARY KEY) WITHOUT ROWID"
    path = database(tmp_path / "a.sqlite", keyed, "CREATE TABLE x (ImageNumber)", rows=[("keyed", 2), ("x", 3)])
    assert outline_of(path, tmp_path / "b.sqlite") == {"x": 3}


@pytest.mark.parametrize(
    "text",
    [
        "ATTACH DATABASE '{}' AS other",
        "CREATE TABLE x AS SELECT 1 AS a",
        "SELECT 1",
        "CREATE VIRTUAL TABLE x USING fts5(a)",
    ],
)
def test_a_declaration_that_is_another_statement_is_not_run(text: str, tmp_path: Path) -> None:
    path = database(tmp_path / "a.sqlite", "CREATE TABLE x (ImageNumber)")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ?", (text.format(tmp_path / "made.sqlite"),))
        connection.commit()
    with pytest.raises(FastPathUnavailable, match="a declaration is none of a table"):
        outline_of(path, tmp_path / "b.sqlite")
    assert not (tmp_path / "made.sqlite").exists()


@pytest.mark.parametrize("tables", [150, 201])
def test_of_many_tables_there_is_no_outline(tables: int, tmp_path: Path) -> None:
    path = database(tmp_path / "a.sqlite", *(f"CREATE TABLE t{n} (ImageNumber)" for n in range(tables)))
    if tables <= 200:
        assert outline_of(path, tmp_path / "b.sqlite") == {f"t{n}": 0 for n in range(tables)}
    else:
        with pytest.raises(FastPathUnavailable, match="too many tables"):
            outline_of(path, tmp_path / "b.sqlite")


@pytest.mark.parametrize("damage", ["wal", "short", "text"])
def test_a_file_that_is_no_plain_database_has_no_outline(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    if damage == "text":
        path.write_bytes(b"ImageNumber,ObjectNumber\n" * 100)
    else:
        database(path, *(["PRAGMA journal_mode = WAL"] if damage == "wal" else []), WIDE, rows=[("Per_Cells", 10)])
    if damage == "short":
        path.write_bytes(path.read_bytes()[:4096])
    with pytest.raises(FastPathUnavailable):
        outline_of(path, tmp_path / "b.sqlite")
