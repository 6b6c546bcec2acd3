"""Every defect of a corpus is repaired or reported: no row is lost without an entry in the report.

Three defects cannot be detected. A file of whole rows (IN Carta's) that lost lines, because no other file counts its
rows. A file or an export that was copied over another, because a table does not name its site. A digit or letter that
became another one.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.errors import ExitCode, LayoutError, TooManyFailedExportsError
from cytobatch.report.model import LedgerEntry, Outcome, RunReport
from tests.support import corpus as c
from tests.support.examples import examples
from tests.support.plates import convert

# As in test_damaged_plates: pyarrow prints an error if a ragged row is not UTF-8.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@dataclass(frozen=True)
class Right:
    """The expected profile has all rows; those of the damaged export differ in the columns of `changes` alone.

    `reported` are words of the report's warnings, repairs and schema differences. `lost` are the numbers, from 0, of
    the damaged export's rows that are missing, which the report warns of.
    """

    changes: Mapping[str, list[object]] = field(default_factory=dict)
    reported: tuple[str, ...] = ()
    lost: tuple[int, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The export is left out, and the ledger has one failed file, for a reason with these words.

    The file is the damaged one, unless `path` is another one.
    """

    reason: str
    path: str | None = None


@dataclass(frozen=True)
class NoRows:
    """The export has no rows and has not failed; its file, if it is there, is empty or ignored."""


@dataclass(frozen=True)
class Case:
    plate: c.Plate
    file: str
    name: str
    damage: c.Damage
    expected: Right | Failed | NoRows


def cases(plate: c.Plate, *rows: tuple[str, str, c.Damage, Right | Failed | NoRows]) -> list[Any]:
    """Return cases as parameters; a part of its name identifies a file."""
    result = []
    for part, name, damage, expected in rows:
        file = next(file for file in plate.files if part in file)
        label = f"{Path(file).stem}-{name}".replace(" ", "_")
        result.append(pytest.param(Case(plate, file, name, damage, expected), id=label))
    return result


@cache
def undamaged(plate: c.Plate) -> pa.Table:
    with TemporaryDirectory() as folder:
        return convert(c.written(plate, Path(folder)), Path(folder))[0]


AREA = "AreaShape_Area"
CELLS_AREA = "Cells_AreaShape_Area"
SAME = Right()
AREAS = [3001.0, 3002.0, 3003.0, 3004.0, 3005.0]


def areas(row: int, becomes: object) -> dict[str, list[object]]:
    return {CELLS_AREA: [becomes if number == row else area for number, area in enumerate(AREAS, start=1)]}


