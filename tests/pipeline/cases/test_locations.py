"""Plate, well and site under the names and spellings that labs use."""

from pathlib import Path

import pytest

from tests.support.cases import (
    COMPARTMENTS,
    IMAGE,
    Case,
    Change,
    Files,
    changed,
    check,
    column,
    csv,
    dropped,
    expected,
    joined,
    params,
    renamed,
    site,
)

RIGHT = expected(1, 2)
NO_FOLDERS = ("x1", "x2")
"""Names of folders from which no location follows."""


def located(*changes: Change, folders: tuple[str, str] = ("P1-A01-1", "P1-A01-2")) -> Files:
    """Return two sites whose image tables are changed."""
    change = changed(IMAGE, *changes)
    return csv(change(site(1)), folders[0]) | csv(change(site(2)), folders[1])


def wells(*columns: tuple[str, str]) -> Files:
    """Return two sites that have the columns in place of Metadata_Well."""
    named = (column(f"Metadata_{name}", value) for name, value in columns)
    return located(dropped("Metadata_Well"), *named, folders=NO_FOLDERS)


def of_well(well: str, **values: object) -> list[dict[str, object]]:
    return [row | {"Metadata_Well": well} | values for row in RIGHT]


WELLS = params(
    Case("well_lower", wells(("Well", "a1")), of_well("A01")),
    Case("well_dash", wells(("Well", "B-02")), of_well("B02")),
    Case("well_1536", wells(("Well", "AA01")), of_well("AA01")),
    Case("well_colon_kept", wells(("Well", "B:02")), of_well("B:02")),
    Case("well_number_only", wells(("Well", "01")), of_well("01")),
    Case("well_cpd_position", wells(("CPD_WELL_POSITION", "a01")), of_well("A01")),
    Case("well_lowercase_key", wells(("well", "A01")), of_well("A01")),
    Case("well_phenix", wells(("Well", "r02c03")), of_well("B03"), warned=("r02c03, which became B03",)),
    Case("well_row_col", wells(("Row", "B"), ("Col", "2")), of_well("B02")),
    Case("well_row_col_numbers", wells(("Row", "2"), ("Column", "2")), of_well("B02")),
    Case("well_row_col_floats", wells(("Row", "2.0"), ("Column", "2.0")), of_well("B02")),
    Case("well_is_letter_col_is_number", wells(("Well", "B"), ("Column", "2")), of_well("B")),
    Case("well_nan", located(column("Metadata_Well", "nan")), RIGHT),
)


