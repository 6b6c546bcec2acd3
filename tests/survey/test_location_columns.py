"""Plate, well and site under the names and spellings that labs use."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.config.wells import SiteLocation
from cytobatch.survey.location_columns import candidates, columns_of, location_columns, locations, unknown_parts
from tests.support.examples import examples
from tests.support.plates import (
    Tables,
    convert,
    incarta_table,
    npz_members,
    site_tables,
    with_column,
    write_incarta,
    write_layout,
    write_npz,
    write_site,
)

PLATE, WELL, SITE = "Metadata_Plate", "Metadata_Well", "Metadata_Site"
MISSING = ("nan", "NaN", "None", "none", "NA", "N/A", "#N/A", "null", "NULL", "", " ", "-nan(ind)", "1.#QNAN", "<NA>")


def found(fallback: SiteLocation | None = None, **columns: object) -> SiteLocation:
    table = pa.table({name: [value] for name, value in columns.items()})
    return locations(table, [fallback or SiteLocation()])[0]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"Metadata_CPD_WELL_POSITION": "a01"}, SiteLocation(well="A01")),
        ({"Metadata_well": "b2"}, SiteLocation(well="B02")),
        ({"Image_Metadata_WELL_ID": "B2"}, SiteLocation(well="B02")),
        ({"Metadata_Well_Name": "B2"}, SiteLocation(well="B02")),
        ({"metadata_wellrow": "B", "metadata_wellcol": "3"}, SiteLocation(well="B03")),
        ({"WellRow": "B", "WellCol": "3"}, SiteLocation(well="B03")),
        ({"Metadata_row": "2.0", "Metadata_column": "3.0"}, SiteLocation(well="B03")),
        ({"Metadata_RowID": 2, "Metadata_ColumnID": 3}, SiteLocation(well="B03")),
        ({"Metadata_Well": "r02c03f04"}, SiteLocation(well="B03", site="4")),
        ({"Metadata_Well": "nan", "Metadata_Row": "B", "Metadata_Col": "3"}, SiteLocation(well="B03")),
        ({"Metadata_Well": "None", "Metadata_CPD_WELL_POSITION": "C4"}, SiteLocation(well="C04")),
        ({"Plate_Barcode": "P1"}, SiteLocation(plate="P1")),
        ({"Metadata_Assay_Plate_Barcode": 24512.0}, SiteLocation(plate="24512")),
        ({"Metadata_plate": "24512.0"}, SiteLocation(plate="24512")),
        ({"Metadata_Plate": "0012"}, SiteLocation(plate="0012")),
        ({"Metadata_FieldNumber": "2"}, SiteLocation(site="2")),
        ({"Metadata_site": "2.0"}, SiteLocation(site="2")),
        ({"Metadata_Field_Index": 3}, SiteLocation(site="3")),
        # The usual names are taken before all others.
        ({"Metadata_plate": "x", "Metadata_Barcode": "P1"}, SiteLocation(plate="P1")),
        ({"Metadata_PlateID": "x", "Metadata_Plate": "P1"}, SiteLocation(plate="P1")),
        # Other meanings without Metadata_ in front, and measurements.
        ({"Row": "2", "Column": "3", "Field": "4"}, SiteLocation()),
        ({"Intensity_Well": "1", "Metadata_WellType": "control"}, SiteLocation()),
    ],
)
def test_names_and_spellings(columns: dict[str, object], expected: SiteLocation) -> None:
    assert found(**columns) == expected


@given(st.sampled_from(MISSING), st.sampled_from(MISSING), st.sampled_from(MISSING))
def test_any_spelling_of_missing_gives_way_to_the_next_in_trust(plate: str, well: str, site: str) -> None:
    columns = {"Metadata_Plate": plate, "Metadata_Well": well, "Metadata_Site": site}
    assert found(SiteLocation("P1", "A01", "3"), **columns) == SiteLocation("P1", "A01", "3")
    assert found(**columns) == SiteLocation()


@given(
    st.sampled_from(["Plate", "Plate_Barcode", "Well", "CPD_WELL_POSITION", "Well_ID", "Site", "Field_ID"]),
    st.sampled_from(["Metadata_", "Image_Metadata_", "METADATA_"]),
)
def test_case_and_underscores_do_not_matter(name: str, prefix: str) -> None:
    upper = "".join(letter.upper() if number % 2 else letter.lower() for number, letter in enumerate(name))
    for spelled in (upper, name.replace("_", ""), name.lower(), name.upper()):
        assert location_columns([f"{prefix}{spelled}"]) == (f"{prefix}{spelled}",)


def test_rows_of_several_exports_each_take_their_own_column() -> None:
    table = pa.table({"Metadata_Well": ["A1", None], "Metadata_well": [None, "B2"]})
    assert [place.well for place in locations(table, [SiteLocation()] * 2)] == ["A01", "B02"]


def test_columns_are_ordered_by_trust() -> None:
    columns = ["PlateBarcode", "Metadata_plate", "Metadata_Barcode", "Image_Metadata_Plate"]
    assert columns_of(PLATE, columns) == ["Image_Metadata_Plate", "Metadata_Barcode", "Metadata_plate", "PlateBarcode"]


def test_candidates_are_named_where_a_part_is_unknown() -> None:
    columns = ["Metadata_MyWell", "Metadata_Brightfield", "Count_Wells", "Metadata_PlateMapName", "FileName_Site"]
    assert candidates(WELL, columns) == ["Metadata_MyWell"]
    assert candidates(SITE, columns) == []
    assert unknown_parts([PLATE], columns) == [
        "the well is unknown, but the image table has Metadata_MyWell; Metadata_Well is not written"
    ]
    assert unknown_parts([PLATE, WELL, SITE], columns) == []


def renamed(**names: str) -> Tables:
    tables = site_tables(2)
    image = tables["Image"]
    tables["Image"] = image.rename_columns([names.get(name, name) for name in image.column_names])
    return tables


@pytest.mark.parametrize("sqlite", [False, True])
@pytest.mark.parametrize("preset", ["auto", "own"])
def test_other_names_are_known_in_every_layout(tmp_path: Path, sqlite: bool, preset: str) -> None:
    tables = renamed(Metadata_Well="Metadata_CPD_WELL_POSITION", Metadata_Plate="Metadata_Plate_Barcode")
    source = write_layout(tmp_path, tables, sqlite=sqlite)
    own = "cellprofiler_sqlite" if sqlite else "cellprofiler_csv"
    table, report = convert(source, tmp_path, preset=own if preset == "own" else "auto")
    assert table.select([PLATE, WELL, SITE]).to_pylist() == [{PLATE: "P1", WELL: "A01", SITE: 1}] * 2
    assert report.plates == ["P1"]


@settings(max_examples=examples(4), deadline=None)
@given(st.sampled_from(MISSING))
def test_a_missing_well_is_that_of_the_folder(tmp_path_factory: pytest.TempPathFactory, missing: str) -> None:
    folder = tmp_path_factory.mktemp("plate")
    tables = site_tables(2, well=missing, plate=missing)
    write_site(folder / "in" / "P7-C03-1-2", tables)
    table, _ = convert(folder / "in", folder)
    assert set(table[PLATE].to_pylist()) == {"P7"}
    assert set(table[WELL].to_pylist()) == {"C03"}


def test_an_unknown_well_with_a_candidate_is_a_warning(tmp_path: Path) -> None:
    tables = renamed(Metadata_Well="Metadata_MyWell")
    _, report = convert(write_site(tmp_path / "in", tables), tmp_path)
    assert any("the well is unknown, but the image table has Metadata_MyWell" in each.what for each in report.warnings)


def test_wells_of_opera_phenix_are_converted_with_a_warning(tmp_path: Path) -> None:
    table, report = convert(write_site(tmp_path / "in", site_tables(2, well="r02c03")), tmp_path)
    assert set(table[WELL].to_pylist()) == {"B03"}
    assert any("which became B03" in each.what for each in report.warnings)


@pytest.mark.parametrize("missing", ["nan", "None", float("nan")])
def test_missing_metadata_of_embeddings_gives_way_to_the_path(tmp_path: Path, missing: object) -> None:
    members = npz_members(2, Metadata_Plate=missing, Metadata_Well=missing, Metadata_Site=1.0)
    write_npz(tmp_path / "in" / "P7" / "C03_1.npz", members)
    table, _ = convert(tmp_path / "in", tmp_path)
    assert table.select([PLATE, WELL, SITE]).to_pylist() == [{PLATE: "P7", WELL: "C03", SITE: 1}] * 2


@pytest.mark.parametrize("missing", ["nan", "None", "NA"])
def test_missing_names_in_files_of_whole_rows_give_way_to_the_job(tmp_path: Path, missing: str) -> None:
    rows = incarta_table()
    for name in ("Plate ID", "WELL LABEL"):
        rows = with_column(rows, name, pa.array([missing] * rows.num_rows))
    write_incarta(tmp_path / "in" / "day.csv", rows)
    table, _ = convert(tmp_path / "in", tmp_path, plate="P7")
    assert set(table[PLATE].to_pylist()) == {"P7"}
    assert set(table[WELL].to_pylist()) == {"C03", "D04"}