CSV_CASES = cases(
    c.CSV,
    ("Cells", "empty file", c.empty_file, Failed("empty file")),
    ("Cells", "header only", c.header_only, Failed("header only: the image table counts 5")),
    ("Cells", "no header", c.no_header, Failed("duplicate columns")),
    ("Cells", "cut in the header", c.cut(0.1), Failed("no ImageNumber")),
    ("Cells", "cut in a row", c.cut(0.8), Failed("cut short")),
    ("Cells", "cut in the last value", c.drop_bytes(2), Failed("cut short")),
    ("Cells", "last line lost", c.last_line_lost, Failed("cut short")),
    ("Cytoplasm", "last line lost", c.last_line_lost, Failed("cut short")),
    ("Nuclei", "last line lost", c.last_line_lost, Failed("cut short")),
    ("Nuclei", "middle line lost", c.middle_line_lost, Failed("cut short")),
    ("Cells", "middle line lost", c.middle_line_lost, Failed("cut short")),
    ("Image", "last line lost", c.last_line_lost, Failed("header only")),
    ("Cells", "header in the middle", c.header_in_the_middle, Failed("")),
    ("Image", "file twice", c.doubled, Failed("")),
    ("Cells", "file twice", c.doubled, Failed("")),
    ("Cells", "rows twice", c.rows_doubled, Failed("repeated objects")),
    ("Cells", "line twice", c.line_doubled, Failed("repeated objects")),
    ("Image", "line twice", c.rows_doubled, Failed("repeated images")),
    ("Cells", "lines in another order", c.lines_reversed, SAME),
    ("Cells", "short row", c.short_row, Failed("cut short: 1 row with 3 of 4 values")),
    ("Cells", "long row", c.long_row, Failed("ragged row: 1 row with 5 of 4 values")),
    ("Cells", "last row short", c.last_row_short, Failed("cut short")),
    ("Cells", "trailing commas", c.trailing_commas, Failed("ragged row")),
    ("Cells", "byte order mark", c.bom, SAME),
    ("Image", "byte order mark", c.bom, SAME),
    ("Cells", "CRLF", c.crlf, SAME),
    ("Image", "CRLF", c.crlf, SAME),
    ("Cells", "CR", c.cr, SAME),
    ("Cells", "everything quoted", c.quoted_everywhere, SAME),
    ("Image", "everything quoted", c.quoted_everywhere, SAME),
    ("Cells", "header quoted", c.quoted_header, SAME),
    ("Cells", "values quoted", c.quoted_values, SAME),
    ("Cells", "blanks after commas", c.blanks_after_commas, SAME),
    ("Cells", "unclosed quote", c.value(AREA, '"3002'), Failed("")),
    ("Cells", "unclosed quote in the last row", c.value(AREA, '"3002', 5), Failed("")),
    ("Cells", "unclosed quote in the header", c.header_renamed(AREA, f'"{AREA}'), Failed("")),
    ("Image", "unclosed quote", c.value("FileName_OrigDNA", '"dna.tiff', 1), Failed("")),
    ("Cells", "NUL in a number", c.value(AREA, "30\0002"), Failed("text in numeric column")),
    ("Cells", "NUL in a key", c.value("ObjectNumber", "\0002"), Failed("text in numeric column")),
    ("Cells", "NULs for a block", c.overwritten(60, b"\0" * 30), Failed("")),
    ("Cells", "NULs alone", c.overwritten(0, b"\0" * 10_000), Failed("")),
    ("Cells", "NULs at the end", c.fields_changed(lambda rows: [*rows, ["\0" * 50]]), Failed("")),
    ("Image", "NUL in text", c.value("FileName_OrigDNA", "d\0na", 1), Right({"Image_FileName_OrigDNA": ["d\0na"] * 5})),
    (
        "Image",
        "latin-1 in text",
        c.value("FileName_OrigDNA", "\udcb5.tif", 1),
        Right({"Image_FileName_OrigDNA": ["µ.tif"] * 5}),
    ),
    (
        "Image",
        "latin-1 in the header",
        c.header_renamed("FileName_OrigDNA", "\udcb5"),
        Right({"Image_FileName_OrigDNA": [None] * 5}, ("read as cp1252",)),
    ),
    (
        "Cells",
        "latin-1 in the header",
        c.header_renamed(AREA, "\udcb5"),
        Right({CELLS_AREA: [None] * 5}, (AREA, "is not UTF-8 and is read as cp1252")),
    ),
    ("Cells", "latin-1 in a number", c.value(AREA, "\udcb5"), Failed("")),
    ("Cells", "semicolons", c.semicolons, SAME),
    ("Cells", "tabs", c.tabs, SAME),
    ("Image", "semicolons", c.semicolons, SAME),
    ("Cells", "UTF-16", c.utf16, SAME),
    ("Image", "UTF-16", c.utf16, SAME),
    ("Cells", "column twice", c.double_column(AREA), Right(reported=(AREA, "more than once"))),
    ("Cells", "column twice, a value differs", c.column_twice_differently(AREA), Failed("duplicate columns")),
    ("Image", "column twice", c.double_column("Metadata_Well"), Right(reported=("Metadata_Well", "more than once"))),
    ("Cells", "nameless column", c.with_extra_column("", ""), Right(reported=("column 5 without a name",))),
    ("Image", "nameless column", c.with_extra_column(" ", "7"), Right(reported=("without a name",))),
    ("Cells", "numbers of rows", c.with_extra_column("Unnamed: 0", "7"), Right(reported=("Unnamed: 0",))),
    ("Cells", "decimal comma", c.value(AREA, '"3002,5"'), Right(areas(2, 3002.5), ("3002,5",))),
    ("Cells", "decimal comma in row 1", c.value(AREA, '"3001,5"', 1), Right(areas(1, 3001.5), ("3001,5",))),
    ("Cells", "thousands", c.value(AREA, '"3,002"'), Failed("'3,002'")),
    ("Cells", "indefinite", c.value(AREA, "-nan(ind)"), Right(areas(2, float("nan")), ("nans=1",))),
    ("Cells", "1.#IND", c.value(AREA, "1.#IND"), Right(areas(2, float("nan")), ("1.#IND",))),
    ("Cells", "nan", c.value(AREA, "nan"), Right(areas(2, float("nan")))),
    ("Cells", "blank value", c.value(AREA, ""), Right(areas(2, None))),
    ("Cells", "N/A", c.value(AREA, "N/A"), Right(areas(2, None), ("N/A",))),
    ("Cells", "infinity", c.value(AREA, "inf"), Right(areas(2, float("inf")))),
    ("Cells", "a word", c.value(AREA, "big"), Failed("text in numeric column 'AreaShape_Area': row 2 holds 'big'")),
    ("Cells", "a word in row 1", c.value(AREA, "big", 1), Failed("text in numeric column 'AreaShape_Area'")),
    ("Cells", "words", c.column(AREA, "big"), Failed("text in numeric column 'AreaShape_Area': 'big', where P1-A01-1")),
    ("Cells", "a word as key", c.value("ObjectNumber", "two"), Failed("text in numeric column 'ObjectNumber'")),
    ("Cells", "no key", c.value("ObjectNumber", ""), Failed("without image or object number")),
    ("Cells", "no image number", c.value("ImageNumber", ""), Failed("without image or object number")),
    ("Cells", "a fraction as key", c.value("ObjectNumber", "2.5"), Failed("a fraction in integer column")),
    ("Cells", "a whole number with a point", c.value("ObjectNumber", "2.0"), SAME),
    ("Image", "a whole number with a point", c.value("ImageNumber", "1.0", 1), SAME),
    ("Cells", "a number too large", c.value("ObjectNumber", "9" * 30), Failed("too large a number")),
    ("Cells", "key column lacks", c.without_column("ObjectNumber"), Failed("no ObjectNumber column")),
    ("Cells", "image column lacks", c.without_column("ImageNumber"), Failed("no ImageNumber column")),
    ("Image", "image column lacks", c.without_column("ImageNumber"), Failed("no ImageNumber column")),
    ("Cytoplasm", "parent column lacks", c.without_column("Parent_Cells"), Failed("no Parent_Cells column")),
    ("Cells", "a column less", c.without_column(AREA), Right({CELLS_AREA: [None] * 5}, (AREA,))),
    ("Cells", "a column more", c.with_extra_column("AreaShape_Extra", "7"), Right(reported=("AreaShape_Extra",))),
    ("Cells", "a column of words more", c.with_extra_column("Classify", "big"), Right(reported=("Classify",))),
    ("Cells", "missing", c.missing_file, Failed("missing", "P1-A01-3")),
    ("Cytoplasm", "missing", c.missing_file, Failed("missing", "P1-A01-3")),
    ("Image", "missing", c.missing_file, Failed("missing", "P1-A01-3")),
    ("Cells", "folder", c.folder_in_its_place, Failed("missing", "P1-A01-3")),
    ("Cells", "another name", c.renamed("Cell.csv"), Failed("missing", "P1-A01-3")),
    ("Cells", "capitals", c.renamed("CELLS.CSV"), SAME),
    ("Cells", "of another suffix", c.renamed("Cells.csv.part"), Failed("missing", "P1-A01-3")),
    ("Cells", "gzip", c.gzipped, SAME),
    ("Cells", "gzip, cut", c.in_order(c.gzipped, c.drop_bytes(20)), Failed("cut short: its gzip data have no end")),
    ("Cells", "gzip, a byte changed", c.in_order(c.gzipped, c.overwritten(40, b"\xff\xff")), Failed("")),
    ("Image", "gzip", c.gzipped, SAME),
    ("Cells", "no newline at the end", c.no_newline_at_the_end, Failed("cut short: the last line has no end")),
    ("Cells", "blank lines at the end", c.blank_lines_at_the_end, SAME),
    ("Image", "blank lines at the end", c.blank_lines_at_the_end, SAME),
    ("Cells", "blank line in the middle", c.blank_line_in_the_middle, SAME),
    ("Cells", "blank line first", c.blank_line_first, Failed("no header")),
    ("Cells", "long field in a number", c.value(AREA, "9" * 400_000), Right(areas(2, float("inf")), ("infinities=1",))),
    (
        "Image",
        "long field",
        c.value("FileName_OrigDNA", "x" * 400_000, 1),
        Right({"Image_FileName_OrigDNA": ["x" * 400_000] * 5}),
    ),
    ("Cells", "long line without end", lambda path: path.write_bytes(b"x" * 20_000_000), Failed("")),
    ("Cells", "no objects", c.no_objects, NoRows()),
    (
        "Cells",
        "nuclei under its name",
        c.copied_from(lambda path: path.with_name("Nuclei.csv")),
        Right(
            {CELLS_AREA: [3100.0, 3200.0, 3300.0, 3400.0, 3500.0], "Metadata_Cells_Parent_Nuclei": [None] * 5},
            ("the image table does not count",),
        ),
    ),
    # A file does not name its site, so that a copy of another site's file cannot be detected.
    (
        "Cells",
        "cells of another site",
        c.copied_from(lambda path: path.parents[1] / "P1-A01-1" / "Cells.csv"),
        Right({CELLS_AREA: [1001.0, 1002.0, 1003.0, 1004.0, 1005.0]}),
    ),
)

