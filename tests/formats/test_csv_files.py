"""The functions that formats of CSV files share: stems and headers, last lines, readers, counts of rows."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.config.wells import SiteLocation
from cytobatch.engine.executor import Executor
from cytobatch.errors import InvalidTableError
from cytobatch.formats.base import Export, ExportScan, Listing, ReadContext, SurveyedTable
from cytobatch.formats.csv_files import (
    CsvTable,
    check_last_lines,
    count_csv_rows,
    csv_concat_reader,
    csv_readers,
    csv_table,
    files_by_stem,
    files_of_unknown_stems,
    headers_by_stem,
)
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.header import CsvShape

JOB = PlateJob(source="/in", destination="/out")
SCHEMA = pa.schema([("ImageNumber", pa.int64()), ("Area", pa.float64())])
HEADER = "ImageNumber,Area\n"
UNUSED: Any = None
"""An argument that the function does not read."""


class LocalFiles:
    """The files of a folder as `Inputs`, with a list of those that were read whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.read: list[str] = []

    def whole(self, path: str) -> Path:
        self.read.append(path)
        return self.folder / path


def inventory(**sizes: int) -> Inventory:
    return Inventory.of("/in", [SourceFile(path.replace("__", "/") + ".csv", size) for path, size in sizes.items()])


def table(source: str, complete: bool | None = True, **changes: Any) -> CsvTable:
    own = CsvTable("cells", "Cells", source, SCHEMA, True, shape=CsvShape(tuple(SCHEMA.names)), complete=complete)
    return replace(own, **changes)


def scan(*tables: SurveyedTable) -> ExportScan:
    files = tuple(SourceFile(each.source, 1) for each in tables)
    return ExportScan(Export(0, ".", files, SiteLocation()), {f"{n}": each for n, each in enumerate(tables)})


@pytest.fixture
def context() -> Iterator[ReadContext]:
    with Executor(1) as executor:
        yield ReadContext(JOB, UNUSED, executor)


def test_a_stem_is_represented_by_its_first_file_with_content() -> None:
    files = files_by_stem(inventory(a__Cells=0, b__cells=5, c__CELLS=7, a__Empty=0, b__Empty=0))
    assert {stem: file.path for stem, file in files.items()} == {"cells": "b/cells.csv", "empty": "b/Empty.csv"}
    assert files_by_stem(Inventory.of("/in", [SourceFile("Cells.txt", 5)])) == {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["a/PH3.csv", "a/object.csv"]),
        ({"compartments": ["ph3"]}, ["a/object.csv"]),
        ({"preset": "cellprofiler_csv"}, ["a/object.csv"]),
    ],
)
def test_headers_are_read_where_names_do_not_show_the_content(options: dict[str, object], expected: list[str]) -> None:
    job = PlateJob.model_validate({"source": "/in", "destination": "/out", **options})
    files = inventory(a__Image=5, a__Cells=5, a__Nuclei=5, a__PH3=5, b__PH3=5, a__object=5, a__Nothing=0)
    assert [file.path for file in files_of_unknown_stems(job, files)] == expected


def test_headers_are_the_first_rows_by_stem_without_a_byte_order_mark() -> None:
    heads = {"a/PH3.csv": b"\xef\xbb\xbfImageNumber,ObjectNumber\n1,1\n"}
    headers = headers_by_stem(Listing(JOB, inventory(a__PH3=5, a__Image=5), heads))
    assert headers == {"ph3": ("ImageNumber", "ObjectNumber"), "image": ()}


def test_a_table_of_another_format_is_no_csv_table() -> None:
    own = table("Cells.csv")
    scanned = ExportScan(
        Export(0, ".", (), SiteLocation()), {"cells": own, "other": SurveyedTable("other", "", "x", SCHEMA, True)}
    )
    assert (csv_table(scanned, "cells"), csv_table(scanned, "other"), csv_table(scanned, "ph3")) == (own, None, None)


def test_a_last_line_without_newline_is_a_defect_if_other_files_have_one() -> None:
    first, second = check_last_lines([scan(table("a.csv", complete=False)), scan(table("b.csv"))], UNUSED)
    assert [(entry.path, entry.reason) for entry in first.defects] == [
        ("a.csv", "cut short: the last line has no end"),
    ]
    assert (first.tables, second.defects) == ({}, ())


