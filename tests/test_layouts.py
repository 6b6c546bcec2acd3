import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.layouts import PRESETS, PresetName, normalise_well, place_of_folder, site_number, well_of_row_and_column
from cytobatch.layouts.places import Place, row_letters


@pytest.mark.parametrize(
    ("text", "well"),
    [("A1", "A01"), ("a1", "A01"), ("P24", "P24"), ("A-01", "A01"), ("A001", "A01"), (" B 3 ", "B03"), ("AA1", "AA01"),
     ("af48", "AF48"), ("", None), ("  ", None), ("AG01", "AG01"), ("A49", "A49"), ("control", "control"),
     ("A0", "A0")],
)  # fmt: skip
def test_wells_are_normalised(text: str, well: str | None) -> None:
    assert normalise_well(text) == well


@given(st.integers(1, 32), st.integers(1, 48), st.booleans(), st.sampled_from(["", "-", "_"]))
def test_every_well_of_1536_has_one_name(row: int, column: int, lower: bool, gap: str) -> None:
    letters = row_letters(row)
    name = f"{letters}{column:02d}"
    written = f"{letters.lower() if lower else letters}{gap}{column}"
    assert normalise_well(written) == name
    assert normalise_well(name) == name
    assert well_of_row_and_column(str(row), str(column)) == name
    assert well_of_row_and_column(letters, str(column)) == name


@pytest.mark.parametrize(("row", "column"), [("0", "1"), ("33", "1"), ("A", "x"), ("", ""), ("AZ", "3"), ("A", "49")])
def test_what_is_no_row_and_column_is_no_well(row: str, column: str) -> None:
    assert well_of_row_and_column(row, column) is None


@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("BR00116991-A01-1", Place("BR00116991", "A01", "1")),
        ("plate-with-dashes-P24-9", Place("plate-with-dashes", "P24", "9")),
        ("BR00116991-A01", Place("BR00116991", "A01", None)),
        ("A01-1", Place(None, "A01", "1")),
        ("E17_s04", Place(None, "E17", "4")),
        ("A1-1", Place(None, "A01", "1")),
        ("A01", Place(None, "A01", None)),
        ("export-v2", Place()),
        ("1", Place()),
        ("analysis", Place()),
        ("run-Z99", Place()),
    ],
)
def test_folders_tell_plate_well_and_site(folder: str, place: Place) -> None:
    assert place_of_folder(folder) == place


@pytest.mark.parametrize(
    ("text", "site"), [("3", 3), ("s03", 3), ("site_12", 12), ("f7", 7), ("top", None), ("1.5", None)]
)
def test_site_numbers(text: str, site: int | None) -> None:
    assert site_number(text) == site


def test_every_preset_but_auto_is_described() -> None:
    assert set(PRESETS) == set(PresetName) - {PresetName.AUTO}