COMBINED_CASES = cases(
    c.COMBINED,
    ("object", "empty file", c.empty_file, Failed("empty file")),
    ("object", "one header line", c.header_only, Failed("")),
    ("object", "two header lines", c.lines_changed(lambda lines: lines[:2]), Failed("header only")),
    ("object", "cut in the header", c.cut(0.1), Failed("")),
    ("object", "cut in a row", c.cut(0.8), Failed("cut short")),
    ("object", "last line lost", c.last_line_lost, Failed("cut short")),
    (
        "object",
        "last two lines lost",
        c.lines_changed(lambda lines: lines[:-2]),
        Right(reported=("the image table counts and the table lacks",), lost=(4,)),
    ),
    (
        "object",
        "middle line lost",
        c.lines_changed(lambda lines: [*lines[:3], *lines[4:]]),
        Right(reported=("the image table counts and the table lacks",), lost=(1,)),
    ),
    ("object", "line twice", c.lines_changed(lambda lines: [*lines[:3], *lines[2:]]), Failed("repeated objects")),
    (
        "object",
        "headers in the middle",
        c.lines_changed(lambda lines: [*lines[:4], *lines[:2], *lines[4:]]),
        Failed(""),
    ),
    ("object", "upper header lost", c.no_header, Failed("")),
    (
        "object",
        "ragged headers",
        c.lines_changed(lambda lines: [b"Image," + lines[0], *lines[1:]]),
        Failed("ragged header"),
    ),
    ("object", "short row", c.fields_changed(lambda rows: [*rows[:3], rows[3][:-1], *rows[4:]]), Failed("cut short")),
    (
        "object",
        "long row",
        c.fields_changed(lambda rows: [*rows[:3], [*rows[3], "7"], *rows[4:]]),
        Failed("ragged row"),
    ),
    ("object", "byte order mark", c.bom, SAME),
    ("object", "CRLF", c.crlf, SAME),
    ("object", "everything quoted", c.quoted_everywhere, SAME),
    ("object", "semicolons", c.semicolons, SAME),
    ("object", "UTF-16", c.utf16, SAME),
    ("object", "gzip", c.gzipped, SAME),
    ("object", "missing", c.missing_file, Failed("missing", "P1-A01-3")),
    ("object", "no newline at the end", c.no_newline_at_the_end, Failed("cut short")),
    ("object", "blank lines at the end", c.blank_lines_at_the_end, SAME),
    ("object", "a word", c.value(AREA, "big", 2, 1), Failed("text in numeric column")),
    ("object", "a table's name misspelt", c.replaced(b"Cells,", b"Cell,"), Failed("no columns of Cells")),
    ("image", "empty file", c.empty_file, Failed("empty file")),
    ("image", "missing", c.missing_file, Failed("missing", "P1-A01-3")),
)

