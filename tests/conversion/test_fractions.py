"""Fractions in columns whose names promise integers: kept as doubles, unless rows are joined by them."""

import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.errors import InputDataError
from cytobatch.planning.inventory import SourceFile
from cytobatch.report.model import RunReport
from cytobatch.storage.prefetch import FetchedFiles
from cytobatch.storage.source import Source
from tests.support.examples import examples
from tests.support.plates import (
    Tables,
    convert,
    convert_to_folder,
    cytominer_tables,
    incarta_table,
    per_tables,
    site_tables,
    with_column,
    write_incarta,
    write_site,
    write_sqlite,
)

pytestmark = pytest.mark.slow

COUNTS = ("Children_Spots_Count", "Neighbors_FirstClosestObjectNumber_5", "Parent_Spots", "Number_Object_Number")
MEANS = (
    "Mean_Spots_Number_Object_Number",
    "Mean_Spots_Parent_Nuclei",
    "Mean_Spots_Children_Dots_Count",
    "Median_Spots_AreaShape_Area",
    "StDev_Spots_Neighbors_FirstClosestObjectNumber_5",
    "Neighbors_NumberOfNeighbors_5",
)
WRITERS = ("csv", "per", "cytominer")


def plate(folder: Path, writer: str, sites: list[Tables]) -> Path:
    """Write each site as one export: a folder of CSV files, or a database."""
    for number, tables in enumerate(sites, 1):
        if writer == "csv":
            write_site(folder / f"P1-A01-{number}", tables)
        elif writer == "per":
            write_sqlite(folder / f"{number}.sqlite", per_tables(tables))
        else:
            write_sqlite(folder / f"{number}.sqlite", cytominer_tables(tables, number))
    return folder


def sites_with(columns: dict[str, list[list[float]]]) -> list[Tables]:
    """Return sites of two objects, whose cells have these columns; a column has its values by site."""
    sites = []
    for site in range(len(next(iter(columns.values())))):
        tables = site_tables(2, offset=100.0 * site)
        cells = tables["Cells"]
        for name, by_site in columns.items():
            whole = all(float(value).is_integer() for value in by_site[site])
            values = pa.array(by_site[site], pa.float64())
            cells = cells.append_column(name, values.cast(pa.int64()) if whole else values)
        tables["Cells"] = cells
        tables["Image"] = with_column(tables["Image"], "Metadata_Site", pa.array([site + 1]))
        sites.append(tables)
    return sites


def told(report: RunReport, column: str) -> list[int | None]:
    return [warning.exports for warning in report.warnings if f"{column}' of table 'cells'" in warning.what]


@pytest.mark.slow
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("column", MEANS)
def test_means_and_neighbours_are_doubles_by_name(writer: str, column: str, tmp_path: Path) -> None:
    for number, values in enumerate(([[1.0, 2.0]], [[1.5, 2.0]])):
        source = plate(tmp_path / f"in{number}", writer, sites_with({column: values}))
        table, report = convert(source, tmp_path / f"out{number}")
        assert table.schema.field(f"Cells_{column}").type == pa.float64()
        assert table[f"Cells_{column}"].to_pylist() == values[0]
        assert not report.warnings or not told(report, column)


@pytest.mark.slow
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("column", COUNTS)
def test_a_count_with_fractions_is_a_double_for_that_plate_with_a_warning(
    writer: str, column: str, tmp_path: Path
) -> None:
    if writer == "per" and column == "Number_Object_Number":
        pytest.skip("it is the key of these tables")
    whole = plate(tmp_path / "whole", writer, sites_with({column: [[1, 2], [3, 4]]}))
    table, report = convert(whole, tmp_path / "one", column_names="cytotable")
    name = next(name for name in table.column_names if name.endswith(column) and "Cells" in name)
    assert table.schema.field(name).type == pa.int64()
    assert not told(report, column)
    mixed = plate(tmp_path / "mixed", writer, sites_with({column: [[1, 2], [3.25, 4]]}))
    table, report = convert(mixed, tmp_path / "two", column_names="cytotable")
    assert table.schema.field(name).type == pa.float64()
    assert sorted(table[name].to_pylist()) == [1, 2, 3.25, 4]
    assert report.counts.failed_exports == 0
    declared_as_double = writer != "csv" and column not in {"Parent_Spots", "Number_Object_Number"}
    # A database declares the column of one export as a double already.
    assert declared_as_double or told(report, column) == [1]


