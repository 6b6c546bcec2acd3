from pathlib import Path

import pyarrow as pa
import pytest

from cytobatch.errors import InvalidTableError
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.header import CsvShape, read_combined_head
from cytobatch.readers.numbers import Repair
from tests.support.plates import cells_file

SCHEMA = pa.schema([("ImageNumber", pa.int64()), ("Area", pa.float64())])


def rows(
    path: Path, schema: pa.Schema = SCHEMA, columns: tuple[str, ...] = ("ImageNumber", "Area")
) -> tuple[list[dict[str, object]], list[Repair]]:
    repairs: list[Repair] = []
    table = pa.Table.from_batches(csv.stream(path, CsvShape(columns), schema, repairs), schema)
    return table.to_pylist(), repairs


def test_rows_are_typed_by_the_schema_given(tmp_path: Path) -> None:
    path = cells_file(tmp_path, b"ImageNumber,Area\n1,2\n1,nan\n1,\n1,-inf\n")
    table, repairs = rows(path)
    assert [str(row["Area"]) for row in table] == ["2.0", "nan", "None", "-inf"]
    assert repairs == []


def test_values_of_other_spellings_are_converted_and_recorded(tmp_path: Path) -> None:
    path = cells_file(tmp_path, b"ImageNumber,Area\n1.0,2\n2,1.#QNAN\n3,NA\n")
    table, repairs = rows(path)
    assert [row["ImageNumber"] for row in table] == [1, 2, 3]
    assert [str(row["Area"]) for row in table] == ["2.0", "nan", "None"]
    assert repairs == [Repair("Area", "1.#QNAN", "nan", 1), Repair("Area", "NA", "null", 1)]


@pytest.mark.slow
def test_a_large_file_with_a_value_to_repair_at_its_end_loses_no_row(tmp_path: Path) -> None:
    lines = [f"{n},{n}.5" for n in range(200_000)] * 10 + ["7.0,1"]
    table, _ = rows(cells_file(tmp_path, ("ImageNumber,Area\n" + "\n".join(lines) + "\n").encode()))
    assert len(table) == len(lines)
    assert table[-1] == {"ImageNumber": 7, "Area": 1.0}
    assert table[199_999] == {"ImageNumber": 199_999, "Area": 199_999.5}


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
    with pytest.raises(InvalidTableError) as caught:
        rows(cells_file(tmp_path, content))
    assert caught.value.what == what


def test_a_header_without_rows_is_an_empty_table(tmp_path: Path) -> None:
    assert rows(cells_file(tmp_path, b"ImageNumber,Area\n")) == ([], [])


def test_wanted_columns_are_read_as_text(tmp_path: Path) -> None:
    path = cells_file(tmp_path, b"ImageNumber,Plate,Area\n1,001,\n")
    table = csv.read_text(path, CsvShape(("ImageNumber", "Plate", "Area")), ("Plate", "Area"))
    assert table.to_pylist() == [{"Plate": "001", "Area": None}]


COMBINED = b"Image,Cells,Cells,Nuclei\nImageNumber,ObjectNumber,Area,Area\n1,1,2.5,7\n1,2,nan,9\n1,3,,8\n"


def test_tables_side_by_side_are_distinguished_by_the_first_of_two_header_rows(tmp_path: Path) -> None:
    path = cells_file(tmp_path, COMBINED)
    schema = pa.schema([("ImageNumber", pa.int64()), ("ObjectNumber", pa.int64()), ("Area", pa.float64())])
    tables = {}
    for label in ("Cells", "Nuclei"):
        shape = read_combined_head(path, label).shape
        assert shape.names == tuple(schema.names)
        table = pa.Table.from_batches(csv.stream(path, shape, schema, []), schema)
        tables[label] = [tuple(row.values()) for row in table.to_pylist()]
    assert tables == {"Cells": [(1, 1, 2.5)], "Nuclei": [(1, 1, 7.0), (1, 2, 9.0), (1, 3, 8.0)]}
    with pytest.raises(InvalidTableError, match="no columns of Cytoplasm"):
        read_combined_head(path, "Cytoplasm")