SQLITE_CASES = [
    *cases(
        c.CYTOMINER,
        ("P3", "empty file", c.empty_file, Failed("empty file")),
        ("P3", "no database", c.overwritten(0, b"no database" * 10), Failed("not a SQLite database")),
        ("P3", "gzip", c.gzipped, Failed("not a SQLite database")),
        *(("P3", f"cut at {at}", c.cut(at), Failed("cut short")) for at in (0.001, 0.01, 0.3, 0.6, 0.999)),
        ("P3", "page size of 0", c.overwritten(16, b"\0\0"), Failed("")),
        ("P3", "page size of another power", c.overwritten(16, b"\x20\0"), Failed("")),
        ("P3", "version of the format", c.overwritten(18, b"\x09\x09"), Failed("")),
        ("P3", "text encoding", c.overwritten(56, b"\0\0\0\7"), Failed("")),
        ("P3", "zeroed schema", c.overwritten(100, b"\0" * 3996), Failed("")),
        ("P3", "zeroed page 2", c.overwritten(4096, b"\0" * 4096), Failed("")),
        ("P3", "0xFF in page 3", c.overwritten(8192, b"\xff" * 4096), Failed("")),
        *(("P3", f"flips {seed}", c.flipped(seed, 400), Failed("")) for seed in range(5)),
        (
            "P3",
            "no tables",
            c.sql("DROP TABLE CELLS", "DROP TABLE IMAGE", "DROP TABLE NUCLEI", "DROP TABLE CYTOPLASM"),
            Failed("missing"),
        ),
        ("P3", "table missing", c.sql("DROP TABLE CELLS"), Failed("missing")),
        ("P3", "base table missing", c.sql("DROP TABLE CYTOPLASM"), Failed("missing")),
        ("P3", "image table missing", c.sql("DROP TABLE IMAGE"), Failed("missing")),
        ("P3", "table under another name", c.sql("ALTER TABLE CELLS RENAME TO Cell"), Failed("missing")),
        (
            "P3",
            "column missing",
            c.sql("ALTER TABLE CELLS DROP COLUMN AREA"),
            Right({CELLS_AREA: [None] * 5}, ("AreaShape_Area",)),
        ),
        ("P3", "number missing", c.sql("ALTER TABLE CELLS DROP COLUMN NUMBER"), Failed("")),
        ("P3", "image number missing", c.sql("ALTER TABLE CELLS DROP COLUMN ImageNumber"), Failed("no ImageNumber")),
        (
            "P3",
            "image number of images missing",
            c.sql("ALTER TABLE IMAGE DROP COLUMN ImageNumber"),
            Failed("no ImageNumber"),
        ),
        (
            "P3",
            "TableNumber missing",
            c.sql("ALTER TABLE CELLS DROP COLUMN TableNumber"),
            Failed("no TableNumber column"),
        ),
        (
            "P3",
            "parents missing",
            c.sql("ALTER TABLE CYTOPLASM DROP COLUMN Cytoplasm_Parent_Cells"),
            Failed("no Cytoplasm_Parent_Cells column"),
        ),
        ("P3", "no rows", c.sql("DELETE FROM CELLS"), Failed("")),
        (
            "P3",
            "no rows in the base",
            c.sql("DELETE FROM CYTOPLASM"),
            Failed("the image table counts 5 objects, the table has 0"),
        ),
        ("P3", "no images", c.sql("DELETE FROM IMAGE"), Failed("no rows: there are objects, but no image")),
        ("P3", "no rows at all", c.everywhere("DELETE FROM THIS"), NoRows()),
        (
            "P3",
            "last row lost",
            c.sql("DELETE FROM CYTOPLASM WHERE ObjectNumber = 5"),
            Right(reported=("the image table counts and the table lacks",), lost=(4,)),
        ),
        ("P3", "text nan", c.sql("UPDATE CELLS SET AREA = 'nan' WHERE NUMBER = 2"), Right(areas(2, None), ("nan",))),
        ("P3", "a word", c.sql("UPDATE CELLS SET AREA = 'big' WHERE NUMBER = 2"), Right(areas(2, None), ("big",))),
        ("P3", "blob", c.sql("UPDATE CELLS SET AREA = x'00ff' WHERE NUMBER = 2"), Right(areas(2, None), ("x00",))),
        ("P3", "null", c.sql("UPDATE CELLS SET AREA = NULL WHERE NUMBER = 2"), Right(areas(2, None))),
        ("P3", "infinity", c.sql("UPDATE CELLS SET AREA = 9e999 WHERE NUMBER = 2"), Right(areas(2, float("inf")))),
        ("P3", "numbers as text", c.text_column("CELLS", "AREA"), Right(reported=("numbers in text",))),
        (
            "P3",
            "counts as text",
            c.text_column("IMAGE", "Image_Count_Cells"),
            Right(reported=("numbers in text",)),
        ),
        ("P3", "sites as text", c.text_column("IMAGE", "Image_Metadata_Site"), SAME),
        ("P3", "image numbers as text", c.text_column("IMAGE", "ImageNumber"), SAME),
        ("P3", "TableNumber as text", c.text_column("CELLS", "TableNumber"), SAME),
        ("P3", "TableNumber as text in images", c.text_column("IMAGE", "TableNumber"), SAME),
        ("P3", "no TableNumber", c.everywhere("ALTER TABLE THIS DROP COLUMN TableNumber"), SAME),
        ("P3", "a word as key", c.sql("UPDATE CELLS SET NUMBER = 'two' WHERE NUMBER = 2"), Failed("")),
        ("P3", "blob as key", c.sql("UPDATE CELLS SET NUMBER = x'02' WHERE NUMBER = 2"), Failed("")),
        ("P3", "fraction as key", c.sql("UPDATE CELLS SET NUMBER = 2.5 WHERE NUMBER = 2"), Failed("fraction")),
        ("P3", "text key", c.sql("UPDATE CELLS SET NUMBER = ' 2 ' WHERE NUMBER = 2"), SAME),
        (
            "P3",
            "null as key",
            c.sql("UPDATE CELLS SET NUMBER = NULL WHERE NUMBER = 2"),
            Failed("without image or object number"),
        ),
        (
            "P3",
            "null as image",
            c.sql("UPDATE CYTOPLASM SET ImageNumber = NULL WHERE ObjectNumber = 2"),
            Failed("without image or object number"),
        ),
        (
            "P3",
            "null as image of images",
            c.sql("UPDATE IMAGE SET ImageNumber = NULL"),
            Failed("rows without ImageNumber"),
        ),
        ("P3", "rows twice", c.sql("INSERT INTO CELLS SELECT * FROM CELLS"), Failed("repeated objects")),
        ("P3", "images twice", c.sql("INSERT INTO IMAGE SELECT * FROM IMAGE"), Failed("repeated images")),
        (
            "P3",
            "a view",
            c.sql("ALTER TABLE CELLS RENAME TO t", "CREATE VIEW CELLS AS SELECT * FROM t"),
            SAME,
        ),
        ("P3", "WAL left behind", c.wal_left_behind, Right(areas(2, 7.0))),
        ("P3", "foreign WAL", c.foreign_wal, SAME),
        ("P3", "text TableNumbers", c.everywhere("UPDATE THIS SET TableNumber = '3'"), SAME),
        (
            "P3",
            "TableNumbers of another kind in one",
            c.sql("UPDATE CELLS SET TableNumber = '3x'"),
            Failed("5 rows without TableNumber"),
        ),
        (
            "P3",
            "null TableNumber",
            c.sql("UPDATE CELLS SET TableNumber = NULL WHERE ObjectNumber = 2"),
            Failed("1 row without TableNumber"),
        ),
        (
            "P3",
            "latin-1 in text",
            c.sql("UPDATE IMAGE SET Image_FileName_OrigDNA = CAST(x'B5' AS TEXT)"),
            Right({"Image_FileName_OrigDNA": ["\ufffd"] * 5}, ("UTF-8",)),
        ),
        ("P3", "missing", c.missing_file, NoRows()),
        ("P3", "folder", c.folder_in_its_place, NoRows()),
    ),
    *cases(
        c.PER,
        ("P3", "empty file", c.empty_file, Failed("empty file")),
        ("P3", "cut", c.cut(0.5), Failed("cut short")),
        ("P3", "table missing", c.sql("DROP TABLE CELLS"), Failed("missing")),
        ("P3", "base table missing", c.sql("DROP TABLE CYTOPLASM"), Failed("missing")),
        ("P3", "table under another name", c.sql("ALTER TABLE CELLS RENAME TO Per_Cell"), Failed("missing")),
        ("P3", "number missing", c.sql("ALTER TABLE CELLS DROP COLUMN NUMBER"), Failed("")),
        ("P3", "no rows", c.sql("DELETE FROM CELLS"), Failed("")),
        ("P3", "text nan", c.sql("UPDATE CELLS SET AREA = 'nan' WHERE NUMBER = 2"), Right(areas(2, None), ("nan",))),
        ("P3", "a word as key", c.sql("UPDATE CELLS SET NUMBER = 'two' WHERE NUMBER = 2"), Failed("")),
        (
            "P3",
            "null as key",
            c.sql("UPDATE CELLS SET NUMBER = NULL WHERE NUMBER = 2"),
            Failed("without image or object number"),
        ),
        ("P3", "rows twice", c.sql("INSERT INTO CELLS SELECT * FROM CELLS"), Failed("repeated objects")),
        (
            "P3",
            "a view",
            c.sql("ALTER TABLE CELLS RENAME TO t", "CREATE VIEW CELLS AS SELECT * FROM t"),
            SAME,
        ),
    ),
]

