"""Source tables by the second reader."""

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cytobatch.pipeline.verification.tables import read_table, whole_number
from cytobatch.pipeline.verification.values import Raw

HEADER = "ImageNumber,ObjectNumber,Note\n"


@pytest.mark.parametrize("note", ["a\u2028b", "a\x0bb", "a\x85b", '"a\nb"', '"a\r\nb"'])
def test_a_value_ends_where_csv_ends_it(note: str, tmp_path: Path) -> None:
    path = tmp_path / "Cells.csv"
    path.write_bytes(f"{HEADER}1,1,{note}\n1,2,x\n".encode())
    rows = read_table(path, "cells", [(None, 1)]).rows[None, 1]
    assert [row.get("Note") for row in rows] == [note.strip('"'), "x"]


def test_the_longest_field_of_the_csv_module_stays(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    path = tmp_path / "Image.csv"
    path.write_text(f"ImageNumber,Pipeline\n1,{'x' * (limit + 1)}\n")
    (row,) = read_table(path, "image", [(None, 1)]).rows[None, 1]
    assert len(str(row.get("Pipeline"))) == limit + 1
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("3", 3),
        (" 3 ", 3),
        ("3.0", 3),
        (3.0, 3),
        ("3.5", None),
        (3.5, None),
        ("0x10", 16),
        ("inf", None),
        (None, None),
        ("x", None),
    ],
)
def test_keys_are_whole_numbers(value: Raw, number: int | None) -> None:
    assert whole_number(value) == number


def test_text_of_sqlite_that_is_not_utf8_has_its_replacement(tmp_path: Path) -> None:
    path = tmp_path / "plate.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE Image (ImageNumber INTEGER, Well TEXT)")
        connection.execute("INSERT INTO Image VALUES (1, CAST(x'41ff' AS TEXT))")
        connection.commit()
    (row,) = read_table(path, "Image", [(None, 1)]).rows[None, 1]
    assert row.get("Well") == "A\ufffd"


def test_a_column_is_found_by_its_name_with_blanks(tmp_path: Path) -> None:
    path = tmp_path / "Cells.csv"
    path.write_text("ImageNumber,ObjectNumber, Area \n1,1,7\n")
    (row,) = read_table(path, "cells", [(None, 1)]).rows[None, 1]
    assert row.get(" Area ") == "7"


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("ImageNumber,\tMetadata_Well,Metadata_Site", ["\tMetadata_Well", "Metadata_Site"]),
        ("ImageNumber, Metadata_Well, Metadata_Site", ["Metadata_Well", "Metadata_Site"]),
    ],
)
def test_blanks_around_one_name_belong_to_it(header: str, names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "Image.csv"
    path.write_text(f"{header}\n1,A1,2\n")
    (row,) = read_table(path, "image", [(None, 1)]).rows[None, 1]
    assert [row.get(name) for name in names] == ["A1", "2"]
    assert row.get("Metadata_Well") == ("A1" if "Metadata_Well" in names else None)
