import csv
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cytobatch.errors import AnnotationError, ExitCode, StorageError
from tests.support.plates import (
    convert,
    convert_to_folder,
    site_tables,
    write_incarta_plate,
    write_npz_plate,
    write_site,
)

MAP = (
    "plate_map_name\twell_position\tbroad_sample\tmmoles_per_liter\n"
    "M1\ta01\tBRD-1\t0.5\nM1\tA2\tBRD-2\t\nM1\tH12\t\t3\n"
)


def plate_of_wells(root: Path, *wells: str, plate: str = "P1") -> Path:
    for number, well in enumerate(wells, start=1):
        write_site(root / f"s{number}", site_tables(2, well=well, plate=plate))
    return root


def batch_folder(root: Path, text: str = MAP, barcodes: str = "P1,M1\nP2,M2\n") -> Path:
    (root / "platemap").mkdir(parents=True)
    (root / "barcode_platemap.csv").write_text(f"Assay_Plate_Barcode,Plate_Map_Name\n{barcodes}")
    (root / "platemap" / "M1.txt").write_text(text)
    return root


def test_a_batchs_platemap_is_joined_by_well_and_no_row_is_lost(tmp_path: Path) -> None:
    source = plate_of_wells(tmp_path / "in", "A1", "A02", "B03")
    table, report = convert(source, tmp_path, platemap=str(batch_folder(tmp_path / "maps")))
    assert table["Metadata_broad_sample"].to_pylist() == ["BRD-1"] * 2 + ["BRD-2"] * 2 + [None] * 2
    assert table["Metadata_mmoles_per_liter"].to_pylist() == [0.5] * 2 + [None] * 4
    assert table["Metadata_plate_map_name"].to_pylist() == ["M1"] * 4 + [None] * 2
    warnings = [warning.what for warning in report.warnings]
    assert "1 well not in the platemap: B03" in warnings
    assert "1 well of the platemap without image sets: H12" in warnings


def test_a_platemap_may_be_one_file_separated_by_commas(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("well_position,gene\nA01,TP53\n")
    table, _ = convert(plate_of_wells(tmp_path / "in", "A1"), tmp_path, platemap=str(tmp_path / "map.csv"))
    assert table["Metadata_gene"].to_pylist() == ["TP53", "TP53"]


def test_a_platemap_may_have_fields_beyond_the_limit_of_the_csv_module(tmp_path: Path) -> None:
    note, limit = "x" * 200_000, csv.field_size_limit()
    (tmp_path / "map.csv").write_text(f"well_position,note\nA01,{note}\n")
    table, _ = convert(plate_of_wells(tmp_path / "in", "A1"), tmp_path, platemap=str(tmp_path / "map.csv"))
    assert table["Metadata_note"].to_pylist() == [note, note]
    assert csv.field_size_limit() == limit


def test_well_profiles_keep_the_columns_of_a_platemap(tmp_path: Path) -> None:
    source = plate_of_wells(tmp_path / "in", "A1", "A2")
    found, _ = convert_to_folder(
        source, tmp_path / "out", platemap=str(batch_folder(tmp_path / "maps")), well_profiles="median"
    )
    profiles = found["profiles.parquet"]
    assert profiles["Metadata_broad_sample"].to_pylist() == ["BRD-1", "BRD-2"]
    assert profiles["Metadata_Object_Count"].to_pylist() == [2, 2]


def test_a_plate_of_another_name_is_found_by_the_jobs(tmp_path: Path) -> None:
    source = plate_of_wells(tmp_path / "in", "A1", plate="BR1__2021-05-02")
    maps = str(batch_folder(tmp_path / "maps"))
    with pytest.raises(AnnotationError, match="plate without a platemap") as caught:
        convert(source, tmp_path, platemap=maps)
    assert "BR1__2021-05-02" in caught.value.why
    assert caught.value.exit_code == ExitCode.INPUT_DATA
    table, _ = convert(source, tmp_path, platemap=maps, plate="P1")
    assert table["Metadata_broad_sample"].to_pylist() == ["BRD-1", "BRD-1"]


def test_a_column_that_the_profile_has_already_gets_a_suffix(tmp_path: Path) -> None:
    (tmp_path / "map.txt").write_text("well_position\tPlate\nA01\tstock 7\n")
    table, _ = convert(plate_of_wells(tmp_path / "in", "A1"), tmp_path, platemap=str(tmp_path / "map.txt"))
    assert table["Metadata_Plate"].to_pylist() == ["P1", "P1"]
    assert table["Metadata_Plate_platemap"].to_pylist() == ["stock 7", "stock 7"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("well\tdrug\nA01\tx\n", "not the table it should be"),
        ("well_position\tdrug\tdrug\nA01\tx\ty\n", "not the table it should be"),
        ("well_position\tdrug\nA01\tx\na1\ty\n", "repeated key"),
        ("well_position\tdrug\nA01\n", "ragged table"),
        ('well_position\tdrug\nA01\t"x\n', "unreadable table"),
        ("", "unreadable table"),
    ],
)
def test_a_platemap_that_cannot_be_joined_is_an_error(tmp_path: Path, text: str, what: str) -> None:
    source = plate_of_wells(tmp_path / "in", "A1")
    with pytest.raises(AnnotationError) as caught:
        convert(source, tmp_path, platemap=str(batch_folder(tmp_path / "maps", text)))
    assert caught.value.what == what
    assert caught.value.where.endswith("M1.txt")
    assert not (tmp_path / "out.parquet").exists()