PT = "Primary Target Area wv1"


def targets(row: int, becomes: object) -> dict[str, list[object]]:
    return {PT: [becomes if number == row else 2999.0 + number for number in range(1, 13)]}


INCARTA_CASES = cases(
    c.IN_CARTA,
    ("Day3", "empty file", c.empty_file, Failed("empty file")),
    ("Day3", "header only", c.header_only, NoRows()),
    ("Day3", "no header", c.no_header, NoRows()),
    ("Day3", "cut in the header", c.cut(0.05), Failed("")),
    ("Day3", "cut in a row", c.cut(0.5), Failed("cut short")),
    ("Day3", "cut in the last value", c.drop_bytes(2), Failed("cut short")),
    ("Day3", "header in the middle", c.header_in_the_middle, Failed("")),
    ("Day3", "file twice", c.doubled, Failed("")),
    ("Day3", "rows twice", c.rows_doubled, Failed("repeated objects")),
    ("Day3", "line twice", c.line_doubled, Failed("repeated objects")),
    ("Day3", "lines in another order", c.lines_reversed, SAME),
    ("Day3", "short row", c.short_row, Failed("cut short: 1 row with 19 of 20 values")),
    ("Day3", "long row", c.long_row, Failed("ragged row: 1 row with 21 of 20 values")),
    ("Day3", "byte order mark", c.bom, SAME),
    ("Day3", "CRLF", c.crlf, SAME),
    ("Day3", "everything quoted", c.quoted_everywhere, SAME),
    ("Day3", "header quoted", c.quoted_header, SAME),
    ("Day3", "unclosed quote", c.value(PT, '"3001'), Failed("")),
    ("Day3", "unclosed quote in text", c.value("Slice Algorithm", '"CurrentSlice'), Failed("")),
    ("Day3", "NUL in a number", c.value(PT, "30\0001"), Failed("text in numeric column")),
    (
        "Day3",
        "NUL in text",
        c.value("Slice Algorithm", "C\0S"),
        Right({"Slice Algorithm": ["CurrentSlice", "C\0S", *["CurrentSlice"] * 10]}),
    ),
    (
        "Day3",
        "latin-1 in text",
        c.value("Slice Algorithm", "\udcb5"),
        Right({"Slice Algorithm": ["CurrentSlice", "µ", *["CurrentSlice"] * 10]}),
    ),
    (
        "Day3",
        "latin-1 in the header",
        c.header_renamed("Cells Area wv3", "\udcb5 wv3"),
        Right({"Cells Area wv3": [None] * 12}, ("Cells Area wv3", "read as cp1252")),
    ),
    ("Day3", "semicolons", c.semicolons, SAME),
    ("Day3", "tabs", c.tabs, SAME),
    ("Day3", "UTF-16", c.utf16, SAME),
    ("Day3", "gzip", c.gzipped, SAME),
    ("Day3", "column twice", c.double_column(PT), Right(reported=(PT, "more than once"))),
    ("Day3", "decimal comma", c.value(PT, '"3001,5"'), Right(targets(2, 3001.5), ("3001,5",))),
    ("Day3", "indefinite", c.value(PT, "-nan(ind)"), Right(targets(2, float("nan")), ("nans=1",))),
    ("Day3", "blank value", c.value(PT, ""), Right(targets(2, None))),
    ("Day3", "a word", c.value(PT, "big"), Failed("row 2 holds 'big'")),
    ("Day3", "a word in row 1", c.value(PT, "big", 1), Failed("text in numeric column")),
    (
        "Day3",
        "a word in a count",
        c.value("F Actin Neighbor Count wv2", "few"),
        Failed("text in column 'F Actin Neighbor Count wv2'"),
    ),
    ("Day3", "a word as key", c.value("OBJECT ID", "two"), Failed("text in numeric column")),
    ("Day3", "no key", c.value("OBJECT ID", ""), Failed("1 row without OBJECT ID")),
    ("Day3", "a fraction as key", c.value("OBJECT ID", "2.5"), Failed("a fraction in integer column")),
    ("Day3", "a whole number with a point", c.value("OBJECT ID", "2.0"), SAME),
    ("Day3", "neither yes nor no", c.value("Slice Indicator", "perhaps"), Failed("neither yes nor no")),
    ("Day3", "key column lacks", c.without_column("OBJECT ID"), Failed("no OBJECT ID column")),
    ("Day3", "well column lacks", c.without_column("WELL LABEL"), Failed("no WELL LABEL column")),
    ("Day3", "a column less", c.without_column(PT), Right({PT: [None] * 12}, (PT,))),
    ("Day3", "a column more", c.with_extra_column("Extra Area wv1", "7"), Right(reported=("Extra Area wv1",))),
    ("Day3", "a column of words more", c.with_extra_column("Remark", "odd"), Right(reported=("Remark",))),
    ("Day3", "no newline at the end", c.no_newline_at_the_end, Failed("cut short: the last line has no end")),
    ("Day3", "blank lines at the end", c.blank_lines_at_the_end, SAME),
    ("Day3", "blank line first", c.blank_line_first, Failed("no header")),
    (
        "Day3",
        "long field",
        c.value("Slice Algorithm", "x" * 400_000),
        Right({"Slice Algorithm": ["CurrentSlice", "x" * 400_000, *["CurrentSlice"] * 10]}),
    ),
    ("Day3", "long field in a number", c.value(PT, "9" * 400_000), Right(targets(2, float("inf")), ("infinities=1",))),
    ("Day3", "missing", c.missing_file, NoRows()),
    ("Day3", "folder", c.folder_in_its_place, NoRows()),
)