@pytest.mark.parametrize("case", WELLS)
def test_a_well_is_known_under_its_usual_names_and_spellings(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def sites(first: str, second: str, name: str = "Metadata_Site") -> Files:
    """Return two sites with these values in place of Metadata_Site."""
    images = (
        changed(IMAGE, dropped("Metadata_Site"), column(name, value))(site(n)) for n, value in ((1, first), (2, second))
    )
    one, other = (csv(tables, folder) for tables, folder in zip(images, NO_FOLDERS, strict=True))
    return one | other


def of_sites(first: object, second: object) -> list[dict[str, object]]:
    return [row | {"Metadata_Site": first if row["Metadata_Site"] == 1 else second} for row in RIGHT]


SITES = params(
    Case("site_s1", sites("s1", "s2"), RIGHT),
    Case("site_f01", sites("f01", "f02"), RIGHT),
    Case("site_F001", sites("F001", "F002"), RIGHT),
    Case("site_fld", sites("fld 1", "fld 2"), of_sites("fld 1", "fld 2")),
    Case("site_field_word", sites("Field1", "Field2"), RIGHT),
    Case("site_position", sites("Position 1", "Position 2"), of_sites("Position 1", "Position 2")),
    Case("site_float", sites("1.0", "2.0"), RIGHT),
    Case("site_zero", sites("0", "1"), of_sites(0, 1)),
    Case("site_plate_text", sites("20585/", "IXMtest"), of_sites("20585/", "IXMtest")),
    Case("site_fieldnumber", sites("1", "2", "Metadata_FieldNumber"), RIGHT),
    Case("site_lowercase", sites("1", "2", "Metadata_site"), RIGHT),
    Case("site_from_two_columns_disagree", located(column("Metadata_Site", "")), RIGHT),
)


@pytest.mark.parametrize("case", SITES)
def test_a_site_is_known_under_its_usual_names_and_spellings(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def plate_called(value: str, name: str = "Metadata_Plate", folders: tuple[str, str] = NO_FOLDERS) -> Files:
    return located(renamed(Metadata_Plate=name), column(name, value), folders=folders)


def of_plate(name: str) -> list[dict[str, object]]:
    return [row | {"Metadata_Plate": name} for row in RIGHT]


PLATES = params(
    Case("plate_assay_barcode", plate_called("P1", "Metadata_Assay_Plate_Barcode"), RIGHT),
    Case("plate_barcode_name", plate_called("P1", "Metadata_Plate_Barcode"), RIGHT),
    Case("plate_lowercase", plate_called("P1", "Metadata_plate"), RIGHT),
    Case("plate_leading_zero", plate_called("0012345"), of_plate("0012345")),
    Case("plate_sci_notation", plate_called("41E2"), of_plate("41E2")),
    Case("plate_none_text", plate_called("None", folders=("P1-A01-1", "P1-A01-2")), RIGHT),
)


@pytest.mark.parametrize("case", PLATES)
def test_a_plate_is_known_under_its_usual_names_and_keeps_its_spelling(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


CROPS = ("EXT004-OASIS--Plate_40844-A01-1-1", "EXT004-OASIS--Plate_40844-A01-1-2")
NAMES = ("Metadata_Plate", "Metadata_Well", "Metadata_Site")
OF_CROPS = [row | {"Metadata_Plate": "EXT004-OASIS--Plate_40844", "Metadata_Site": 1} for row in RIGHT]


def crops() -> Files:
    """Return two crops of one site, each in a folder of its own."""
    one, other = (
        changed(IMAGE, column("Metadata_Site", "1"), column("Metadata_Crop", str(n)))(site(n)) for n in (1, 2)
    )
    return csv(one, CROPS[0]) | csv(other, CROPS[1])


def time_points() -> Files:
    """Return one folder with two time points of a site, whose images have the same plate, well and site."""
    tables = joined(site(1), site(2, image=2, Site="1"))
    change = changed(IMAGE, column("Metadata_Timepoint", "10", "20"), column("FileName_DNA", "a.tif"))
    return csv(change(tables))


def in_objects(*names: str, image: bool) -> Files:
    """Return two sites whose object tables have columns of the image table, with or without that table."""
    files: Files = {}
    for number, folder in enumerate(NO_FOLDERS, 1):
        tables = site(number)
        values = dict(zip(*tables[IMAGE], strict=True))
        change = [column(name, values[name]) for name in names]
        objects = {table: changed(table, *change)(tables)[table] for table in COMPARTMENTS}
        files |= csv({**({IMAGE: tables[IMAGE]} if image else {}), **objects}, folder)
    return files


OTHERS = params(
    Case(
        "dcp_crop_folders",
        crops(),
        [row | {"Metadata_Site": 1, "Metadata_Crop": row["Metadata_Site"]} for row in RIGHT],
        warned=("a folder's plate",),
    ),
    Case("dcp_crop_folders_no_metadata", located(dropped(*NAMES), folders=CROPS), OF_CROPS),
    Case(
        "timelapse_metadata",
        time_points(),
        [row | {"Metadata_Site": 1, "Metadata_Timepoint": 10 * int(str(row["Metadata_Site"]))} for row in RIGHT],
    ),
    Case(
        "object_metadata_columns",
        in_objects("FileName_DNA", *NAMES, image=True),
        RIGHT,
        absent="(Cells|Nuclei|Cytoplasm)_(FileName|PathName|Metadata).*",
    ),
    Case("object_metadata_only_no_image", in_objects(*NAMES, image=False), RIGHT),
)


@pytest.mark.parametrize("case", OTHERS)
def test_locations_come_from_folders_and_objects_where_image_tables_lack_them(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)
