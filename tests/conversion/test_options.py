"""The effect of each option on the output."""

import gzip
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cytobatch import __version__
from cytobatch.config.options import PlateJob
from cytobatch.conversion.table_loader import TableLoader
from cytobatch.errors import ConfigurationError, JoinSqlError, LayoutError
from cytobatch.pipeline.plate import run_plate
from tests.support.plates import (
    Tables,
    convert,
    convert_to_folder,
    cytominer_tables,
    per_tables,
    site_tables,
    with_column,
    write_site,
    write_sites,
    write_sqlite,
)

pytestmark = pytest.mark.slow

CYTOTABLE_JOIN = """
    SELECT image.Metadata_ImageNumber, COLUMNS('Image_FileName_.*'), cytoplasm.* EXCLUDE (Metadata_ImageNumber),
        cells.* EXCLUDE (Metadata_ImageNumber, Metadata_ObjectNumber),
        nuclei.* EXCLUDE (Metadata_ImageNumber, Metadata_ObjectNumber)
    FROM read_parquet('cytoplasm.parquet') AS cytoplasm
    LEFT JOIN read_parquet('cells.parquet') AS cells USING (Metadata_ImageNumber)
    LEFT JOIN read_parquet('nuclei.parquet') AS nuclei USING (Metadata_ImageNumber)
    LEFT JOIN read_parquet('image.parquet') AS image USING (Metadata_ImageNumber)
    WHERE cells.Metadata_ObjectNumber = cytoplasm.Metadata_Cytoplasm_Parent_Cells
        AND nuclei.Metadata_ObjectNumber = cytoplasm.Metadata_Cytoplasm_Parent_Nuclei
"""


def test_a_profile_has_cytotables_columns_and_plate_well_and_site(tmp_path: Path) -> None:
    table, report = convert(write_sites(tmp_path / "in", 1, 2), tmp_path)
    assert table.column_names == [
        "Metadata_ImageNumber",
        "Metadata_Cells_Parent_Nuclei",
        "Metadata_Count_Cells",
        "Metadata_Count_Nuclei",
        "Metadata_Cytoplasm_Parent_Cells",
        "Metadata_Cytoplasm_Parent_Nuclei",
        "Metadata_ObjectNumber",
        "Metadata_Plate",
        "Metadata_Site",
        "Metadata_Well",
        "Image_FileName_OrigDNA",
        "Cytoplasm_AreaShape_Area",
        "Cells_AreaShape_Area",
        "Nuclei_AreaShape_Area",
    ]
    assert table.select(["Metadata_Plate", "Metadata_Well", "Metadata_Site"]).to_pylist()[0] == {
        "Metadata_Plate": "P1",
        "Metadata_Well": "A01",
        "Metadata_Site": 1,
    }
    assert (report.counts.plates, report.counts.wells, report.counts.sites) == (1, 1, 1)


def test_locations_that_tables_lack_come_from_the_folder_and_then_from_the_job(tmp_path: Path) -> None:
    tables = site_tables(1)
    tables["Image"] = tables["Image"].drop_columns(["Metadata_Plate", "Metadata_Well", "Metadata_Site"])
    write_site(tmp_path / "in" / "B3-7", tables)
    table, _ = convert(tmp_path / "in", tmp_path, plate="BR9", site="1")
    assert table.select(["Metadata_Plate", "Metadata_Well", "Metadata_Site"]).to_pylist() == [
        {"Metadata_Plate": "BR9", "Metadata_Well": "B03", "Metadata_Site": 7}
    ]


def test_a_plate_without_image_tables_takes_its_locations_from_folders(tmp_path: Path) -> None:
    for site in (1, 2):
        tables = site_tables(2)
        del tables["Image"]
        write_site(tmp_path / "in" / f"P1-C05-{site}", tables)
    table, _ = convert(tmp_path / "in", tmp_path)
    assert table["Metadata_Site"].to_pylist() == [1, 1, 2, 2]
    assert set(table["Metadata_Well"].to_pylist()) == {"C05"}