def test_a_missing_platemap_is_an_error(tmp_path: Path) -> None:
    source = plate_of_wells(tmp_path / "in", "A1")
    with pytest.raises(StorageError, match="no such file"):
        convert(source, tmp_path, platemap=str(tmp_path / "nothing"))


def test_a_platemap_needs_wells(tmp_path: Path) -> None:
    tables = site_tables(2)
    tables["Image"] = tables["Image"].drop_columns(["Metadata_Well"])
    write_site(tmp_path / "in", tables)
    with pytest.raises(AnnotationError, match="platemap without wells"):
        convert(tmp_path / "in", tmp_path, platemap=str(batch_folder(tmp_path / "maps")))


LOAD_DATA = (
    "URL_OrigDNA,FileName_OrigDNA,Metadata_Plate,Metadata_Well,Metadata_Site,Metadata_Reimaged,Focus\n"
    "s3://b/1.tiff,load.tiff,P1,A01,1,no,7.5\ns3://b/2.tiff,load.tiff,P2,A01,1,no,8\n"
)


def test_load_data_is_joined_by_plate_well_and_site(tmp_path: Path) -> None:
    (tmp_path / "load_data.csv").write_text(LOAD_DATA)
    source = plate_of_wells(tmp_path / "in", "A1", "B2")
    table, report = convert(source, tmp_path, load_data=str(tmp_path))
    assert table["Image_URL_OrigDNA"].to_pylist() == ["s3://b/1.tiff"] * 2 + [None] * 2
    assert table["Metadata_Reimaged"].to_pylist() == ["no"] * 2 + [None] * 2
    assert table["Image_Focus"].to_pylist() == [7.5] * 2 + [None] * 2
    # The image table has the column already, and its values stay.
    assert set(table["Image_FileName_OrigDNA"].to_pylist()) == {"dna.tiff"}
    assert "1 image set not in the LoadData file, of well B02" in [warning.what for warning in report.warnings]


def test_load_data_without_plates_is_joined_by_well_and_site(tmp_path: Path) -> None:
    (tmp_path / "sites.csv").write_text("Metadata_Well,Metadata_Site,URL_DNA\nA01,s1,x\n")
    table, _ = convert(plate_of_wells(tmp_path / "in", "A1"), tmp_path, load_data=str(tmp_path / "sites.csv"))
    assert table["Image_URL_DNA"].to_pylist() == ["x", "x"]