def test_a_style_without_last_newlines_is_no_defect() -> None:
    scans = check_last_lines([scan(table("a.csv", complete=False)), scan(table("b.csv", complete=False))], UNUSED)
    assert [each.defects for each in scans] == [(), ()]


def test_ends_that_were_not_read_decide_the_style_and_the_first_one_is_enough(tmp_path: Path) -> None:
    for name, end in (("b.csv", "\n"), ("c.csv", "\n")):
        (tmp_path / name).write_text(HEADER + "1,2" + end)
    inputs: Any = LocalFiles(tmp_path)
    scans = [scan(table("a.csv", complete=False)), scan(table("b.csv", None)), scan(table("c.csv", None))]
    first, second, third = check_last_lines(scans, inputs)
    assert inputs.read == ["b.csv"]
    assert [entry.path for entry in first.defects] == ["a.csv"]
    assert [table.complete for each in (second, third) for table in each.tables.values()] == [None, None]


def test_a_style_found_in_unread_ends_is_not_checked_again(tmp_path: Path, context: ReadContext) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "1,2")
    inputs: Any = LocalFiles(tmp_path)
    (checked,) = check_last_lines([scan(table("a.csv", None))], inputs)
    own = csv_table(checked, "0")
    assert own is not None
    assert own.complete is False
    (reader,) = csv_readers(own, tmp_path / "a.csv", SCHEMA, [], context)
    assert pa.Table.from_batches(reader(), SCHEMA).to_pylist() == [{"ImageNumber": 1, "Area": 2.0}]


def test_an_unread_end_is_checked_before_rows_are_read(tmp_path: Path, context: ReadContext) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "1,2")
    with pytest.raises(InvalidTableError) as caught:
        csv_readers(table("a.csv", None), tmp_path / "a.csv", SCHEMA, [], context)
    assert caught.value.reason == "cut short: the last line has no end"


def test_a_large_file_is_read_in_chunks_first(
    tmp_path: Path, context: ReadContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "1,2\n3,\n")
    assert len(csv_readers(table("a.csv"), path, SCHEMA, [], context)) == 1
    monkeypatch.setattr(csv, "SMALL_FILE", 3)
    readers = csv_readers(table("a.csv"), path, SCHEMA, [], context)
    assert len(readers) == 2
    one, other = (pa.Table.from_batches(reader(), SCHEMA) for reader in readers)
    assert one.to_pylist() == other.to_pylist() == [{"ImageNumber": 1, "Area": 2.0}, {"ImageNumber": 3, "Area": None}]
    side_by_side = CsvShape(("a", "b"), 2, {"ImageNumber": "a", "Area": "b"})
    assert len(csv_readers(table("a.csv", shape=side_by_side), path, SCHEMA, [], context)) == 1


def test_files_of_one_shape_and_schema_are_read_as_one(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.csv", "b.csv")]
    for number, path in enumerate(paths, start=1):
        path.write_text(HEADER + f"{number},0.5\n" * number)
    read = csv_concat_reader([table("a.csv"), table("b.csv")])
    assert read is not None
    group = read(paths, SCHEMA)
    assert group.rows == (1, 2)
    assert group.table["ImageNumber"].to_pylist() == [1, 2, 2]


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": CsvShape(("Area", "ImageNumber"))},
        {"schema": pa.schema([("ImageNumber", pa.int64()), ("Area", pa.string())])},
    ],
)
def test_files_that_differ_are_not_read_as_one(changes: dict[str, object]) -> None:
    assert csv_concat_reader([table("a.csv"), table("b.csv", **changes)]) is None


def test_tables_side_by_side_in_one_file_are_not_read_as_one() -> None:
    shape = CsvShape(("a", "b"), 2, {"ImageNumber": "a", "Area": "b"})
    assert csv_concat_reader([table("a.csv", shape=shape)] * 2) is None


@pytest.mark.parametrize(("text", "rows"), [("", 0), (HEADER, 0), (HEADER + "1,2\n", 1), (HEADER + "1,2\n" * 9, 9)])
def test_rows_are_the_lines_below_the_header(tmp_path: Path, text: str, rows: int) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert count_csv_rows(table("a.csv"), tmp_path / "a.csv") == rows