def test_join_off_writes_a_parquet_for_each_table(tmp_path: Path) -> None:
    tables, _ = convert_to_folder(write_sites(tmp_path / "in", 2, 3), tmp_path / "out", join=False)
    assert {name: table.num_rows for name, table in tables.items()} == {
        "cells.parquet": 6,
        "cytoplasm.parquet": 6,
        "image.parquet": 2,
        "nuclei.parquet": 8,
    }
    assert tables["cells.parquet"].column_names == [
        "Metadata_TableNumber",
        "Metadata_ImageNumber",
        "Metadata_ObjectNumber",
        "Cells_AreaShape_Area",
        "Metadata_Cells_Parent_Nuclei",
    ]
    numbers = set(tables["image.parquet"]["Metadata_TableNumber"].to_pylist())
    images = sorted((tmp_path / "in").rglob("Image.csv"))
    assert numbers == {zlib.crc32(path.read_bytes()) for path in images}


def test_concat_off_writes_a_parquet_for_each_export(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 3)
    joined, _ = convert_to_folder(source, tmp_path / "one", concat=False)
    assert {name: table.num_rows for name, table in joined.items()} == {"P1-A01-1.parquet": 3, "P1-A01-2.parquet": 3}
    tables, _ = convert_to_folder(source, tmp_path / "two", concat=False, join=False)
    assert "cells/P1-A01-2.parquet" in tables
    assert len(tables) == 8


def test_exports_whose_file_names_would_be_equal_have_files_of_their_own(tmp_path: Path) -> None:
    for folder in ("a/b", "a-b"):
        write_site(tmp_path / "in" / folder, site_tables(2))
    tables, _ = convert_to_folder(tmp_path / "in", tmp_path / "out", concat=False)
    assert sorted(tables) == ["a-b-2.parquet", "a-b.parquet"]


@pytest.mark.parametrize("name", ["cellprofiler_csv", "auto"])
def test_a_join_written_for_cytotable_gives_the_rows_of_our_own(tmp_path: Path, name: str) -> None:
    source = write_sites(tmp_path / "in", 3, 4)
    ours, _ = convert(source, tmp_path / "one", preset=name)
    theirs, report = convert(source, tmp_path / "two", preset=name, joins=CYTOTABLE_JOIN)
    assert theirs.num_rows == 12
    assert theirs.equals(ours.select(theirs.column_names))
    assert set(ours.column_names) - set(theirs.column_names) == {"Metadata_Count_Cells", "Metadata_Count_Nuclei"}
    assert report.joins == [CYTOTABLE_JOIN]


def test_a_users_join_may_name_tables_as_the_source_does(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "in" / "p.sqlite", per_tables(site_tables(3)))
    table, _ = convert(path, tmp_path, joins="SELECT Metadata_ImageNumber, count(*) AS n FROM Per_Cells GROUP BY ALL")
    assert table.select(["Metadata_ImageNumber", "n", "Metadata_Well"]).to_pylist() == [
        {"Metadata_ImageNumber": 1, "n": 3, "Metadata_Well": "A01"}
    ]


def test_a_users_join_over_table_numbers_has_its_locations(tmp_path: Path) -> None:
    sites = []
    for number, well in ((1, "A1"), (2, "B2")):
        sites.append(cytominer_tables(site_tables(2, well=well), number))
    path = write_sqlite(tmp_path / "in" / "p.sqlite", *sites)
    table, _ = convert(
        path, tmp_path, joins="SELECT Metadata_TableNumber, Metadata_ImageNumber, Cells_ObjectNumber FROM cells"
    )
    wells = set(zip(table["Metadata_TableNumber"].to_pylist(), table["Metadata_Well"].to_pylist(), strict=True))
    assert wells == {(1, "A01"), (2, "B02")}


def test_a_users_sql_may_aggregate_values(tmp_path: Path) -> None:
    sql = "SELECT LIST(Cells_AreaShape_Area) AS areas, {'n': COUNT(*)} AS counts FROM cells"
    table, _ = convert(write_sites(tmp_path / "in", 2), tmp_path / "out", joins=sql)
    assert table.num_rows == 2
    assert [len(areas) for areas in table["areas"].to_pylist()] == [row["n"] for row in table["counts"].to_pylist()]


def test_a_join_that_names_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JoinSqlError, match="joins names ghosts"):
        convert(write_sites(tmp_path / "in", 1), tmp_path / "out", joins="SELECT * FROM ghosts")
    assert not (tmp_path / "out").exists()


