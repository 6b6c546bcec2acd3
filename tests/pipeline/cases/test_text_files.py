"""CSV files as programs re-save them: dialects, encodings, and what stands in place of numbers."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cases import (
    CELLS,
    IMAGE,
    Case,
    Rows,
    Tables,
    changed,
    check,
    column,
    csv,
    everywhere,
    expected,
    joined,
    params,
    plate,
    site,
    text,
)

RIGHT = expected(1, 2)
NAN = float("nan")


def separated(separator: str, first: str = "") -> Callable[[Rows], bytes]:
    return lambda rows: (first + text(rows, separator)).encode()


def decimal_commas(rows: Rows) -> bytes:
    """Write numbers as a German Excel does: `1011,5`, and semicolons between values."""
    return text([rows[0], *([_with_comma(value) for value in row] for row in rows[1:])], ";").encode()


def _with_comma(value: str) -> str:
    return value.replace(".", ",") if value.replace(".", "").isdigit() else value


def quoted(rows: Rows) -> bytes:
    return text([[f'"{value}"' for value in row] for row in rows]).encode()


def quoted_commas(rows: Rows) -> bytes:
    return text(
        [[f'"{new}"' if (new := _with_comma(value)) != value else value for value in row] for row in rows]
    ).encode()


def zipped(rows: Rows) -> bytes:
    return gzip.compress(text(rows).encode(), mtime=0)


def with_rows(*more: list[str]) -> Callable[[Rows], Rows]:
    """Return a change that appends rows, whose only value stands for all columns."""
    return lambda rows: [*rows, *(row * len(rows[0]) if len(row) == 1 else row for row in more)]


def unended(rows: Rows) -> bytes:
    return text(rows).encode().removesuffix(b"\n")


def named(suffix: str, encode: Callable[[Rows], bytes]) -> dict[str, bytes]:
    """Return a plate whose files have another suffix."""
    files = csv(site(1), "P1-A01-1", encode, name="{}" + suffix)
    return files | csv(site(2), "P1-A01-2", encode, name="{}" + suffix)


DIALECTS = params(
    Case("base_csv", plate(), RIGHT),
    Case("semicolon_csv", plate(encode=separated(";")), RIGHT),
    Case("tab_csv", plate(encode=separated("\t")), RIGHT),
    Case("tab_txt", named(".txt", separated("\t")), RIGHT),
    Case("decimal_comma", plate(encode=decimal_commas), RIGHT, warned=("the file has decimal commas",)),
    Case("decimal_comma_quoted", plate(encode=quoted_commas), RIGHT, reported=('"2011,5"',)),
    Case("sep_line_comma", plate(encode=separated(",", "sep=,\n")), RIGHT),
    Case("sep_line_semicolon", plate(encode=separated(";", "sep=;\n")), RIGHT),
    Case("r_quoted_all", plate(encode=quoted), RIGHT),
    Case("utf16_csv", plate(encode=lambda rows: text(rows).encode("utf-16")), RIGHT),
    Case("utf8_bom_crlf", plate(encode=lambda rows: b"\xef\xbb\xbf" + text(rows, end="\r\n").encode()), RIGHT),
    Case("old_mac_cr", plate(encode=lambda rows: text(rows, end="\r").encode()), RIGHT),
    Case("gzip_csv", named(".csv.gz", zipped), RIGHT),
    Case("gzip_named_csv", plate(encode=zipped), RIGHT),
    Case("no_final_newline_all", plate(encode=unended), RIGHT),
    Case("blank_last_lines", plate(encode=lambda rows: text(rows).encode() + b"\n\n"), RIGHT),
    Case("lower_names", {path.lower().replace("p1-a01", "P1-A01"): each for path, each in plate().items()}, RIGHT),
    Case("upper_suffix", named(".CSV", lambda rows: text(rows).encode()), RIGHT),
)


@pytest.mark.parametrize("case", DIALECTS)
def test_a_plate_in_any_dialect_is_the_same(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def padded(tables: Tables) -> Tables:
    """Add rows of empty values, as a spreadsheet writes below a table whose rows were deleted."""
    return everywhere(with_rows([""], [""]))(tables)


def with_commas(tables: Tables) -> Tables:
    """Add a comma at the end of each row but the header."""
    return everywhere(lambda rows: [rows[0], *([*row, ""] for row in rows[1:])])(tables)


def with_index(tables: Tables) -> Tables:
    """Add the column without a name in which pandas numbers the rows."""
    return everywhere(lambda rows: [["", *rows[0]], *([str(n), *row] for n, row in enumerate(rows[1:]))])(tables)


def as_floats(tables: Tables) -> Tables:
    """Write the keys as pandas does for columns with missing values: `1.0`."""
    keys = ("ImageNumber", "ObjectNumber", "Parent_Cells", "Parent_Nuclei", "Metadata_Site")

    def change(rows: Rows) -> Rows:
        header, *lines = rows
        return [header, *([f"{v}.0" if n in keys else v for n, v in zip(header, row, strict=True)] for row in lines)]

    return everywhere(change)(tables)


def repeated_headers(tables: Tables) -> Tables:
    """Put the header of the first site between the rows of two, as `cat */Cells.csv` does."""
    return {name: [*rows, *site(2, image=2)[name]] for name, rows in tables.items()}


def both(change: Callable[[Tables], Tables]) -> dict[str, bytes]:
    return csv(change(site(1)), "P1-A01-1") | csv(change(site(2)), "P1-A01-2")


def of_cells(*changes: Callable[[Rows], Rows]) -> dict[str, bytes]:
    """Return a plate with the same change of the cells in both sites."""
    return both(changed(CELLS, *changes))


RARE_NAMES = {"Cells_Math_Ratio 405/488 (%)": 1.5, 'Cells_Math_"q"': 2.5, "Cells_Math_its, ok": 3.5}
RARE_COLUMNS = (column("Math_Ratio 405/488 (%)", "1.5"), column('"Math_""q"""', "2.5"), column('"Math_its, ok"', "3.5"))
LEFT_OUT = ("without a name is left out",)

