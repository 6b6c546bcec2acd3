"""Platemaps and LoadData files as spreadsheets and pipelines write them."""

import gzip
from pathlib import Path

import pytest

from tests.support.cases import IMAGE, Case, Files, changed, check, column, csv, expected, params, plate, site

RIGHT = expected(1, 2)
DMSO = [row | {"Metadata_drug": "DMSO"} for row in RIGHT]
TAB = "well_position\tdrug\nA01\tDMSO\n"
UNUSED = ("well.* of the platemap without image sets",)


def platemap(name: str, content: str | bytes, rows: list[dict[str, object]] | None = None, **more: object) -> Case:
    """Return a case of the usual plate with a platemap; a name that ends in `.csv` is that of its file."""
    file = "map.csv.gz" if name == "platemap_gz" else "map.csv" if "," in str(content) else "map.txt"
    encoded = content.encode() if isinstance(content, str) else content
    files = plate() | {file: encoded}
    return Case(name, files, rows or [], {"platemap": f"{{files}}/{file}"}, **more)


MAPS = params(
    platemap("platemap_plain", TAB + "A02\tx\n", DMSO, warned=UNUSED),
    platemap("platemap_unpadded", "well_position\tdrug\na1\tDMSO\n", DMSO),
    platemap("platemap_comma", "well_position,drug\nA01,DMSO\n", DMSO),
    platemap("platemap_bom_crlf", b"\xef\xbb\xbf" + TAB.replace("\n", "\r\n").encode(), DMSO),
    platemap("platemap_cr_only", TAB.replace("\n", "\r"), DMSO),
    platemap("platemap_utf16", TAB.encode("utf-16"), DMSO),
    platemap("platemap_gz", gzip.compress(b"well_position,drug\nA01,DMSO\n", mtime=0), DMSO),
    platemap("platemap_blank_lines", TAB + "\n\n", DMSO),
    platemap("platemap_trailing_space", "well_position \tdrug\nA01 \tDMSO\n", DMSO),
    platemap("platemap_tab_padding_one", "well_position\tdrug\t\nA01\tDMSO\t\n", DMSO, absent="Metadata_"),
    platemap("platemap_duplicate_well_same", TAB + "A01\tDMSO\n", DMSO),
    platemap(
        "platemap_broad_metadata_collision",
        "well_position\tdrug\tPlate\tWell\nA01\tDMSO\tmapA\tA01\n",
        [row | {"Metadata_Plate_platemap": "mapA"} for row in DMSO],
    ),
    platemap(
        "platemap_well_missing_value",
        "well_position\tdrug\nA01\t\n",
        [row | {"Metadata_drug": None} for row in RIGHT],
    ),
    platemap(
        "platemap_quoted_quote",
        'well_position\tdrug\nA01\t5" tube\n',
        [row | {"Metadata_drug": '5" tube'} for row in RIGHT],
    ),
    platemap("platemap_duplicate_well_differs", TAB + "A01\tTaxol\n", error="A01 has two rows that differ"),
    platemap(
        "platemap_latin1", "well_position\tdrug\tdose_\u00b5M\nA01\tDMSO\t5\n".encode("latin-1"), error="not UTF-8"
    ),
    platemap("platemap_ragged_last_blank", "well_position\tdrug\tdose\nA01\tDMSO\nA02\tx\t5\n", error="ragged"),
    platemap("platemap_named_well", "Well\tdrug\nA01\tDMSO\n", error="no column well_position, but Well, drug"),
    platemap("platemap_named_metadata_well", "Metadata_Well,drug\nA01,DMSO\n", error="no column well_position"),
    platemap("platemap_semicolon", "well_position;drug\nA01;DMSO\n", error="well_position;drug"),
    platemap("platemap_row_and_col", "well_row\twell_col\tdrug\nA\t1\tDMSO\n", error="no column well_position"),
)


@pytest.mark.parametrize("case", MAPS)
def test_a_platemap_is_joined_or_refused_by_its_own_reason(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def numbered_plate(name: str) -> Files:
    """Return a plate whose name is a number with zeros in front."""
    one, other = (changed(IMAGE, column("Metadata_Plate", name))(site(number)) for number in (1, 2))
    return csv(one, "P1-A01-1") | csv(other, "P1-A01-2")


BATCH = {
    "maps/barcode_platemap.csv": b"Assay_Plate_Barcode,Plate_Map_Name\n123,mapA\n",
    "maps/platemap/mapA.txt": TAB.encode(),
}
LOAD_DATA = {"load_data": "{files}/load_data.csv"}
BY_WELL = b"FileName_OrigDNA,Metadata_Plate,Metadata_CPD_WELL_POSITION,Metadata_Site,Metadata_Dose\n"
BY_NUMBER = b"FileName_OrigDNA,Metadata_Plate,Metadata_Well,Metadata_Site,Metadata_Dose\n"

NUMBERS = params(
    Case("barcode_number_zeros", numbered_plate("00123") | BATCH, options={"platemap": "{files}/maps"}, error="00123"),
    Case(
        "loaddata_plate_number_zeros",
        numbered_plate("00123") | {"load_data.csv": BY_NUMBER + b"a.tif,123,A01,1,5\nb.tif,123,A01,2,5\n"},
        options=LOAD_DATA,
        error="LoadData file of other image sets.*123 A01 1.*00123 A01 1",
    ),
    Case(
        "loaddata_cpd_well",
        plate() | {"load_data.csv": BY_WELL + b"a.tif,P1,a01,1,5\nb.tif,P1,a01,2,5\n"},
        [
            row | {"Metadata_Dose": 5, "Image_FileName_OrigDNA": "ab"[row["Metadata_Site"] == 2] + ".tif"}
            for row in RIGHT
        ],
        LOAD_DATA,
    ),
)


@pytest.mark.parametrize("case", NUMBERS)
def test_names_of_plates_and_wells_are_compared_as_text(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)
