"""Further metadata of image sets: time points, doses and crops."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.survey.carried_columns import carried_name, infer_type
from tests.support.plates import Tables, convert, site_tables, write_layout, write_site


def with_metadata(**columns: object) -> Tables:
    tables = site_tables(2)
    for name, value in columns.items():
        tables["Image"] = tables["Image"].append_column(name, pa.array([value]))
    return tables


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("Metadata_Timepoint", "Metadata_Timepoint"),
        ("Image_Metadata_Dose", "Metadata_Dose"),
        ("Metadata_CPD_WELL_POSITION", "Metadata_CPD_WELL_POSITION"),
        ("Metadata_Well", None),
        ("Image_Metadata_site", None),
        ("Metadata_ImageNumber", None),
        ("Metadata_Count_Cells", None),
        ("FileName_DNA", None),
    ],
)
def test_metadata_other_than_locations_and_keys_is_carried(column: str, name: str | None) -> None:
    assert carried_name(column) == name


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", None], [1, None]),
        (["0.5", "1e-06"], [0.5, 1e-06]),
        (["007", "12"], ["007", "12"]),
        (["5E12", "1"], ["5E12", "1"]),
        (["12345678901234567890"], ["12345678901234567890"]),
        (["x", "1"], ["x", "1"]),
        (["", None], [None, None]),
        (["007", " "], ["007", None]),
    ],
)
def test_names_of_digits_stay_text(texts: list[str | None], values: list[object]) -> None:
    assert infer_type(texts).to_pylist() == values


@given(st.lists(st.text("0123456789", min_size=1, max_size=22), min_size=1))
def test_digits_are_never_changed(texts: list[str]) -> None:
    assert [str(value) for value in infer_type(texts).to_pylist()] == texts


@pytest.mark.parametrize("sqlite", [False, True])
def test_auto_carries_them_in_every_layout_and_presets_do_not(tmp_path: Path, sqlite: bool) -> None:
    tables = with_metadata(Metadata_Timepoint=10, Metadata_Batch="007", Metadata_Nothing="nan")
    source = write_layout(tmp_path, tables, sqlite=sqlite)
    table, _ = convert(source, tmp_path / "auto")
    assert table["Metadata_Timepoint"].to_pylist() == [10, 10]
    assert table["Metadata_Batch"].to_pylist() == ["007", "007"]
    assert "Metadata_Nothing" not in table.column_names
    table, _ = convert(source, tmp_path / "own", preset="cellprofiler_sqlite" if sqlite else "cellprofiler_csv")
    assert "Metadata_Timepoint" not in table.column_names


def test_a_plate_without_any_location_carries_them_too(tmp_path: Path) -> None:
    tables = with_metadata(Metadata_Dose=0.5)
    tables["Image"] = tables["Image"].drop_columns(["Metadata_Plate", "Metadata_Well", "Metadata_Site"])
    table, _ = convert(write_site(tmp_path / "in", tables), tmp_path)
    assert table["Metadata_Dose"].to_pylist() == [0.5, 0.5]
    assert "Metadata_Well" not in table.column_names


def test_nulls_in_them_drop_no_row(tmp_path: Path) -> None:
    write_site(tmp_path / "in" / "s1", with_metadata(Metadata_Dose=0.5))
    write_site(tmp_path / "in" / "s2", site_tables(2, well="A2"))
    table, _ = convert(tmp_path / "in", tmp_path, drop_null=True)
    assert table["Metadata_Dose"].to_pylist() == [0.5, 0.5, None, None]


def test_a_platemaps_column_wins_and_a_difference_is_a_warning(tmp_path: Path) -> None:
    write_site(tmp_path / "in", with_metadata(Metadata_Dose=0.5, Metadata_Drug="x"))
    (tmp_path / "map.txt").write_text("well_position\tDose\tDrug\nA01\t2\t\n")
    table, report = convert(tmp_path / "in", tmp_path, platemap=str(tmp_path / "map.txt"))
    assert table["Metadata_Dose"].to_pylist() == [2, 2]
    assert table["Metadata_Drug"].to_pylist() == ["x", "x"]
    assert any("Metadata_Dose is '2' in the platemap, which is taken, and '0.5'" in w.what for w in report.warnings)
    (tmp_path / "map.txt").write_text("well_position\tDose\nA01\t0.50\n")
    _, report = convert(tmp_path / "in", tmp_path, platemap=str(tmp_path / "map.txt"))
    assert not [w.what for w in report.warnings if "Dose" in w.what]


def test_a_users_sql_gets_them_unless_it_names_them_itself(tmp_path: Path) -> None:
    source = write_site(tmp_path / "in", with_metadata(Metadata_Dose=0.5))
    keys = "SELECT Metadata_ImageNumber, Metadata_ObjectNumber, Cells_AreaShape_Area"
    table, _ = convert(source, tmp_path / "one", joins=f"{keys} FROM cells")
    assert table["Metadata_Dose"].to_pylist() == [0.5, 0.5]
    table, _ = convert(source, tmp_path / "two", joins=f"{keys}, 'mine' AS Metadata_Dose FROM cells")
    assert table["Metadata_Dose"].to_pylist() == ["mine", "mine"]