HEADERS = params(
    Case("excel_padding_rows", both(padded), error="without ImageNumber"),
    Case("trailing_comma", both(everywhere(column("", ""))), RIGHT, warned=LEFT_OUT, absent=".*_"),
    Case("trailing_comma_rows_only", both(with_commas), error="ragged"),
    Case("pandas_index_column", both(with_index), RIGHT, warned=LEFT_OUT, absent=".*_"),
    Case(
        "pandas_float_keys",
        both(as_floats),
        RIGHT,
        types={"Metadata_ImageNumber": "int64", "Metadata_Cytoplasm_Parent_Cells": "int64"},
    ),
    Case("cat_with_repeated_headers", csv(repeated_headers(site(1))), error="ImageNumber"),
    Case(
        "case_only_columns",
        of_cells(column("Intensity_Mean_dna", "1.5"), column("Intensity_Mean_DNA", "2.5")),
        [{**row, "Cells_Intensity_Mean_dna": 1.5, "Cells_Intensity_Mean_DNA": 2.5} for row in RIGHT],
    ),
    Case("odd_column_names", of_cells(*RARE_COLUMNS), [row | RARE_NAMES for row in RIGHT]),
    Case("columns_in_other_order", plate(everywhere(lambda rows: [row[::-1] for row in rows])), RIGHT),
    Case(
        "column_twice_equal",
        of_cells(lambda rows: [[*row, *["Metadata_Plate" if n == 0 else "P1"] * 2] for n, row in enumerate(rows)]),
        RIGHT,
        warned=("column 'Metadata_Plate' stands more than once",),
    ),
    Case(
        "column_twice_different",
        of_cells(
            lambda rows: [[*row, *(["Metadata_Plate"] * 2 if n == 0 else ["P1", "P2"])] for n, row in enumerate(rows)]
        ),
        error="duplicate columns.*Metadata_Plate",
    ),
)