NPZ_CASES = cases(
    c.NPZ,
    ("A01_3", "empty file", c.empty_file, Failed("empty file")),
    ("A01_3", "no archive", c.overwritten(0, b"x" * 10_000), Failed("no NPZ archive")),
    ("A01_3", "gzip", c.gzipped, Failed("no NPZ archive")),
    *(("A01_3", f"cut at {at}", c.cut(at), Failed("")) for at in (0.01, 0.3, 0.7, 0.99)),
    *(("A01_3", f"flips {seed}", c.flipped(seed, 20), Failed("")) for seed in range(5)),
    *(
        ("A01_3", f"without {name}", c.without_member(name), Failed(name))
        for name in ("features", "metadata", "locations")
    ),
    ("A01_3", "member more", c.members_changed(lambda m: m.update(extra=np.arange(3))), SAME),
    ("A01_3", "rows differ", c.member("locations", lambda a: a[:-1]), Failed("locations do not fit")),
    (
        "A01_3",
        "rows of both lost",
        c.members_changed(lambda m: m.update(features=m["features"][:0], locations=m["locations"][:0])),
        NoRows(),
    ),
    ("A01_3", "hostile pickle", c.hostile_pickle, Failed("metadata")),
    ("A01_3", "pickle cut", c.raw_member("metadata", lambda data: data[:-5]), Failed("metadata")),
    ("A01_3", "text features", c.member("features", lambda a: a.astype(str)), Failed("no table of numbers")),
    ("A01_3", "complex features", c.member("features", lambda a: a.astype(complex)), Failed("no table of numbers")),
    (
        "A01_3",
        "integer features",
        c.member("features", lambda a: (a * 8).astype(int)),
        Right({f"net_{n}": [24000.0 + 4 * row + n - 1 for row in range(5)] for n in range(1, 5)}),
    ),
    ("A01_3", "object features", c.member("features", lambda a: a.astype(object)), Failed("no table of numbers")),
    ("A01_3", "1-d features", c.member("features", lambda a: a[0]), Failed("no table of numbers")),
    ("A01_3", "3-d features", c.member("features", lambda a: a[None]), Failed("no table of numbers")),
    ("A01_3", "no features", c.member("features", lambda a: a[:, :0]), Failed("cannot be columns")),
    ("A01_3", "Fortran order", c.member("features", np.asfortranarray), SAME),
    ("A01_3", "big-endian", c.member("features", lambda a: a.astype(">f4")), SAME),
    ("A01_3", "other width", c.member("features", lambda a: a[:, :3]), Right({"net_4": [None] * 5}, ("net_4",))),
    ("A01_3", "wider", c.member("features", lambda a: np.hstack([a, a[:, :1]])), Right(reported=("net_5",))),
    ("A01_3", "metadata is a list", c.metadata_of([1, 2]), Failed("metadata")),
    ("A01_3", "metadata is text", c.member("metadata", lambda _: np.array("x")), Failed("metadata is no dictionary")),
    ("A01_3", "metadata has other keys", c.metadata_of({1: 2}), Failed("metadata")),
    ("A01_3", "metadata is nested", c.metadata_of({"a": {"b": 1}}), Failed("metadata")),
    (
        "A01_3",
        "another model",
        c.metadata_of({"Metadata_Site": 3, "Metadata_Plate": "P1", "Metadata_Model": "other"}),
        Right(
            {"Treatment": [None] * 5, "Metadata_Model": ["other"] * 5} | {f"net_{n}": [None] * 5 for n in range(1, 5)},
            ("other_1",),
        ),
    ),
    (
        "A01_3",
        "NaN features",
        c.member("features", lambda a: a * np.nan),
        Right({f"net_{n}": [float("nan")] * 5 for n in range(1, 5)}),
    ),
    (
        "A01_3",
        "header lies",
        c.raw_member("features", lambda data: data.replace(b"(5, 4)", b"(9, 4)")),
        Failed("features are not whole"),
    ),
    (
        "A01_3",
        "header is no dictionary",
        c.raw_member("features", lambda data: data.replace(b"{", b"(", 1)),
        Failed("cannot be read as NPY"),
    ),
    ("A01_3", "data cut", c.raw_member("features", lambda data: data[:-4]), Failed("features are not whole")),
    ("A01_3", "data more", c.raw_member("features", lambda data: data + b"0000"), Failed("features are not whole")),
    (
        "A01_3",
        "version unknown",
        c.raw_member("features", lambda data: data.replace(b"NUMPY\1", b"NUMPY\7")),
        Failed("cannot be read as NPY"),
    ),
    ("A01_3", "missing", c.missing_file, NoRows()),
)