def test_compartments_narrow_the_profile(tmp_path: Path) -> None:
    table, report = convert(write_sites(tmp_path / "in", 1, 2), tmp_path, compartments=("cells", "nuclei"))
    assert not [name for name in table.column_names if name.startswith("Cytoplasm")]
    assert table.num_rows == 2
    assert "cytoplasm" not in report.counts.objects


def test_identifying_columns_go_under_metadata(tmp_path: Path) -> None:
    identifying = ("ImageNumber", "ObjectNumber", "AreaShape_Area")
    table, _ = convert(
        write_sites(tmp_path / "in", 1, 2), tmp_path, identifying_columns=identifying, column_names="cytotable"
    )
    assert "Metadata_Cells_AreaShape_Area" in table.column_names
    assert "Cells_Parent_Nuclei" in table.column_names


def test_another_metadata_table_may_be_named(tmp_path: Path) -> None:
    tables = site_tables(2)
    tables["Picture"] = tables.pop("Image")
    table, _ = convert(write_site(tmp_path / "in" / "x", tables), tmp_path, metadata=("picture",))
    assert table["Metadata_Well"].to_pylist() == ["A01", "A01"]


def test_types_are_cast_by_group(tmp_path: Path) -> None:
    casts = {"float": "float32", "integer": "int32"}
    table, _ = convert(write_sites(tmp_path / "in", 1, 2), tmp_path, data_type_cast_map=casts)
    kinds = {str(field.type) for field in table.schema}
    assert kinds == {"float", "int32", "string"}


def test_values_that_do_not_fit_the_cast_type_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="do not fit"):
        convert(write_sites(tmp_path / "in", 2, 200), tmp_path, data_type_cast_map={"integer": "int8"})


