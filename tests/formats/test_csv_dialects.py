"""Plates whose files are in another dialect, compressed, of another suffix, or with columns that measure nothing."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from cytobatch.errors import ExitCode, InputDataError
from cytobatch.formats.csv_suffixes import csv_files, other_copies
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.report.model import Outcome, RunReport
from tests.formats.conftest import ProfileOf
from tests.support.plates import convert, site_tables, write_combined, write_incarta_plate, write_site

Change = Callable[[Path], None]


def text_changed(change: Callable[[str], str], encoding: str = "utf-8", newline: str = "\n") -> Change:
    """Write the text of a file anew."""

    def rewrite(path: Path) -> None:
        path.write_bytes(change(path.read_text()).replace("\n", newline).encode(encoding))

    return rewrite


def renamed(suffix: str, before: Change) -> Change:
    """Change a file, and give it another suffix."""

    def rename(path: Path) -> None:
        before(path)
        path.rename(path.with_suffix(suffix))

    return rename


def gzipped(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes()))


def in_every_row(header: str, value: Callable[[int], str], *, first: bool = False) -> Change:
    """Add a column to a file, as its last or its first."""

    def changed(text: str) -> str:
        lines = text.splitlines()
        values = [header, *(value(row) for row in range(len(lines) - 1))]
        pairs = zip(values, lines, strict=True) if first else zip(lines, values, strict=True)
        return "".join(f"{one},{other}\n" for one, other in pairs)

    return text_changed(changed)


def unchanged(text: str) -> str:
    return text


def tabs(text: str) -> str:
    return text.replace(",", "\t")


def semicolons(text: str) -> str:
    return text.replace(",", ";")


def decimal_commas(text: str) -> str:
    return "".join(
        ";".join(field.replace(".", ",") if field.replace(".", "").isdigit() else field for field in line.split(","))
        + "\n"
        for line in text.splitlines()
    )


DIALECTS: dict[str, Change] = {
    "tabs": text_changed(tabs),
    "tabs in .txt": renamed(".txt", text_changed(tabs)),
    "tabs in .tsv": renamed(".tsv", text_changed(tabs)),
    "tabs in .TXT": renamed(".TXT", text_changed(tabs)),
    "commas in .txt": renamed(".txt", text_changed(unchanged)),
    "semicolons": text_changed(semicolons),
    "decimal commas": text_changed(decimal_commas),
    "decimal commas, UTF-16, CRLF": text_changed(decimal_commas, "utf-16", "\r\n"),
    "bars": text_changed(lambda text: text.replace(",", "|")),
    "line sep=": text_changed(lambda text: "sep=;\n" + semicolons(text)),
    "line sep= in UTF-8 with a mark": text_changed(lambda text: "sep=,\n" + text, "utf-8-sig"),
    "UTF-16": text_changed(unchanged, "utf-16"),
    "UTF-16 without a mark": text_changed(unchanged, "utf-16-le"),
    "UTF-16, big-endian": text_changed(unchanged, "utf-16-be"),
    "UTF-16 with tabs": text_changed(tabs, "utf-16"),
    "CR": text_changed(unchanged, newline="\r"),
    "gzip": gzipped,
    "gzip as .csv.gz": renamed(".csv.gz", gzipped),
    "gzip as .txt.gz": renamed(".txt.gz", lambda path: (text_changed(tabs)(path), gzipped(path))[0]),
    "plain as .csv.gz": renamed(".csv.gz", text_changed(unchanged)),
}


def plate(root: Path, sites: int = 2) -> Path:
    """Write a plate whose measurements have fractions."""
    for site in range(1, sites + 1):
        write_site(root / f"P1-A01-{site}", site_tables(3, offset=1000.25 * site))
    return root


def combined(root: Path) -> None:
    """Write a plate of one combined file."""
    write_combined(root / "P1-A01-1", site_tables(3, offset=0.25))


def rows_of(table: pa.Table) -> list[dict[str, object]]:
    """Return the rows in an order of their own. A TableNumber depends on the bytes of a file."""
    names = [name for name in table.column_names if name != "Metadata_TableNumber"]
    return sorted(table.select(names).to_pylist(), key=str)


def warnings_of(report: RunReport) -> str:
    return "\n".join(warning.what for warning in report.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["auto", "cellprofiler_csv"])
@pytest.mark.parametrize("change", DIALECTS.values(), ids=DIALECTS)
def test_a_plate_is_the_same_in_every_dialect(
    tmp_path: Path, profile_of: ProfileOf, change: Change, preset: str
) -> None:
    right = profile_of("plate", plate, preset=preset)
    source = plate(tmp_path / "in", 2)
    for path in sorted(source.rglob("*.csv")):
        change(path)
    table, report = convert(source, tmp_path / "out", preset=preset)
    assert table.schema.equals(right.schema)
    assert rows_of(table) == rows_of(right)
    files = sorted(str(path.relative_to(source)) for path in source.rglob("*.*"))
    assert sorted(entry.path for entry in report.ledger if entry.outcome is Outcome.CONVERTED) == files


@pytest.mark.slow
@pytest.mark.parametrize("change", DIALECTS.values(), ids=DIALECTS)
def test_one_site_may_have_another_dialect(tmp_path: Path, profile_of: ProfileOf, change: Change) -> None:
    right = profile_of("plate", plate)
    source = plate(tmp_path / "in", 2)
    for path in sorted((source / "P1-A01-2").glob("*.csv")):
        change(path)
    assert rows_of(convert(source, tmp_path / "out")[0]) == rows_of(right)


@pytest.mark.slow
@pytest.mark.parametrize("change", DIALECTS.values(), ids=DIALECTS)
def test_a_combined_file_is_the_same_in_every_dialect(tmp_path: Path, profile_of: ProfileOf, change: Change) -> None:
    right = profile_of("combined", combined)
    combined(tmp_path / "in")
    for path in sorted((tmp_path / "in").rglob("*.csv")):
        change(path)
    assert rows_of(convert(tmp_path / "in", tmp_path / "out")[0]) == rows_of(right)


@pytest.mark.slow
@pytest.mark.parametrize("change", [each for name, each in DIALECTS.items() if ".t" not in name.lower()])
def test_an_in_carta_plate_is_the_same_in_every_dialect(tmp_path: Path, profile_of: ProfileOf, change: Change) -> None:
    right = profile_of("IN Carta", write_incarta_plate)
    source = write_incarta_plate(tmp_path / "in")
    for path in sorted(source.rglob("*.csv")):
        change(path)
    table, _ = convert(source, tmp_path / "out")
    assert table.schema.equals(right.schema)
    assert rows_of(table) == rows_of(right)


def test_the_report_names_files_whose_dialect_is_an_assumption(tmp_path: Path) -> None:
    source = plate(tmp_path / "in", 2)
    text_changed(decimal_commas)(source / "P1-A01-1" / "Cells.csv")
    text_changed(lambda text: text.replace("AreaShape_Area", "Intensity_µ"), "cp1252")(
        source / "P1-A01-2" / "Nuclei.csv"
    )
    table, report = convert(source, tmp_path / "out")
    assert "cells: the file has decimal commas" in warnings_of(report)
    assert "nuclei: the file is not UTF-8 and is read as cp1252" in warnings_of(report)
    assert "Nuclei_Intensity_µ" in table.column_names


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["auto", "cellprofiler_csv"])
@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (in_every_row("", lambda _: ""), "without a name is left out"),
        (in_every_row("", str, first=True), "column 1 without a name is left out"),
        (in_every_row("Unnamed: 0", str, first=True), "column 'Unnamed: 0' numbers the rows"),
        (in_every_row("Unnamed: 0.1", str), "column 'Unnamed: 0.1' numbers the rows"),
        (in_every_row("index", str, first=True), "column 'index' numbers the rows"),
        (in_every_row("ImageNumber", lambda _: "1"), "column 'ImageNumber' stands more than once, with equal values"),
        (in_every_row("ImageNumber", lambda _: "1.0"), "column 'ImageNumber' stands more than once, with equal values"),
    ],
)
def test_columns_that_measure_nothing_are_left_out_and_named(
    tmp_path: Path, profile_of: ProfileOf, change: Change, reported: str, preset: str
) -> None:
    right = profile_of("plate", plate, preset=preset)
    source = plate(tmp_path / "in", 2)
    for path in source.rglob("*.csv"):
        change(path)
    table, report = convert(source, tmp_path / "out", preset=preset)
    assert table.schema.equals(right.schema)
    assert rows_of(table) == rows_of(right)
    named = [warning for warning in report.warnings if reported in warning.what]
    assert {warning.table for warning in named} == {"image", "cells", "cytoplasm", "nuclei"}
    assert {warning.exports for warning in named} == {2}


@pytest.mark.parametrize("name", ["Cells", "Image"])
def test_a_column_twice_with_other_values_fails_its_table(tmp_path: Path, name: str) -> None:
    source = plate(tmp_path / "in", 2)
    in_every_row("Metadata_Dose", lambda _: "01")(source / "P1-A01-2" / f"{name}.csv")
    in_every_row("Metadata_Dose", lambda _: "1")(source / "P1-A01-2" / f"{name}.csv")
    with pytest.raises(
        InputDataError, match="more than once, with different values: row 1 holds '01' and '1'"
    ) as caught:
        convert(source, tmp_path / "out")
    assert caught.value.exit_code is ExitCode.INPUT_DATA


def test_a_second_file_of_one_table_is_named_and_not_read(tmp_path: Path) -> None:
    source = plate(tmp_path / "in", 1)
    right, _ = convert(source, tmp_path / "right")
    site = source / "P1-A01-1"
    for path in sorted(site.glob("*.csv")):
        path.with_suffix(".csv.gz").write_bytes(b"not read")
        path.with_suffix(".txt").write_text("not read")
    table, report = convert(source, tmp_path / "out")
    assert rows_of(table) == rows_of(right)
    reasons = {entry.path: entry.reason for entry in report.ledger if entry.outcome is Outcome.IGNORED}
    assert reasons["P1-A01-1/Cells.csv.gz"] == "P1-A01-1/Cells.csv is read in its place"
    assert reasons["P1-A01-1/Cells.txt"] == "P1-A01-1/Cells.csv is read in its place"


@pytest.mark.parametrize(
    ("paths", "tables"),
    [
        (["a/Cells.csv", "a/readme.txt", "a/Image.csv"], ["a/Cells.csv", "a/Image.csv"]),
        (["a/Cells.txt"], []),
        (["a/Image.txt", "a/notes.txt"], []),
        (["a/Cells.txt", "a/Image.txt", "a/Speckles.txt"], ["a/Cells.txt", "a/Image.txt", "a/Speckles.txt"]),
        (["a/X_Cells.txt", "a/X_Image.txt", "a/notes.txt"], ["a/X_Cells.txt", "a/X_Image.txt"]),
        (["a/Image.tsv.gz", "b/object.tsv.gz"], ["a/Image.tsv.gz", "b/object.tsv.gz"]),
        (["a/Cells.csv", "a/cells.csv.gz", "a/Cells.txt", "a/Image.txt"], ["a/Cells.csv", "a/Image.txt"]),
        (["a/Cells.sqlite.gz", "a/Cells.CSV.GZ"], ["a/Cells.CSV.GZ"]),
    ],
)
def test_text_files_are_tables_where_their_names_are(paths: list[str], tables: list[str]) -> None:
    inventory = Inventory("source", tuple(SourceFile(path, 1) for path in paths))
    assert [file.path for file in csv_files(inventory)] == tables
    assert not set(other_copies(inventory)) & set(tables)
