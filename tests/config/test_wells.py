import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.config.wells import (
    SiteLocation,
    location_of_file,
    location_of_folder,
    normalise_well,
    row_letters,
    site_number,
    well_of_row_and_column,
    whole_numbers,
)


@pytest.mark.parametrize(
    ("text", "well"),
    [
        ("A1", "A01"),
        ("a1", "A01"),
        ("P24", "P24"),
        ("A-01", "A01"),
        ("A001", "A01"),
        (" B 3 ", "B03"),
        ("C - 3", "C03"),
        ("AA1", "AA01"),
        ("af48", "AF48"),
        ("", None),
        ("  ", None),
        ("AG01", "AG01"),
        ("A49", "A49"),
        ("control", "control"),
        ("A0", "A0"),
        ("r02c03", "B03"),
        ("R16C24f09", "P24"),
        ("r33c01", "r33c01"),
        ("nan", None),
        ("None", None),
        ("-nan(ind)", None),
        ("<NA>", None),
    ],
)
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
def test_no_well_has_an_impossible_row_or_column(row: str, column: str) -> None:
    assert well_of_row_and_column(row, column) is None


@pytest.mark.parametrize(
    ("folder", "location"),
    [
        ("BR00116991-A01-1", SiteLocation("BR00116991", "A01", "1")),
        ("plate-with-dashes-P24-9", SiteLocation("plate-with-dashes", "P24", "9")),
        ("BR00116991-A01", SiteLocation("BR00116991", "A01", None)),
        ("A01-1", SiteLocation(None, "A01", "1")),
        ("E17_s04", SiteLocation(None, "E17", "4")),
        ("A1-1", SiteLocation(None, "A01", "1")),
        ("A01", SiteLocation(None, "A01", None)),
        ("EXT004-OASIS--Plate_40844-A01-1-2", SiteLocation("EXT004-OASIS--Plate_40844", "A01", "1")),
        ("P-A01-s1-2", SiteLocation("P", "A01", "1")),
        ("r02c03", SiteLocation(None, "B03", None)),
        ("r02c03f01", SiteLocation(None, "B03", "1")),
        ("P1-r02c03-4", SiteLocation("P1", "B03", "4")),
        ("v2-1-0", SiteLocation()),
        ("export-v2", SiteLocation()),
        ("1", SiteLocation()),
        ("analysis", SiteLocation()),
        ("run-Z99", SiteLocation()),
    ],
)
def test_folders_name_plate_well_and_site(folder: str, location: SiteLocation) -> None:
    assert location_of_folder(folder) == location


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/x/P1/A01_5.npz", SiteLocation("P1", "A01", "5")),
        ("P1/a1-5.npz", SiteLocation("P1", "A01", "5")),
        ("net/batch/P1/A01/05/embedding.npz", SiteLocation("P1", "A01", "5")),
        ("P1/A01/5.npz", SiteLocation("P1", "A01", "5")),
        ("P1/A01-5/embedding.npz", SiteLocation("P1", "A01", "5")),
        ("P1-A01-5/x.npz", SiteLocation("P1", "A01", "5")),
        ("A01_5.npz", SiteLocation(None, "A01", "5")),
        ("2020/5/x.npz", SiteLocation()),
        ("P1/A01/x.npz", SiteLocation()),
        ("x.npz", SiteLocation()),
    ],
)
def test_the_path_of_a_file_names_plate_well_and_site(path: str, location: SiteLocation) -> None:
    assert location_of_file(path) == location


@pytest.mark.parametrize(
    ("text", "site"), [("3", 3), ("s03", 3), ("site_12", 12), ("f7", 7), ("top", None), ("1.5", None), ("1.0", 1)]
)
def test_site_numbers(text: str, site: int | None) -> None:
    assert site_number(text) == site


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1.0", "24512.00", None], ["1", "24512", None]),
        (["1.0", "1.5"], ["1.0", "1.5"]),
        (["007", "007.0"], ["007", "007"]),
        (["v1.0", "41E2"], ["v1.0", "41E2"]),
    ],
)
def test_whole_numbers_saved_as_floats_are_integers_again(texts: list[str | None], numbers: list[str | None]) -> None:
    assert whole_numbers(texts) == numbers


@given(st.integers(1, 32), st.integers(1, 48))
def test_rows_and_columns_saved_as_floats_are_the_same_well(row: int, column: int) -> None:
    assert well_of_row_and_column(f"{row}.0", f"{column}.0") == well_of_row_and_column(str(row), str(column))
    assert normalise_well(f"r{row:02d}c{column:02d}f01") == well_of_row_and_column(str(row), str(column))
