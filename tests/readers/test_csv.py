from pathlib import Path

import pyarrow as pa
import pytest

from cytobatch.errors import UnsoundTableError
from cytobatch.readers import csv
from cytobatch.readers.values import Repair

SCHEMA = pa.schema([("ImageNumber", pa.int64()), ("Area", pa.float64())])


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "Cells.csv"
    path.write_bytes(content)
    return path


def rows(
    path: Path, schema: pa.Schema = SCHEMA, columns: tuple[str, ...] = ("ImageNumber", "Area")
) -> tuple[list[dict[str, object]], list[Repair]]:
    repairs: list[Repair] = []
    table = pa.Table.from_batches(csv.stream(path, csv.CsvShape(columns), schema, repairs), schema)
    return table.to_pylist(), repairs


def test_a_head_tells_columns_first_row_and_whether_the_end_is_whole(tmp_path: Path) -> None:
    head = csv.read_head(written(tmp_path, b'\xef\xbb\xbfImageNumber,"Area, px"\r\n1,2\r\n'))
    assert head == csv.CsvHead(
        csv.CsvShape(("ImageNumber", "Area, px")), {"ImageNumber": "1", "Area, px": "2"}, ends_with_newline=True
    )
    head = csv.read_head(written(tmp_path, b"ImageNumber\n"))
    assert not head.has_rows
    assert not csv.read_head(written(tmp_path, b"ImageNumber\n1")).ends_with_newline


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty file"),
        (b"\n1,2\n", "no header"),
        (b"a,b,a\n1,2,3\n", "duplicate columns"),
        (b"\xff\xfe,b\n1,2\n", "header is not UTF-8"),
        (b"a;b\n1;2\n", "wrong delimiter"),
        (b"a\tb\n1\t2\n", "wrong delimiter"),
    ],
)
def test_an_unusable_head_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(UnsoundTableError) as caught:
        csv.read_head(written(tmp_path, content))
    assert caught.value.what == what


def test_rows_are_typed_by_the_schema_given(tmp_path: Path) -> None:
    path = written(tmp_path, b"ImageNumber,Area\n1,2\n1,nan\n1,\n1,-inf\n")
    found, repairs = rows(path)
    assert [str(row["Area"]) for row in found] == ["2.0", "nan", "None", "-inf"]
    assert repairs == []


def test_odd_values_are_taken_for_what_they_mean_and_told(tmp_path: Path) -> None:
    path = written(tmp_path, b"ImageNumber,Area\n1.0,2\n2,1.#QNAN\n3,NA\n")
    found, repairs = rows(path)
    assert [row["ImageNumber"] for row in found] == [1, 2, 3]
    assert [str(row["Area"]) for row in found] == ["2.0", "nan", "None"]
    assert repairs == [Repair("Area", "1.#QNAN", "nan", 1), Repair("Area", "NA", "null", 1)]


def test_a_large_file_with_an_odd_value_at_its_end_loses_no_row(tmp_path: Path) -> None:
    lines = [f"{n},{n}.5" for n in range(200_000)] * 10 + ["7.0,1"]
    found, _ = rows(written(tmp_path, ("ImageNumber,Area\n" + "\n".join(lines) + "\n").encode()))
    assert len(found) == len(lines)
    assert found[-1] == {"ImageNumber": 7, "Area": 1.0}
    assert found[199_999] == {"ImageNumber": 199_999, "Area": 199_999.5}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"ImageNumber,Area\n1,2\n1\n", "cut short"),
        (b"ImageNumber,Area\n1\n", "cut short"),
        (b"ImageNumber,Area\n1,2\n1,2,3\n", "ragged row"),
        (b"ImageNumber,Area\n1,2\nImageNumber,Area\n", "text in numeric column 'ImageNumber'"),
        (b"ImageNumber,Area\n1,2\n1.5,3\n", "a fraction in integer column 'ImageNumber'"),
        (b"ImageNumber,Area\n1,2\n\0\0,3\n", "text in numeric column 'ImageNumber'"),
    ],
)
def test_rows_that_are_not_whole_are_refused(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(UnsoundTableError) as caught:
        rows(written(tmp_path, content))
    assert caught.value.what == what


def test_a_header_without_rows_has_none(tmp_path: Path) -> None:
    assert rows(written(tmp_path, b"ImageNumber,Area\n")) == ([], [])


def test_wanted_columns_are_read_as_text(tmp_path: Path) -> None:
    path = written(tmp_path, b"ImageNumber,Plate,Area\n1,001,\n")
    table = csv.read_text(path, csv.CsvShape(("ImageNumber", "Plate", "Area")), ("Plate", "Area"))
    assert table.to_pylist() == [{"Plate": "001", "Area": None}]


COMBINED = b"Image,Cells,Cells,Nuclei\nImageNumber,ObjectNumber,Area,Area\n1,1,2.5,7\n1,2,nan,9\n1,3,,8\n"


def test_tables_side_by_side_are_told_apart_by_the_first_of_two_header_rows(tmp_path: Path) -> None:
    path = written(tmp_path, COMBINED)
    schema = pa.schema([("ImageNumber", pa.int64()), ("ObjectNumber", pa.int64()), ("Area", pa.float64())])
    found = {}
    for label in ("Cells", "Nuclei"):
        shape = csv.read_combined_head(path, label).shape
        assert shape.names == tuple(schema.names)
        table = pa.Table.from_batches(csv.stream(path, shape, schema, []), schema)
        found[label] = [tuple(row.values()) for row in table.to_pylist()]
    assert found == {"Cells": [(1, 1, 2.5)], "Nuclei": [(1, 1, 7.0), (1, 2, 9.0), (1, 3, 8.0)]}
    with pytest.raises(UnsoundTableError, match="no columns of Cytoplasm"):
        csv.read_combined_head(path, "Cytoplasm")


def test_a_header_of_two_rows_must_have_as_many_names_in_both(tmp_path: Path) -> None:
    with pytest.raises(UnsoundTableError, match="ragged header"):
        csv.read_combined_head(written(tmp_path, b"Image,Cells\nImageNumber\n1\n"), "Cells")


def test_blanks_after_commas_are_no_part_of_names_but_those_in_a_name_are() -> None:
    assert csv.parse_header("ImageNumber, Area , x") == ("ImageNumber", "Area", "x")
    assert csv.parse_header("ImageNumber,Area") == ("ImageNumber", "Area")
    assert csv.parse_header(" x ,y") == (" x ", "y")
