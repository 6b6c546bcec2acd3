"""Invalid exports are reported and counted against max_failed_exports; valid ones are converted all the same."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from cytobatch.errors import ExitCode, InputDataError, LayoutError, TooManyFailedExportsError
from cytobatch.report.model import LedgerEntry, Outcome, RunReport
from tests.support.plates import (
    convert,
    convert_to_folder,
    cytominer_tables,
    site_tables,
    with_column,
    write_site,
    write_sites,
    write_sqlite,
)

pytestmark = pytest.mark.slow


def failed(report: RunReport) -> list[LedgerEntry]:
    return [entry for entry in report.ledger if entry.outcome is Outcome.FAILED]


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def header_only(path: Path) -> None:
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")


def cut_in_a_value(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def cut_in_a_row(path: Path) -> None:
    path.write_bytes(path.read_bytes().rstrip(b"\n").rsplit(b",", 1)[0] + b"\n")


def cut_between_rows(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def missing(path: Path) -> None:
    path.unlink()


def no_encoding(path: Path) -> None:
    path.write_bytes(b"\xff\xfe" + path.read_bytes() + b"\xd8")


def header_twice(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content + content)


def rows_twice(path: Path) -> None:
    header, *rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([header, *rows, *rows]))


def delimiter_of_the_header_alone(path: Path) -> None:
    header, *rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([header.replace(b",", b";"), *rows]))


DEFECTS: list[tuple[Callable[[Path], None], str, str]] = [
    (emptied, "Cells", "empty file"),
    (header_only, "Cells", "header only"),
    (header_only, "Cytoplasm", "header only"),
    (header_only, "Image", "header only"),
    (cut_in_a_value, "Cells", "cut short"),
    (cut_in_a_row, "Nuclei", "cut short"),
    (cut_between_rows, "Cells", "cut short"),
    (missing, "Nuclei", "missing"),
    (missing, "Cytoplasm", "missing"),
    (missing, "Image", "missing"),
    (no_encoding, "Cells", "not UTF-16"),
    (header_twice, "Cytoplasm", "text in numeric column"),
    (rows_twice, "Nuclei", "repeated objects"),
    (rows_twice, "Image", "repeated images"),
    (delimiter_of_the_header_alone, "Cells", "cut short"),
]


@pytest.mark.parametrize(("defect", "table", "reason"), DEFECTS)
def test_a_defect_is_reported_and_the_other_sites_are_converted(
    tmp_path: Path, defect: Callable[[Path], None], table: str, reason: str
) -> None:
    source = write_sites(tmp_path / "in", 4, 5)
    defect(source / "P1-A01-3" / f"{table}.csv")
    with pytest.raises(TooManyFailedExportsError) as caught:
        convert(source, tmp_path / "out")
    assert "P1-A01-3" in caught.value.why
    assert reason in caught.value.why
    assert caught.value.exit_code == ExitCode.INPUT_DATA
    assert not (tmp_path / "out").exists()

    profile, report = convert(source, tmp_path / "out", max_failed_exports=1)
    assert profile.num_rows == 15
    assert set(profile["Metadata_Site"].to_pylist()) == {1, 2, 4}
    assert [(entry.export, entry.table) for entry in failed(report)] == [("P1-A01-3", table.lower())]
    assert reason in (failed(report)[0].reason or "")
    assert report.counts.failed_exports == 1
    assert {entry.outcome for entry in report.ledger if entry.export == "P1-A01-3"} <= {
        Outcome.FAILED,
        Outcome.LEFT_OUT,
    }


def test_with_join_off_the_valid_tables_of_a_failed_export_are_converted(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 3, 5)
    emptied(source / "P1-A01-2" / "Cells.csv")
    cut_in_a_row(source / "P1-A01-3" / "Nuclei.csv")
    tables, report = convert_to_folder(source, tmp_path / "out", join=False, max_failed_exports=2)
    rows = {name: table.num_rows for name, table in tables.items()}
    assert rows == {"cells.parquet": 10, "cytoplasm.parquet": 15, "image.parquet": 3, "nuclei.parquet": 12}
    assert {entry.path for entry in failed(report)} == {"P1-A01-2/Cells.csv", "P1-A01-3/Nuclei.csv"}


def test_every_input_is_in_the_ledger_exactly_once(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 4, 5)
    emptied(source / "P1-A01-1" / "Cells.csv")
    cut_in_a_row(source / "P1-A01-2" / "Nuclei.csv")
    (source / "notes.txt").write_text("hello")
    _, report = convert(source, tmp_path, max_failed_exports=2)
    paths = sorted(entry.path for entry in report.ledger)
    assert paths == sorted(str(path.relative_to(source)) for path in source.rglob("*") if path.is_file())
    assert all(entry.size is not None for entry in report.ledger)
    assert all(entry.reason for entry in report.ledger if entry.outcome is not Outcome.CONVERTED)
    assert {entry.rows for entry in report.ledger if entry.table == "cytoplasm" and entry.rows} == {5}


def test_an_empty_site_is_no_failure(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 3)
    write_site(source / "P1-A02-1", site_tables(0, well="A02"))
    table, report = convert(source, tmp_path)
    assert table.num_rows == 6
    assert report.counts.failed_exports == 0
    empty = [entry for entry in report.ledger if entry.outcome is Outcome.EMPTY]
    assert {entry.path for entry in empty} == {f"P1-A02-1/{name}.csv" for name in ("Cells", "Cytoplasm", "Nuclei")}


def test_a_site_without_cells_but_with_nuclei_is_no_failure(tmp_path: Path) -> None:
    tables = site_tables(2)
    tables["Image"] = with_column(tables["Image"], "Count_Cells", pa.array([0.0])).append_column(
        "Count_Cytoplasm", pa.array([0.0])
    )
    for name in ("Cells", "Cytoplasm"):
        tables[name] = tables[name].slice(0, 0)
    source = write_sites(tmp_path / "in", 1, 3)
    write_site(source / "P1-A01-9", tables)
    table, report = convert(source, tmp_path)
    assert (table.num_rows, report.counts.failed_exports) == (3, 0)


def test_a_plate_of_empty_sites_is_an_empty_profile_with_all_columns(tmp_path: Path) -> None:
    table, _ = convert(write_sites(tmp_path / "in", 2, 0), tmp_path)
    assert table.num_rows == 0
    assert {"Cells_AreaShape_Area", "Metadata_Well"} <= set(table.column_names)


def test_a_column_that_one_site_lacks_stays_for_the_others(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 3, 2)
    tables = site_tables(2, offset=2000)
    tables["Cells"] = tables["Cells"].drop_columns(["AreaShape_Area"])
    write_site(source / "P1-A01-2", tables)
    table, report = convert(source, tmp_path)
    assert table["Cells_AreaShape_Area"].to_pylist() == [1001.0, 1002.0, None, None, 3001.0, 3002.0]
    assert [(d.export, d.table, d.column) for d in report.schema_differences] == [
        ("P1-A01-2", "cells", "AreaShape_Area")
    ]


def test_a_column_that_only_one_site_has_is_kept(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 2)
    tables = site_tables(2)
    tables["Nuclei"] = tables["Nuclei"].append_column("Extra", pa.array([1.5, 2.5, 3.5]))
    write_site(source / "P1-A01-2", tables)
    table, report = convert(source, tmp_path)
    assert table["Nuclei_Extra"].to_pylist() == [None, None, 1.5, 2.5]
    assert [d.export for d in report.schema_differences] == ["P1-A01-1"]


def test_files_that_never_end_their_last_line_are_a_style_and_no_defect(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 3)
    for path in source.rglob("*.csv"):
        path.write_bytes(path.read_bytes().rstrip(b"\n"))
    table, _ = convert(source, tmp_path)
    assert table.num_rows == 6


def test_when_no_export_can_be_converted_the_job_fails_whatever_max_failed_exports_is(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 1, 3)
    emptied(source / "P1-A01-1" / "Cells.csv")
    with pytest.raises(InputDataError, match="nothing could be converted"):
        convert(source, tmp_path / "out", max_failed_exports=5)


def test_text_in_one_site_and_numbers_in_the_others_fails_that_site_and_names_both(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 2)
    tables = site_tables(2)
    tables["Cells"] = with_column(tables["Cells"], "AreaShape_Area", pa.array(["big", "small"]))
    write_site(source / "P1-A01-3", tables)
    table, report = convert(source, tmp_path, max_failed_exports=1)
    assert table.num_rows == 4
    assert failed(report)[0].path == "P1-A01-3/Cells.csv"
    assert failed(report)[0].reason == "text in numeric column 'AreaShape_Area': 'big', where P1-A01-1 has a number"


def test_a_column_that_is_text_in_most_sites_is_text(tmp_path: Path) -> None:
    for site, values in enumerate((["big", "small"], ["tiny", "big"], ["1.50", "big"]), start=1):
        tables = site_tables(2)
        tables["Cells"] = tables["Cells"].append_column("Classify_Size", pa.array(values))
        write_site(tmp_path / "in" / f"P1-A01-{site}", tables)
    table, _ = convert(tmp_path / "in", tmp_path)
    assert table["Metadata_Cells_Classify_Size"].to_pylist() == ["big", "small", "tiny", "big", "1.50", "big"]


def test_numbers_in_one_site_of_a_text_column_fail_it_unless_the_job_gives_a_type(tmp_path: Path) -> None:
    for site, values in enumerate((["big", "small"], ["tiny", "big"], ["1.50", "2"]), start=1):
        tables = site_tables(2)
        tables["Cells"] = tables["Cells"].append_column("Classify_Size", pa.array(values))
        write_site(tmp_path / "in" / f"P1-A01-{site}", tables)
    with pytest.raises(TooManyFailedExportsError, match="numbers in text column 'Classify_Size'") as caught:
        convert(tmp_path / "in", tmp_path)
    assert "P1-A01-3/Cells.csv" in caught.value.why
    assert "P1-A01-1 has 'big'" in caught.value.why
    table, _ = convert(tmp_path / "in", tmp_path, column_types={"cells.Classify_Size": "text"})
    assert table["Metadata_Cells_Classify_Size"].to_pylist() == ["big", "small", "tiny", "big", "1.50", "2"]
    table, report = convert(tmp_path / "in", tmp_path, column_types={"Classify_Size": "number"})
    assert table["Cells_Classify_Size"].to_pylist() == [None, None, None, None, 1.5, 2.0]
    assert {(r.text, r.became, r.count, r.exports) for r in report.repairs} == {
        ("big", "null", 2, 2),
        ("small", "null", 1, 1),
        ("tiny", "null", 1, 1),
    }


def test_image_metadata_beside_objects_is_what_all_of_its_values_are(tmp_path: Path) -> None:
    rows = {
        "Metadata_Plate": (["110000106828"] * 2, ["110000106828"] * 2, pa.int64()),
        "Metadata_Well": (["A01"] * 2, ["B02"] * 2, pa.string()),
        "Metadata_Dose": (["0", "1"], ["0", "0.5"], pa.float64()),
        "Metadata_Drug": (["1", "2"], ["DMSO", "3"], pa.string()),
        "Metadata_Note": (["", ""], ["7", "8"], pa.int64()),
        "Metadata_Blank": (["", ""], ["", ""], pa.string()),
    }
    for site in (0, 1):
        tables = site_tables(2)
        for name, values in rows.items():
            tables["Cells"] = tables["Cells"].append_column(name, pa.array(values[site]))
        write_site(tmp_path / "in" / f"s{site}", tables)
    outputs, _ = convert_to_folder(tmp_path / "in", tmp_path / "out", join=False, column_names="cytotable")
    cells = outputs["cells.parquet"]
    kinds = {name: values[2] for name, values in rows.items()}
    names = {name: name if name in ("Metadata_Plate", "Metadata_Well") else f"Cells_{name}" for name in rows}
    assert {name: cells.schema.field(names[name]).type for name in rows} == kinds
    assert cells["Cells_Metadata_Drug"].to_pylist() == ["1", "2", "DMSO", "3"]
    assert cells["Cells_Metadata_Note"].to_pylist() == [None, None, 7, 8]


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty file"), (b"not a database" * 9, "not a SQLite database")])
def test_a_file_that_is_no_database_is_reported(tmp_path: Path, content: bytes, reason: str) -> None:
    write_sqlite(tmp_path / "in" / "good.sqlite", cytominer_tables(site_tables(3), 1))
    (tmp_path / "in" / "bad.sqlite").write_bytes(content)
    with pytest.raises(TooManyFailedExportsError) as caught:
        convert(tmp_path / "in", tmp_path / "out")
    assert reason in caught.value.why
    table, report = convert(tmp_path / "in", tmp_path / "out", max_failed_exports=1)
    assert table.num_rows == 3
    assert [entry.path for entry in failed(report)] == ["bad.sqlite"]


def test_a_sqlite_file_cut_short_is_reported(tmp_path: Path) -> None:
    good = write_sqlite(tmp_path / "in" / "good.sqlite", cytominer_tables(site_tables(2000), 1))
    bad = tmp_path / "in" / "bad.sqlite"
    bad.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    table, report = convert(tmp_path / "in", tmp_path / "out", max_failed_exports=1)
    assert table.num_rows == 2000
    assert failed(report)[0].path == "bad.sqlite"


def test_nan_as_text_in_a_numeric_sqlite_column_becomes_null_and_is_counted(tmp_path: Path) -> None:
    one = cytominer_tables(site_tables(3), "t1")
    path = write_sqlite(tmp_path / "in" / "p.sqlite", one)
    two = cytominer_tables(site_tables(2), "t2")
    two["Cells"] = with_column(two["Cells"], "Cells_AreaShape_Area", pa.array(["nan", "nan"]))
    write_sqlite(path, two)
    table, report = convert(path, tmp_path)
    assert table["Cells_AreaShape_Area"].to_pylist() == [1.0, 2.0, 3.0, None, None]
    repair = report.repairs[0]
    assert (repair.table, repair.column, repair.text, repair.became, repair.count) == (
        "Cells",
        "Cells_AreaShape_Area",
        "nan",
        "null",
        2,
    )
    assert len(report.repairs) == 1


def test_a_table_with_fewer_objects_than_are_counted_is_cut_short_if_another_table_agrees(tmp_path: Path) -> None:
    tables = site_tables(5)
    tables["Image"] = tables["Image"].append_column("Count_Cytoplasm", pa.array([5.0]))
    tables["Cytoplasm"] = tables["Cytoplasm"].slice(0, 1)
    write_site(tmp_path / "in" / "bad", tables)
    write_site(tmp_path / "in" / "good", site_tables(2))
    table, report = convert(tmp_path / "in", tmp_path, max_failed_exports=1)
    assert table.num_rows == 2
    assert failed(report)[0].path == "bad/Cytoplasm.csv"
    assert failed(report)[0].reason == "cut short: the image table counts 5 objects, the table has 1"


def test_a_table_with_fewer_objects_than_are_counted_is_a_warning_if_no_table_agrees(tmp_path: Path) -> None:
    tables = site_tables(3)
    for name in ("Count_Cells", "Count_Nuclei"):
        tables["Image"] = with_column(tables["Image"], name, pa.array([500.0]))
    table, report = convert(write_site(tmp_path / "in", tables), tmp_path)
    assert table.num_rows == 3
    assert [(w.table, w.count, w.what) for w in report.warnings if "counts" in w.what] == [
        ("cells", 497, "objects that the image table counts and the table lacks"),
        ("nuclei", 496, "objects that the image table counts and the table lacks"),
    ]


def test_objects_whose_image_is_missing_are_a_warning(tmp_path: Path) -> None:
    tables = site_tables(3)
    tables["Image"] = with_column(tables["Image"], "ImageNumber", pa.array([7]))
    table, report = convert(write_site(tmp_path / "in", tables), tmp_path)
    assert table.num_rows == 3
    assert [w.count for w in report.warnings if w.what == "objects whose image is not in the image table"] == [3]


@pytest.mark.parametrize("number", ["1.5", "abc", "", "99999999999999999999999"])
@pytest.mark.parametrize("table", ["Image", "Cells"])
def test_an_image_number_that_is_no_number_fails_the_export(tmp_path: Path, table: str, number: str) -> None:
    source = write_sites(tmp_path / "in", 2, 3)
    path = source / "P1-A01-2" / f"{table}.csv"
    header, row, *rest = path.read_text().splitlines()
    values = row.split(",")
    values[header.split(",").index("ImageNumber")] = number
    path.write_text("\n".join([header, ",".join(values), *rest]) + "\n")
    profile, report = convert(source, tmp_path, max_failed_exports=1)
    assert profile.num_rows == 3
    assert failed(report)[0].path == f"P1-A01-2/{table}.csv"


@pytest.mark.parametrize("content", [b"a\rb,c\r1,2\r", b'ImageNumber,ObjectNumber\n1,"x\ry"\n'])
def test_carriage_returns_inside_lines_fail_the_export(tmp_path: Path, content: bytes) -> None:
    source = write_sites(tmp_path / "in", 2, 3)
    (source / "P1-A01-2" / "Cells.csv").write_bytes(content)
    profile, report = convert(source, tmp_path, max_failed_exports=1)
    assert profile.num_rows == 3
    assert failed(report)[0].path == "P1-A01-2/Cells.csv"


def test_text_and_numbers_in_an_image_column_are_refused_unless_the_job_gives_a_type(tmp_path: Path) -> None:
    for site, channel in enumerate(("1", "2", "DAPI")):
        tables = site_tables(2)
        tables["Image"] = tables["Image"].append_column("Channel_DNA", pa.array([channel]))
        write_site(tmp_path / "in" / f"s{site}", tables)
    assert convert(tmp_path / "in", tmp_path)[0].num_rows == 6
    with pytest.raises(LayoutError) as caught:
        convert_to_folder(tmp_path / "in", tmp_path / "out", join=False)
    assert caught.value.where == "s2/Image.csv and s0/Image.csv"
    types = {"Channel_DNA": "text"}
    outputs, _ = convert_to_folder(tmp_path / "in", tmp_path / "out", join=False, column_types=types)
    assert outputs["image.parquet"]["Image_Channel_DNA"].to_pylist() == ["1", "2", "DAPI"]


def test_a_long_field_in_an_image_table_is_no_defect(tmp_path: Path) -> None:
    tables = site_tables(3)
    tables["Image"] = tables["Image"].append_column("Metadata_Pipeline", pa.array(["x" * 300_000]))
    assert convert(write_site(tmp_path / "in", tables), tmp_path)[0].num_rows == 3


def test_a_word_in_the_first_row_fails_the_export_and_makes_no_text_column(tmp_path: Path) -> None:
    tables = site_tables(3)
    tables["Cells"] = with_column(tables["Cells"], "AreaShape_Area", pa.array(["12x4", "2", "3"]))
    with pytest.raises(TooManyFailedExportsError) as caught:
        convert(write_site(tmp_path / "in", tables), tmp_path / "out")
    assert "Cells.csv (cells): text in numeric column 'AreaShape_Area': row 1 holds '12x4'" in caught.value.why


def test_when_all_exports_fail_while_they_are_read_there_is_no_empty_profile(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 1, 3)
    cut_in_a_row(source / "P1-A01-1" / "Cells.csv")
    with pytest.raises(InputDataError, match="nothing could be converted"):
        convert(source, tmp_path / "out", max_failed_exports=5)
    assert not (tmp_path / "out").exists()


def test_a_sqlite_table_without_image_numbers_is_reported(tmp_path: Path) -> None:
    tables = cytominer_tables(site_tables(3), 1)
    tables["Cells"] = tables["Cells"].rename_columns(
        ["X" if name == "ImageNumber" else name for name in tables["Cells"].column_names]
    )
    with pytest.raises(TooManyFailedExportsError, match="no ImageNumber column"):
        convert(write_sqlite(tmp_path / "in" / "p.sqlite", tables), tmp_path / "out")


def test_a_sqlite_table_that_is_not_read_is_reported(tmp_path: Path) -> None:
    tables = cytominer_tables(site_tables(3), 1) | {"Experiment": pa.table({"name": ["x"]})}
    _, report = convert(write_sqlite(tmp_path / "in" / "p.sqlite", tables), tmp_path)
    assert [entry.table for entry in report.ledger if entry.outcome is Outcome.IGNORED] == ["Experiment"]


def test_sqlite_keys_declared_as_text_join_all_the_same(tmp_path: Path) -> None:
    tables = cytominer_tables(site_tables(3), 1)
    for name, column in (("Cytoplasm", "Cytoplasm_Parent_Cells"), ("Cells", "ImageNumber"), ("Nuclei", "ObjectNumber")):
        tables[name] = with_column(tables[name], column, tables[name][column].cast(pa.string()))
    table, _ = convert(write_sqlite(tmp_path / "in" / "p.sqlite", tables), tmp_path)
    assert table["Cells_AreaShape_Area"].to_pylist() == [1.0, 2.0, 3.0]
    assert table["Nuclei_AreaShape_Area"].to_pylist() == [100.0, 200.0, 300.0]


@pytest.mark.parametrize("join", [True, False])
def test_text_in_a_numeric_column_of_a_sqlite_image_table_is_counted_too(tmp_path: Path, join: bool) -> None:
    tables = cytominer_tables(site_tables(3), 1)
    tables["Image"] = with_column(tables["Image"], "Image_Count_Nuclei", pa.array([4.0]))
    path = write_sqlite(tmp_path / "in" / "p.sqlite", tables)
    tables["Image"] = with_column(tables["Image"], "Image_Count_Nuclei", pa.array(["nan"]))
    tables["Image"] = with_column(tables["Image"], "ImageNumber", pa.array([2]))
    write_sqlite(path, {"Image": tables["Image"]})
    _, report = convert_to_folder(path, tmp_path / "out", join=join)
    repairs = [(repair.table, repair.column, repair.text, repair.count) for repair in report.repairs]
    assert repairs == [("Image", "Image_Count_Nuclei", "nan", 1)]


def test_a_whole_table_is_not_blamed_for_a_wrong_parent_number(tmp_path: Path) -> None:
    """The image table counts as many cells as there are, so that the number in the other table is the fault."""
    tables = site_tables(5)
    tables["Cytoplasm"] = with_column(tables["Cytoplasm"], "Parent_Cells", pa.array([1, 2, 3, 4, 7]))
    write_site(tmp_path / "in" / "P1-A01-1", tables)
    table, report = convert(tmp_path / "in", tmp_path)
    assert table.num_rows == 5
    assert failed(report) == []
    (warning,) = [each for each in report.warnings if each.what == "objects whose parent is not in cells"]
    assert (warning.table, warning.count) == ("cytoplasm", 1)