@settings(max_examples=examples(15))
@given(st.permutations([[1.0, 2.0], [3.0, 4.5], [5.0, 6.0], [0.25, 8.0]]), st.sampled_from(("csv", "cytominer")))
def test_the_type_does_not_depend_on_the_order_of_exports(
    tmp_path_factory: pytest.TempPathFactory, values: list[list[float]], writer: str
) -> None:
    folder = tmp_path_factory.mktemp("plate")
    counts = {"Parent_Spots": values, "Children_Spots_Count": values[::-1]}
    table, report = convert(plate(folder / "in", writer, sites_with(counts)), folder / "out", column_names="cytotable")
    for column, by_site in counts.items():
        name = next(name for name in table.column_names if name.endswith(column) and "Cells" in name)
        assert table.schema.field(name).type == pa.float64()
        assert sorted(table[name].to_pylist()) == sorted(value for site in by_site for value in site)
    assert told(report, "Parent_Spots") == [2]
    assert table.num_rows == 8


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("Cells", "ImageNumber"),
        ("Cells", "ObjectNumber"),
        ("Cytoplasm", "Parent_Cells"),
        ("Cytoplasm", "Parent_Nuclei"),
    ],
)
def test_what_is_joined_by_must_be_an_integer(writer: str, table: str, column: str, tmp_path: Path) -> None:
    (site,) = sites_with({"AreaShape_Extent": [[0.5, 0.5]]})
    site[table] = with_column(site[table], column, pa.array([1.5, 2.0]))
    with pytest.raises(InputDataError, match="a fraction in integer column"):
        convert(plate(tmp_path / "in", writer, [site]), tmp_path / "out")


def test_a_parent_that_no_join_uses_may_be_a_fraction(tmp_path: Path) -> None:
    (site,) = sites_with({"AreaShape_Extent": [[0.5, 0.5]]})
    site["Cells"] = with_column(site["Cells"], "Parent_Nuclei", pa.array([1.5, 2.0]))
    table, report = convert(plate(tmp_path / "in", "csv", [site]), tmp_path / "out")
    assert table["Metadata_Cells_Parent_Nuclei"].to_pylist() == [1.5, 2.0]
    assert told(report, "Parent_Nuclei") == [1]


@pytest.mark.parametrize("concat", [True, False])
def test_tables_without_a_join_keep_fractions(concat: bool, tmp_path: Path) -> None:
    source = plate(tmp_path / "in", "csv", sites_with({"Children_Spots_Count": [[1, 2], [3, 4], [5, 6.5]]}))
    found, report = convert_to_folder(source, tmp_path / "out", join=False, concat=concat, column_names="cytotable")
    cells = [table for name, table in found.items() if name.startswith("cells")]
    values = [value for table in cells for value in table["Cells_Children_Spots_Count"].to_pylist()]
    assert sorted(values) == [1, 2, 3, 4, 5, 6.5]
    assert {table.schema.field("Cells_Children_Spots_Count").type for table in cells} == {pa.float64()}
    assert told(report, "Children_Spots_Count") == [1]


def test_fractions_in_a_column_that_the_job_declares_an_integer_are_refused(tmp_path: Path) -> None:
    source = plate(tmp_path / "in", "csv", sites_with({"Children_Spots_Count": [[1, 2.5]]}))
    with pytest.raises(InputDataError, match="a fraction in integer column"):
        convert(source, tmp_path / "out", column_types={"Children_Spots_Count": "integer"})


def test_a_later_row_with_a_fraction_in_a_column_declared_as_integer(tmp_path: Path) -> None:
    (site,) = sites_with({"Metadata_Dose": [[1, 2]], "Children_Spots_Count": [[1, 2]]})
    path = write_sqlite(tmp_path / "in" / "p.sqlite", cytominer_tables(site, 1))
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE Cells SET Cells_Metadata_Dose = 0.5, Cells_Children_Spots_Count = 7.5 WHERE rowid = 2"
        )
    connection.close()
    table, report = convert(path, tmp_path / "out", column_names="cytotable")
    assert table["Cells_Children_Spots_Count"].to_pylist() == [1, 7.5]
    assert table["Cells_Metadata_Dose"].to_pylist() == [1, 0.5]
    assert told(report, "Children_Spots_Count") == [1]


@pytest.mark.parametrize("reader", ["native", "duckdb"])
def test_objects_called_mean_cells_are_joined_by_their_numbers(reader: str, tmp_path: Path) -> None:
    site = site_tables(2)
    site["Mean_Cells"] = site.pop("Cells")
    site["Cytoplasm"] = site["Cytoplasm"].rename_columns(
        ["Parent_Mean_Cells" if name == "Parent_Cells" else name for name in site["Cytoplasm"].column_names]
    )
    path = write_sqlite(tmp_path / "in" / "p.sqlite", per_tables(site))
    table, _ = convert(path, tmp_path / "out", sqlite_reader=reader, column_names="cytotable")
    assert table["Mean_Cells_AreaShape_Area"].to_pylist() == [1.0, 2.0]
    number = next(name for name in table.column_names if name.endswith("Mean_Cells_Number_Object_Number"))
    assert table.schema.field(number).type == pa.int64()