@pytest.mark.parametrize("case", HEADERS)
def test_headers_and_rows_of_other_programs_are_read_or_refused(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def latin1(rows: Rows) -> bytes:
    return text(rows).encode("latin-1")


def of_image(*changes: Callable[[Rows], Rows], encode: Callable[[Rows], bytes] = latin1) -> dict[str, bytes]:
    """Return a plate with changes of both image tables, whose bytes `encode` makes."""
    files = both(changed(IMAGE, *changes))
    for number in (1, 2):
        rows = changed(IMAGE, *changes)(site(number))[IMAGE]
        files[f"in/P1-A01-{number}/Image.csv"] = encode(rows)
    return files


def two_wells(value: str, encode: Callable[[Rows], bytes]) -> dict[str, bytes]:
    """Return a folder of two image sets, the second of which has a file name of its own."""
    tables = joined(site(1), site(2, image=2))
    tables[IMAGE] = column("FileName_DNA", "a.tif", value)(tables[IMAGE])
    return csv(tables) | {"in/Image.csv": encode(tables[IMAGE])}


def file_names(*names: str) -> list[dict[str, object]]:
    return [{**row, "Image_FileName_DNA": names[int(str(row["Metadata_Site"])) - 1]} for row in RIGHT]


ENCODINGS = params(
    Case(
        "latin1_path",
        of_image(column("FileName_DNA", "M\u00fcller.tif")),
        [{**row, "Image_FileName_DNA": "M\u00fcller.tif"} for row in RIGHT],
    ),
    Case(
        "latin1_header_unit",
        of_image(column("Metadata_Dose_\u00b5M", "5")),
        [{**row, "Metadata_Dose_\u00b5M": 5} for row in RIGHT],
        warned=("is not UTF-8 and is read as cp1252",),
    ),
    Case(
        "latin1_second_row",
        two_wells("M\u00fcller.tif", latin1),
        file_names("a.tif", "M\u00fcller.tif"),
    ),
    Case(
        "newline_and_quotes_in_path",
        two_wells('"new ""b"",\nx.tif"', lambda rows: text(rows).encode()),
        file_names("a.tif", 'new "b",\nx.tif'),
    ),
    Case(
        "windows_paths",
        of_image(column("FileName_DNA", r"\\server\new\table.tif")),
        [{**row, "Image_FileName_DNA": r"\\server\new\table.tif"} for row in RIGHT],
    ),
)


@pytest.mark.parametrize("case", ENCODINGS)
def test_names_of_images_keep_their_characters(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


INTENSITY = "Intensity_Mean_DNA"


def token(value: str) -> dict[str, bytes]:
    """Return a plate whose first cell has this text in place of an intensity."""
    return plate(changed(CELLS, column(INTENSITY, value, "0.5"))) | csv(
        {CELLS: column(INTENSITY, "0.5")(site(2)[CELLS])}, "P1-A01-2"
    )


def becomes(value: float | None) -> list[dict[str, object]]:
    return [{**row, f"Cells_{INTENSITY}": 0.5 if number else value} for number, row in enumerate(RIGHT)]


REFUSED = f"text in numeric column '{INTENSITY}'"

TOKENS = params(
    *(
        Case(f"token_{name}", token(value), becomes(number), reported=repaired)
        for name, value, number, repaired in (
            ("nan", "nan", NAN, ()),
            ("NaN", "NaN", NAN, ()),
            ("windows_ind", "-1.#IND", NAN, ("-1.#IND",)),
            ("windows_qnan", "1.#QNAN", NAN, ("1.#QNAN",)),
            ("windows_nan_ind", "-nan(ind)", NAN, ()),
            ("windows_inf", "1.#INF", float("inf"), ("1.#INF",)),
            ("inf", "inf", float("inf"), ()),
            ("neginf", "-inf", float("-inf"), ()),
            ("NA", "NA", None, ('"NA"',)),
            ("None", "None", None, ('"None"',)),
            ("null", "NULL", None, ('"NULL"',)),
            ("blank", "", None, ()),
            ("sci", "1.23E-05", 1.23e-05, ()),
            ("decimal_comma", '"0,25"', 0.25, ("0,25",)),
        )
    ),
    *(
        Case(f"token_{name}", token(value), error=REFUSED)
        for name, value in (
            ("true", "True"),
            ("excel_div", "#DIV/0!"),
            ("excel_ref", "#VALUE!"),
            ("excel_num", "#NUM!"),
            ("masked", "--"),
            ("mysqlnull", r"\N"),
            ("bytes", "b'1.5'"),
            ("thousands", '"1,234.5"'),
            ("thousands_or_decimal", '"1,234"'),
        )
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("case", TOKENS)
def test_text_in_place_of_a_number_is_read_by_its_meaning_or_refused(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)