def test_two_rows_of_one_image_set_that_differ_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "load_data.csv").write_text("Metadata_Well,Metadata_Site,URL_DNA\nA01,1,x\nA01,1,y\n")
    with pytest.raises(AnnotationError, match="repeated key"):
        convert(plate_of_wells(tmp_path / "in", "A1"), tmp_path, load_data=str(tmp_path))


def test_files_of_whole_rows_and_a_users_join_are_annotated_too(tmp_path: Path) -> None:
    maps = str(batch_folder(tmp_path / "maps"))
    table, _ = convert(write_npz_plate(tmp_path / "npz"), tmp_path / "one", platemap=maps)
    assert set(table["Metadata_broad_sample"].to_pylist()) == {"BRD-1"}
    (tmp_path / "map.txt").write_text("well_position\tdrug\nC3\tx\n")
    table, _ = convert(write_incarta_plate(tmp_path / "inc"), tmp_path / "two", platemap=str(tmp_path / "map.txt"))
    drugs = dict(zip(table["WELL LABEL"].to_pylist(), table["Metadata_drug"].to_pylist(), strict=True))
    assert drugs == {"C - 3": "x", "D - 4": None}
    sql = "SELECT Metadata_ImageNumber, Metadata_ObjectNumber, Cells_AreaShape_Area FROM cells"
    table, _ = convert(plate_of_wells(tmp_path / "in", "A1"), tmp_path / "three", platemap=maps, joins=sql)
    assert set(table["Metadata_broad_sample"].to_pylist()) == {"BRD-1"}
    assert table.schema.field("Metadata_mmoles_per_liter").type == pa.float64()


def test_a_platemap_or_load_data_of_other_wells_is_an_error(tmp_path: Path) -> None:
    source = plate_of_wells(tmp_path / "in", "A1", "A2")
    (tmp_path / "map.txt").write_text("well_position\tdrug\nH11\tx\nH12\ty\n")
    with pytest.raises(AnnotationError, match="platemap of other wells") as caught:
        convert(source, tmp_path, platemap=str(tmp_path / "map.txt"))
    assert caught.value.why == "it has H11, H12, and plate P1 has A01, A02"
    (tmp_path / "load_data.csv").write_text("Metadata_Plate,Metadata_Well,Metadata_Site,URL_DNA\nP2,A01,1,x\n")
    with pytest.raises(AnnotationError, match="LoadData file of other image sets") as caught:
        convert(source, tmp_path, load_data=str(tmp_path))
    assert caught.value.why.startswith("it has P2 A01 1, and the plate has P1 A01 1")
    assert not (tmp_path / "out.parquet").exists()


def test_each_platemap_of_a_batch_must_fit_its_plate(tmp_path: Path) -> None:
    write_site(tmp_path / "in" / "s1", site_tables(2, plate="P1", well="A1"))
    write_site(tmp_path / "in" / "s2", site_tables(2, plate="P2", well="A1"))
    maps = batch_folder(tmp_path / "maps")
    (maps / "platemap" / "M2.txt").write_text("well_position\tdrug\nH11\tx\n")
    with pytest.raises(AnnotationError, match="platemap of other wells") as caught:
        convert(tmp_path / "in", tmp_path, platemap=str(maps))
    assert caught.value.where.endswith("M2.txt")


def test_load_data_without_known_wells_is_an_error(tmp_path: Path) -> None:
    tables = site_tables(2)
    tables["Image"] = tables["Image"].drop_columns(["Metadata_Well", "Metadata_Site"])
    (tmp_path / "load_data.csv").write_text("Metadata_Well,Metadata_Site,URL_DNA\nA01,1,x\n")
    with pytest.raises(AnnotationError, match="LoadData file without wells and sites"):
        convert(write_site(tmp_path / "in", tables), tmp_path, load_data=str(tmp_path))


def test_the_name_by_which_a_platemap_is_found_is_shown(tmp_path: Path) -> None:
    source = plate_of_wells(tmp_path / "in", "A1", plate="BR1")
    _, report = convert(source, tmp_path, platemap=str(batch_folder(tmp_path / "maps")), plate="P1")
    whats = [warning.what for warning in report.warnings]
    assert "plate 'BR1' is not in barcode_platemap.csv; it has the platemap 'M1' of plate 'P1', the job's" in whats