def test_files_of_whole_rows_keep_fractions_of_what_identifies_no_object(tmp_path: Path) -> None:
    table = incarta_table()
    heights = pa.array([0.5 * (row + 1) for row in range(table.num_rows)])
    write_incarta(tmp_path / "in" / "Day0.csv", with_column(table, "Z", heights))
    write_incarta(tmp_path / "in" / "Day1.csv", table)
    found, report = convert(tmp_path / "in", tmp_path / "out")
    assert set(heights.to_pylist()) <= set(found["Z"].to_pylist())
    assert [warning.first_exports for warning in report.warnings if "'Z'" in warning.what] == [["Day0.csv"]]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("join", [True, False])
def test_counts_of_the_image_table_may_hold_fractions(writer: str, join: bool, tmp_path: Path) -> None:
    sites = sites_with({"AreaShape_Extent": [[0.5, 0.5]] * 3})
    for number, site in enumerate(sites):
        counts = pa.array([2 if number != 1 else 2.5])
        site["Image"] = site["Image"].append_column("Count_Spots", counts)
    found, report = convert_to_folder(plate(tmp_path / "in", writer, sites), tmp_path / "out", join=join)
    table = found["single_cells.parquet" if join else "image.parquet"]
    column = "Metadata_Count_Spots" if join else "Image_Count_Spots"
    assert table.schema.field(column).type == pa.float64()
    assert set(table[column].to_pylist()) == {2, 2.5}
    assert [warning.exports for warning in report.warnings if "Count_Spots' of table 'image'" in warning.what] == [1]


def test_a_count_with_fractions_does_not_count_the_objects_of_its_table(tmp_path: Path) -> None:
    (site,) = sites_with({"AreaShape_Extent": [[0.5, 0.5]]})
    site["Image"] = with_column(site["Image"], "Count_Cells", pa.array([7.5]))
    table, report = convert(plate(tmp_path / "in", "csv", [site]), tmp_path / "out")
    assert table["Metadata_Count_Cells"].to_pylist() == [7.5, 7.5]
    assert not [warning for warning in report.warnings if "image table counts" in warning.what]


def test_a_count_declared_as_integer_in_the_image_table_may_hold_a_fraction(tmp_path: Path) -> None:
    (site,) = sites_with({"AreaShape_Extent": [[0.5, 0.5]]})
    site["Image"] = site["Image"].append_column("Count_Spots", pa.array([3]))
    path = write_sqlite(tmp_path / "in" / "p.sqlite", per_tables(site))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE Per_Image SET Image_Count_Spots = 3.5")
    connection.close()
    table, report = convert(path, tmp_path / "out")
    assert table["Metadata_Count_Spots"].to_pylist() == [3.5, 3.5]
    assert len([warning for warning in report.warnings if "Count_Spots" in warning.what]) == 1


def test_means_in_image_tables_are_doubles_by_name(tmp_path: Path) -> None:
    (site,) = sites_with({"AreaShape_Extent": [[0.5, 0.5]]})
    site["Image"] = site["Image"].append_column("Mean_Cells_Children_Spots_Count", pa.array([3]))
    source = plate(tmp_path / "in", "csv", [site])
    table, _ = convert(source, tmp_path / "out", image_columns=".*Mean_.*")
    assert table.schema.field("Image_Mean_Cells_Children_Spots_Count").type == pa.float64()


@pytest.mark.parametrize("writer", ["csv", "cytominer"])
@pytest.mark.parametrize("workers", [1, 3])
def test_files_that_were_fetched_and_removed_are_fetched_again(
    writer: str, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [[float(number), 1.0] for number in range(12)]
    source = plate(tmp_path / "in", writer, sites_with({"Parent_Spots": [*values, [0.5, 1.5]]}))
    cache = tmp_path / "cache"

    def fetch(file: SourceFile, _size: int) -> Path:
        local = cache / file.path
        if not local.exists():
            local.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / file.path, local)
        return local

    def inputs(_source: Source, files: Iterable[SourceFile], room: int) -> FetchedFiles:
        return FetchedFiles(files, fetch, 2, room)

    monkeypatch.setattr(Source, "inputs", inputs)
    table, report = convert(source, tmp_path / "out", workers=workers, column_names="cytotable")
    name = next(name for name in table.column_names if name.endswith("Cells_Parent_Spots"))
    assert sorted(table[name].to_pylist()) == sorted([0.5, 1.5, *(value for site in values for value in site)])
    assert told(report, "Parent_Spots") == [1]
    assert not [path for path in cache.rglob("*") if path.is_file()]