def comparable(table: pa.Table, names: list[str]) -> list[tuple[object, ...]]:
    columns = (
        ["nan" if isinstance(v, float) and math.isnan(v) else v for v in table[name].to_pylist()] for name in names
    )
    return list(zip(*columns, strict=True))


def expected_rows(case: Case) -> pa.Table:
    """Return the rows of the undamaged plate, with the expected changes of the damaged export's rows."""
    whole, plate = undamaged(case.plate), case.plate
    is_damaged = pc.equal(whole[plate.owner], plate.owned)
    if not isinstance(case.expected, Right):
        return whole.filter(pc.invert(is_damaged))
    kept = [row for row in range(whole.num_rows) if row not in _lost(is_damaged, case.expected.lost)]
    for name, values in case.expected.changes.items():
        replaced = pc.replace_with_mask(
            whole[name].combine_chunks(), is_damaged.combine_chunks(), pa.array(values, whole[name].type)
        )
        whole = whole.set_column(whole.column_names.index(name), name, replaced)
    return whole.take(kept)


def _lost(is_damaged: pa.ChunkedArray, lost: tuple[int, ...]) -> set[int]:
    rows = [row for row, is_own in enumerate(is_damaged.to_pylist()) if is_own]
    return {rows[number] for number in lost}


def files_of(source: Path) -> set[str]:
    return {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}


def assert_ledger_is_whole(files: set[str], ledger: list[LedgerEntry]) -> None:
    """Assert that every file has an entry for each of its tables, with a reason if the table was not converted."""
    assert files <= {entry.path for entry in ledger}
    assert {entry.path for entry in ledger if entry.size is not None} == files
    assert max(Counter((entry.path, entry.table) for entry in ledger).values()) == 1
    assert all(entry.reason for entry in ledger if entry.outcome is not Outcome.CONVERTED)


def reported_text(report: RunReport) -> str:
    return " ".join(map(repr, [*report.warnings, *report.repairs, *report.schema_differences, *report.odd_values]))


CASES = [*CSV_CASES, *COMBINED_CASES, *SQLITE_CASES, *INCARTA_CASES, *NPZ_CASES]