def test_a_metadata_table_that_is_missing_is_reported(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no table for metadata nope"):
        convert(write_sites(tmp_path / "in", 1, 2), tmp_path, metadata=("nope",))


def test_rows_with_nulls_are_dropped_on_request_and_counted(tmp_path: Path) -> None:
    tables = site_tables(4)
    tables["Cells"] = with_column(tables["Cells"], "AreaShape_Area", pa.array([1.0, None, 3.0, None]))
    table, report = convert(write_site(tmp_path / "in", tables), tmp_path, drop_null=True)
    assert (table.num_rows, report.counts.rows_dropped_as_null) == (2, 2)


def test_an_unknown_location_drops_no_row(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 2)
    tables = site_tables(2)
    tables["Image"] = tables["Image"].drop_columns(["Metadata_Well", "Metadata_Site"])
    write_site(source / "elsewhere", tables)
    table, _ = convert(source, tmp_path, drop_null=True)
    assert table["Metadata_Well"].null_count == 2
    assert table.num_rows == 6


def test_rows_are_sorted_by_object_unless_sort_output_is_off(tmp_path: Path) -> None:
    tables = {name: table.take(list(range(table.num_rows))[::-1]) for name, table in site_tables(3).items()}
    source = write_site(tmp_path / "in", tables)
    assert convert(source, tmp_path / "a")[0]["Metadata_ObjectNumber"].to_pylist() == [1, 2, 3]
    assert convert(source, tmp_path / "b", sort_output=False)[0]["Metadata_ObjectNumber"].to_pylist() == [3, 2, 1]


def test_table_numbers_are_added_where_there_are_several_exports_or_on_request(tmp_path: Path) -> None:
    one, two = write_sites(tmp_path / "one", 1, 1), write_sites(tmp_path / "two", 2, 1)
    name = "Metadata_TableNumber"
    assert name not in convert(one, tmp_path / "a")[0].column_names
    assert name in convert(one, tmp_path / "b", add_tablenumber=True)[0].column_names
    assert name in convert(two, tmp_path / "c")[0].column_names
    assert name not in convert(two, tmp_path / "d", add_tablenumber=False)[0].column_names


def test_chunk_size_is_the_rows_of_a_row_group(tmp_path: Path) -> None:
    convert(write_sites(tmp_path / "in", 3, 5), tmp_path, chunk_size=4)
    file = pq.ParquetFile(tmp_path / "out.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4, 4, 4, 3]


def test_parquet_metadata_names_the_origin(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 1, 1)
    convert(source, tmp_path)
    metadata = pq.read_schema(tmp_path / "out.parquet").metadata
    assert metadata[b"cytobatch.version"] == __version__.encode()
    assert metadata[b"cytobatch.source"] == str(source).encode()
    assert metadata[b"cytobatch.preset"] == b"cellprofiler_csv"
    assert metadata[b"cytobatch.format_version"] == b"1"


def test_two_runs_of_one_input_give_the_same_bytes(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 5, 7)
    reports = [run_plate(PlateJob(source=str(source), destination=str(tmp_path / name))) for name in ("a", "b")]
    assert reports[0].outputs[0].sha256 == reports[1].outputs[0].sha256


@pytest.mark.usefixtures("any_memory")
@pytest.mark.slow
def test_little_memory_gives_the_same_profile_through_the_disk(tmp_path: Path) -> None:
    sites = [cytominer_tables(site_tables(4000, image=n, offset=1000.0 * n), "t") for n in range(1, 40)]
    path = write_sqlite(tmp_path / "in" / "p.sqlite", *sites)
    assert path.stat().st_size > 2**23
    large, _ = convert(path, tmp_path / "a", memory=2**32)
    small, _ = convert(path, tmp_path / "b", memory=2**26)
    assert small.num_rows == 39 * 4000
    assert small.equals(large)


@pytest.mark.usefixtures("any_memory")
def test_a_table_that_is_small_only_when_compressed_goes_through_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spilled = []
    spill = TableLoader._spill
    monkeypatch.setattr(TableLoader, "_spill", lambda *arguments: spilled.append(1) or spill(*arguments))
    tables = site_tables(60_000)
    for number in range(20):
        tables["Cells"] = tables["Cells"].append_column(f"Texture_{number}", pa.array([0.0] * 60_000))
    root = write_site(tmp_path / "in" / "P1-A01-1", tables).parent
    for path in (root / "P1-A01-1").glob("*.csv"):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    large, _ = convert(root, tmp_path / "a", memory=2**32)
    assert not spilled
    small, _ = convert(root, tmp_path / "b", memory=2**26)
    assert spilled
    assert small.num_rows == 60_000
    assert small.equals(large)


CPG0016 = [
    "Metadata_ImageNumber",
    "Image_Metadata_Row",
    "Image_Metadata_Site",
    "Metadata_ObjectNumber",
    "Metadata_ObjectNumber_1",
    "Metadata_ObjectNumber_2",
    "Metadata_Plate",
    "Metadata_Well",
    "Image_FileName_OrigDNA",
    "Image_TableNumber",
    "Cytoplasm_AreaShape_Area",
    "Cytoplasm_Number_Object_Number",
    "Cytoplasm_Parent_Cells",
    "Cytoplasm_Parent_Nuclei",
    "Cytoplasm_TableNumber",
    "Cells_AreaShape_Area",
    "Cells_Number_Object_Number",
    "Cells_Parent_Nuclei",
    "Cells_TableNumber",
    "Nuclei_AreaShape_Area",
    "Nuclei_TableNumber",
]
PYCYTOMINER = [
    "Metadata_ImageNumber",
    "Image_Metadata_Plate",
    "Image_Metadata_Well",
    "Metadata_Cells_Number_Object_Number",
    "Metadata_Cytoplasm_Parent_Cells",
    "Metadata_Cytoplasm_Parent_Nuclei",
    "Metadata_Nuclei_Number_Object_Number",
    "Image_FileName_OrigDNA",
    "Cytoplasm_AreaShape_Area",
    "Cytoplasm_Number_Object_Number",
    "Cells_AreaShape_Area",
    "Cells_Parent_Nuclei",
    "Nuclei_AreaShape_Area",
]


def jump_tables(objects: int) -> Tables:
    """Return tables as in the SQLite files of cpg0016: image columns of plate and well have no `Image_` in front."""
    tables = cytominer_tables(site_tables(objects), 5)
    bare = {"Image_Metadata_Plate": "Metadata_Plate", "Image_Metadata_Well": "Metadata_Well"}
    image = tables["Image"].rename_columns([bare.get(name, name) for name in tables["Image"].column_names])
    tables["Image"] = image.append_column("Image_Metadata_Row", pa.array(["A"]))
    for name in ("Cytoplasm", "Cells"):
        numbers = pa.array(range(1, objects + 1), pa.int64())
        tables[name] = tables[name].append_column(f"{name}_Number_Object_Number", numbers)
    return tables


ADDED = {"Metadata_Site", "Metadata_Count_Cells", "Metadata_Count_Nuclei"}


def test_a_jump_sqlite_has_the_columns_that_cytotable_writes_for_it(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "in" / "p.sqlite", jump_tables(4))
    table, _ = convert(path, tmp_path, preset="cellprofiler_sqlite_cpg0016_jump")
    assert [name for name in table.column_names if name not in ADDED] == CPG0016
    assert table.num_rows == 4


def test_pycytominers_preset_has_the_columns_that_cytotable_writes_for_it(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "in" / "p.sqlite", per_tables(site_tables(4)))
    table, _ = convert(path, tmp_path, preset="cellprofiler_sqlite_pycytominer")
    added = {*ADDED, "Metadata_Plate", "Metadata_Well"}
    assert [name for name in table.column_names if name not in added] == PYCYTOMINER
    assert table.num_rows == 4


def test_a_users_join_without_rows_is_an_empty_profile(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 2)
    table, report = convert(source, tmp_path, joins="SELECT * FROM cells WHERE Cells_AreaShape_Area < 0")
    assert (table.num_rows, report.counts.rows) == (0, 0)
    assert "Cells_AreaShape_Area" in table.column_names


def test_columns_of_the_image_table_are_kept_on_request(tmp_path: Path) -> None:
    tables = site_tables(2)
    tables["Image"] = (
        tables["Image"]
        .append_column("PathName_OrigDNA", pa.array(["/images"]))
        .append_column("ImageQuality_PowerLogLogSlope_DNA", pa.array(["-2.5"]))
        .append_column("ExecutionTime_01", pa.array([1.0]))
    )
    source = write_site(tmp_path / "in", tables)
    table, report = convert(source, tmp_path, image_columns="Image_(FileName|PathName|ImageQuality)_.*")
    kept = [name for name in table.column_names if name.startswith("Image_")]
    assert kept == ["Image_FileName_OrigDNA", "Image_ImageQuality_PowerLogLogSlope_DNA", "Image_PathName_OrigDNA"]
    assert table["Image_ImageQuality_PowerLogLogSlope_DNA"].to_pylist() == [-2.5, -2.5]
    assert "image_columns" not in str(report.warnings)
    table, report = convert(source, tmp_path, image_columns="ImageQuality_.*")
    assert not [name for name in table.column_names if name.startswith("Image_")]
    warnings = [warning.what for warning in report.warnings]
    assert "no column of the image table fits image_columns 'ImageQuality_.*'" in warnings


def test_objects_that_an_image_set_counts_are_metadata(tmp_path: Path) -> None:
    table, _ = convert(write_sites(tmp_path / "in", 2, 3), tmp_path, preset="cellprofiler_csv")
    assert table["Metadata_Count_Cells"].to_pylist() == [3] * 6
    assert table["Metadata_Count_Nuclei"].to_pylist() == [4] * 6


def test_columns_that_measure_nothing_go_under_metadata_with_auto(tmp_path: Path) -> None:
    tables = cytominer_tables(site_tables(3), 1)
    for name in ("Cells", "Cytoplasm", "Nuclei"):
        numbers = tables[name]["ObjectNumber"]
        more = {
            f"{name}_Number_Object_Number": numbers,
            f"{name}_Children_Spots_Count": numbers,
            f"{name}_Neighbors_FirstClosestObjectNumber_5": numbers,
            f"{name}_Neighbors_NumberOfNeighbors_5": numbers,
            f"{name}_Classify_Kind": pa.array(["a"] * tables[name].num_rows),
        }
        for column, values in more.items():
            tables[name] = tables[name].append_column(column, values)
    path = write_sqlite(tmp_path / "in" / "p.sqlite", tables)
    auto, _ = convert(path, tmp_path / "one")
    ours, _ = convert(path, tmp_path / "two", column_names="cytotable")
    moved = set(ours.column_names) - set(auto.column_names)
    assert {f"Metadata_{name}" for name in moved} == set(auto.column_names) - set(ours.column_names)
    left = {name for name in auto.column_names if name.startswith(("Cells_", "Cytoplasm_", "Nuclei_"))}
    assert left == {
        f"{name}_{column}"
        for name in ("Cells", "Cytoplasm", "Nuclei")
        for column in ("AreaShape_Area", "Neighbors_NumberOfNeighbors_5")
    }
    assert "Cells_Number_Object_Number" in ours.column_names
    for name in moved:
        assert auto[f"Metadata_{name}"].equals(ours[name])


def test_values_that_are_no_finite_numbers_are_counted_for_each_column(tmp_path: Path) -> None:
    for site, values in enumerate((["nan", "1", "-nan(ind)"], ["inf", "", "2"]), start=1):
        tables = site_tables(3)
        tables["Cells"] = with_column(tables["Cells"], "AreaShape_Area", pa.array(values))
        write_site(tmp_path / "in" / f"P1-A01-{site}", tables)
    _, report = convert(tmp_path / "in", tmp_path)
    non_finite = {item.column: (item.nulls, item.nans, item.infinities) for item in report.odd_values}
    assert non_finite == {"Cells_AreaShape_Area": (1, 2, 1)}
    assert report.repairs == []


@pytest.mark.parametrize("numbers", [("t1", "t2"), (1, 2), None])
def test_a_sqlite_may_number_its_tables_by_text_by_integers_or_not_at_all(
    tmp_path: Path, numbers: tuple[object, object] | None
) -> None:
    path = tmp_path / "in" / "p.sqlite"
    for site, number in enumerate(numbers or (0, 0), start=1):
        tables = cytominer_tables(site_tables(3, image=1 if numbers else site, offset=100.0 * site), number)
        write_sqlite(
            path, tables if numbers else {k: table.drop_columns(["TableNumber"]) for k, table in tables.items()}
        )
    table, _ = convert(path, tmp_path)
    assert table["Cells_AreaShape_Area"].to_pylist() == [101.0, 102.0, 103.0, 201.0, 202.0, 203.0]
    table_numbers = set(table["Metadata_TableNumber"].to_pylist()) if numbers else set()
    assert table_numbers == set(numbers or ())


def test_integers_that_one_site_writes_as_floats_unify(tmp_path: Path) -> None:
    write_site(tmp_path / "in" / "s1", site_tables(2))
    tables = site_tables(2)
    for name, column in (("Cells", "Parent_Nuclei"), ("Cells", "ImageNumber"), ("Cytoplasm", "ObjectNumber")):
        values = pa.array([f"{value}.0" for value in tables[name][column].to_pylist()])
        tables[name] = with_column(tables[name], column, values)
    write_site(tmp_path / "in" / "s2", tables)
    table, report = convert(tmp_path / "in", tmp_path)
    assert table.num_rows == 4
    assert table.schema.field("Metadata_Cells_Parent_Nuclei").type == pa.int64()
    assert report.repairs == []


def test_a_tablenumber_keeps_its_type_when_integers_are_cast(tmp_path: Path) -> None:
    table, _ = convert(write_sites(tmp_path / "in", 2), tmp_path, data_type_cast_map={"integer": "int32"})
    assert table.schema.field("Metadata_TableNumber").type == pa.int64()
    assert table.schema.field("Metadata_ImageNumber").type == pa.int32()
    with pytest.raises(ConfigurationError, match="do not fit int8"):
        convert(write_sites(tmp_path / "many", 1, 300), tmp_path, data_type_cast_map={"integer": "int8"})


def test_the_jobs_well_is_normalised_as_any_other(tmp_path: Path) -> None:
    tables = site_tables(1)
    del tables["Image"]
    table, _ = convert(write_site(tmp_path / "in", tables), tmp_path, well="b-3")
    assert table["Metadata_Well"].to_pylist() == ["B03"]


def test_column_types_for_missing_columns_are_reported(tmp_path: Path) -> None:
    types = {"AreaShape_Area": "number", "cells.Areea": "number"}
    _, report = convert(write_sites(tmp_path / "in", 1), tmp_path, column_types=types)
    assert "column_types names 'cells.Areea', which no table has" in [warning.what for warning in report.warnings]
    assert not [warning for warning in report.warnings if "AreaShape_Area" in warning.what]


def test_plates_wells_and_sites_are_counted_without_a_join_too(tmp_path: Path) -> None:
    _, report = convert_to_folder(write_sites(tmp_path / "in", 2), tmp_path / "out", join=False)
    assert (report.counts.plates, report.counts.wells, report.counts.sites) == (1, 1, 2)