@pytest.mark.parametrize("text", ["well_position\tdrug\t\nA01\tx\t\n\t\t\n", "well_position,drug,,\nA01,x,,\n,,,\n"])
def test_blank_columns_and_rows_of_spreadsheets_are_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.txt").write_text(text)
    table, report = convert(plate_of_wells(tmp_path / "in", "A1"), tmp_path, platemap=str(tmp_path / "map.txt"))
    assert "Metadata_" not in table.column_names
    assert table["Metadata_drug"].to_pylist() == ["x", "x"]
    assert not [warning.what for warning in report.warnings if "left out" in warning.what]


def test_values_without_a_column_name_or_a_well_are_left_out_with_a_warning(tmp_path: Path) -> None:
    where = tmp_path / "map.csv"
    where.write_text(",well_position,drug\n0,A01,x\n1,nan,y\n2,,z\n")
    table, report = convert(plate_of_wells(tmp_path / "in", "A1"), tmp_path, platemap=str(where))
    assert table["Metadata_drug"].to_pylist() == ["x", "x"]
    whats = [warning.what for warning in report.warnings]
    assert f"1 column without a name in {where} left out" in whats
    assert f"2 rows without well_position in {where} left out" in whats


def test_barcodes_of_a_platemap_keep_their_zeros(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("well_position,barcode\nA01,007\nA02,12\n")
    table, _ = convert(plate_of_wells(tmp_path / "in", "A1", "A2"), tmp_path, platemap=str(tmp_path / "map.csv"))
    assert table["Metadata_barcode"].to_pylist() == ["007"] * 2 + ["12"] * 2


def test_load_data_may_name_its_keys_otherwise(tmp_path: Path) -> None:
    (tmp_path / "load_data.csv").write_text(
        "Metadata_Plate_Barcode,Metadata_CPD_WELL_POSITION,Metadata_site,URL_DNA\nP1,a1,1.0,x\n"
    )
    table, _ = convert(plate_of_wells(tmp_path / "in", "A1"), tmp_path, load_data=str(tmp_path))
    assert table["Image_URL_DNA"].to_pylist() == ["x", "x"]


def write_load_data(path: Path, url: str) -> None:
    table = pa.table({"Metadata_Plate": ["P1"], "Metadata_Well": ["A01"], "Metadata_Site": [1], "URL_DNA": [url]})
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return
    text = "".join(
        ",".join(map(str, row)) + "\n" for row in zip(*([n, *v] for n, v in table.to_pydict().items()), strict=True)
    )
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


LOAD_DATA_NAMES = [
    "load_data.csv",
    "load_data.csv.gz",
    "load_data.parquet",
    "load_data_with_illum.csv",
    "load_data_with_illum.csv.gz",
    "load_data_with_illum.parquet",
]


@pytest.mark.parametrize("first", range(len(LOAD_DATA_NAMES)))
def test_a_folder_of_load_data_has_it_under_a_usual_name(tmp_path: Path, first: int) -> None:
    for name in LOAD_DATA_NAMES[first:]:
        write_load_data(tmp_path / "load_data" / name, name)
    table, report = convert(plate_of_wells(tmp_path / "in", "A1"), tmp_path, load_data=str(tmp_path / "load_data"))
    assert set(table["Image_URL_DNA"].to_pylist()) == {LOAD_DATA_NAMES[first]}
    assert [file.path for file in report.annotations] == [str(tmp_path / "load_data" / LOAD_DATA_NAMES[first])]


def test_a_folder_without_load_data_is_an_error_that_lists_its_names(tmp_path: Path) -> None:
    (tmp_path / "load_data").mkdir()
    with pytest.raises(StorageError, match=r"load_data\.csv, load_data\.csv\.gz, .*load_data_with_illum\.parquet"):
        convert(plate_of_wells(tmp_path / "in", "A1"), tmp_path, load_data=str(tmp_path / "load_data"))