def refused_cases() -> list[Any]:
    """Return the defects that fail their export, of which a third are in every run of the suite.

    A refusal has the reason that the ledger has, and `test_a_defect_is_repaired_or_reported` reads that for all.
    """
    refused = [case for case in CASES if isinstance(case.values[0].expected, Failed)]
    return [
        pytest.param(*case.values, id=case.id, marks=pytest.mark.long if number % 3 else ())
        for number, case in enumerate(refused)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("case", refused_cases())
def test_by_default_a_run_with_a_defect_fails_and_leaves_no_output(tmp_path: Path, case: Case) -> None:
    assert isinstance(case.expected, Failed)
    source, out = c.written(case.plate, tmp_path), tmp_path / "out"
    case.damage(source / case.file)
    with pytest.raises(TooManyFailedExportsError) as caught:
        convert(source, out)
    assert caught.value.exit_code == ExitCode.INPUT_DATA
    assert (case.expected.path or case.file) in str(caught.value)
    assert case.expected.reason in str(caught.value)
    assert not out.exists()


def assert_reported(case: Case, report: RunReport) -> None:
    expected = case.expected
    entries = [entry for entry in report.ledger if entry.path in (case.file, getattr(expected, "path", None))]
    if isinstance(expected, Failed):
        own = [entry for entry in entries if entry.outcome is Outcome.FAILED]
        assert any(entry.path == (expected.path or case.file) and expected.reason in str(entry.reason) for entry in own)
    elif isinstance(expected, Right):
        assert all(word in reported_text(report) for word in expected.reported), reported_text(report)
    else:
        assert all(entry.outcome in (Outcome.EMPTY, Outcome.IGNORED) or not entry.rows for entry in entries)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_defect_is_repaired_or_reported(tmp_path: Path, case: Case) -> None:
    source = c.written(case.plate, tmp_path)
    case.damage(source / case.file)
    files = files_of(source)
    fails = isinstance(case.expected, Failed)
    table, report = convert(source, tmp_path / "out", max_failed_exports=int(fails))
    assert report.counts.failed_exports == int(fails)
    assert_ledger_is_whole(files, report.ledger)
    assert_reported(case, report)
    right = expected_rows(case)
    names = [name for name in right.column_names if name != "Metadata_TableNumber"]
    assert table.num_rows == right.num_rows
    assert comparable(table, names) == comparable(right, names)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (c.no_header, "duplicate columns|no OBJECT ID"),
        (c.in_order(c.utf16, c.drop_bytes(1)), "not UTF-16"),
        (c.in_order(c.gzipped, c.drop_bytes(9)), "gzip data have no end"),
        (c.blank_line_first, "no header"),
    ],
)
def test_a_file_that_does_not_look_like_in_cartas_fails_if_the_job_names_the_preset(
    tmp_path: Path, damage: c.Damage, reason: str
) -> None:
    damage(c.written(c.IN_CARTA, tmp_path) / "Day3.csv")
    with pytest.raises(TooManyFailedExportsError, match=rf"Day3\.csv.*{reason}"):
        convert(tmp_path / "in", tmp_path / "out", preset="in-carta")


def assert_right_or_reported(plate: c.Plate, damaged: str, source: Path, out: Path) -> None:
    """Assert that other exports have their rows, and the damaged export as many as before, unless it is reported."""
    files = files_of(source)
    whole = undamaged(plate)
    try:
        table, report = convert(source, out, max_failed_exports=1)
    except LayoutError as error:
        # Two files have different types of a column, and no third file decides.
        assert Path(damaged).name in str(error) or damaged in str(error)
        return
    assert_ledger_is_whole(files, report.ledger)
    others = whole.filter(pc.invert(pc.equal(whole[plate.owner], plate.owned)))
    names = [name for name in whole.column_names if name in table.column_names and name != "Metadata_TableNumber"]
    assert not Counter(comparable(others, names)) - Counter(comparable(table, names))
    failed = {entry.path for entry in report.ledger if entry.outcome is Outcome.FAILED}
    unread = {entry.path for entry in report.ledger if entry.outcome in (Outcome.EMPTY, Outcome.IGNORED)}
    if failed or damaged in unread:
        # Where the damage separates two tables of an export, the other one may be named.
        export = str(Path(damaged).parent)
        assert all(
            path in (damaged, export) or (not plate.by_file and str(Path(path).parent) == export) for path in failed
        )
        assert table.num_rows == others.num_rows
    elif table.num_rows != whole.num_rows:
        export = damaged if plate.by_file else str(Path(damaged).parent)
        lost = [w for w in report.warnings if "the image table" in w.what and export in w.first_exports]
        assert lost or (plate is c.IN_CARTA and table.num_rows - others.num_rows == lines_below(source / damaged))


def lines_below(path: Path) -> int:
    """Return the number of rows of a file whose rows no other table counts, as of IN Carta."""
    return sum(bool(line.strip()) for line in path.read_bytes().split(b"\n")[1:])


BYTES = settings(max_examples=examples(10, 350))


@pytest.mark.slow
@BYTES
@given(data=st.data())
@pytest.mark.parametrize(
    "plate", [c.CSV, c.COMBINED, c.CYTOMINER, c.IN_CARTA, c.NPZ], ids=["csv", "combined", "sqlite", "in-carta", "npz"]
)
def test_random_damage_is_reported_or_harmless(plate: c.Plate, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(plate.files), "file")
    damage, at = data.draw(st.sampled_from(c.SPANS), "damage"), data.draw(st.floats(0, 1), "at")
    length, bit = data.draw(st.integers(1, 60) | st.integers(1, 5000), "length"), data.draw(st.integers(0, 7), "bit")
    with TemporaryDirectory() as folder:
        source = c.written(plate, Path(folder))
        content = (source / file).read_bytes()
        start = int(at * (len(content) - 1))
        (source / file).write_bytes(damage(content, start, length, bit))
        assert_right_or_reported(plate, file, source, Path(folder) / "out")


@pytest.mark.slow
@BYTES
@given(data=st.data())
@pytest.mark.parametrize("plate", [c.CSV, c.COMBINED, c.IN_CARTA], ids=["csv", "combined", "in-carta"])
def test_lines_lost_or_doubled_are_reported(plate: c.Plate, data: st.DataObject) -> None:
    """A line lost from a file of whole rows cannot be detected, because no other file counts its rows."""
    file = data.draw(st.sampled_from(plate.files), "file")
    again = data.draw(st.booleans(), "doubled")
    with TemporaryDirectory() as folder:
        source = c.written(plate, Path(folder))
        lines = (source / file).read_bytes().splitlines(keepends=True)
        first = data.draw(st.integers(0, len(lines) - 1), "first")
        last = data.draw(st.integers(first, len(lines) - 1), "last") + 1
        (source / file).write_bytes(
            b"".join([*lines[:last], *lines[first:]] if again else [*lines[:first], *lines[last:]])
        )
        assert_right_or_reported(plate, file, source, Path(folder) / "out")
