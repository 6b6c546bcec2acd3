"""Dialects of CSV files: whatever the separators, the encoding and the compression, the values are the same."""

import codecs
import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cytobatch.errors import InvalidTableError
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.dialect import PLAIN, CsvDialect, beginning_text, count_lines, delimiter_of, is_plain
from cytobatch.readers.csv.header import PartialHeadError, parse_header, read_combined_head, read_head
from tests.support.examples import examples
from tests.support.plates import cells_file

SCHEMA = pa.schema([("ImageNumber", pa.int64()), ("Area, µm", pa.float64()), ("FileName_DNA", pa.string())])
Row = tuple[int, float | None, str]
ROWS: list[Row] = [(1, 2.5, "a;b|c.tif"), (1, None, "ü, 0,5"), (2, -3e-05, "x\ty")]

DIALECTS = st.builds(
    CsvDialect,
    delimiter=st.sampled_from(",;\t|"),
    decimal_comma=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]),
    compressed=st.booleans(),
    returns=st.booleans(),
    separator_line=st.booleans(),
)


def quoted(text: str) -> str:
    return f'"{text}"'


def written(rows: list[Row], dialect: CsvDialect) -> bytes:
    """Return the bytes of a table in a dialect; numbers have decimal commas only where commas do not separate them."""
    commas = dialect.decimal_comma and dialect.delimiter != ","
    lines = [f"sep={dialect.delimiter}"] if dialect.separator_line else []
    lines.append(dialect.delimiter.join(map(quoted, SCHEMA.names)))
    for image, area, name in rows:
        number = "" if area is None else repr(area)
        lines.append(dialect.delimiter.join((str(image), number.replace(".", ",") if commas else number, quoted(name))))
    newline = "\r" if dialect.returns else "\n"
    data = "".join(line + newline for line in lines).encode(dialect.encoding)
    return gzip.compress(data) if dialect.compressed else data


def read(path: Path, schema: pa.Schema = SCHEMA) -> list[Row]:
    shape = read_head(path).shape
    assert shape.names == tuple(schema.names)
    table = pa.Table.from_batches(csv.stream(path, shape, schema, []), schema)
    return [tuple(row.values()) for row in table.to_pylist()]


@given(dialect=DIALECTS, areas=st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=5))
@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_do_not_depend_on_the_dialect(tmp_path: Path, dialect: CsvDialect, areas: list[float | None]) -> None:
    rows: list[Row] = [(number, area, f"µ;{number}") for number, area in enumerate(areas)]
    path = cells_file(tmp_path, written(rows, dialect))
    assert read(path) == rows
    head = read_head(path)
    assert head.ends_with_newline
    assert head.first_row()["FileName_DNA"] == "µ;0"
    assert parse_header(*beginning_text(path.read_bytes())) == tuple(SCHEMA.names)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_text_with_separators_of_other_dialects_is_read_as_it_is(
    tmp_path: Path, delimiter: str, encoding: str, compressed: bool
) -> None:
    dialect = CsvDialect(delimiter, delimiter != ",", encoding, compressed)
    path = cells_file(tmp_path, written(ROWS, dialect))
    assert read(path) == ROWS
    assert csv.read_text(path, read_head(path).shape, ("FileName_DNA",))["FileName_DNA"].to_pylist() == [
        name for *_, name in ROWS
    ]


def test_a_file_name_that_looks_like_a_number_keeps_its_comma(tmp_path: Path) -> None:
    path = cells_file(tmp_path, b"FileName_DNA;Metadata_Site;AreaShape_Area\n1,234;1,5;2,25\n")
    table = csv.read_text(path, read_head(path).shape, ("FileName_DNA", "Metadata_Site"))
    assert table.to_pylist() == [{"FileName_DNA": "1,234", "Metadata_Site": "1.5"}]


def test_a_file_without_rows_is_empty_in_any_dialect(tmp_path: Path) -> None:
    for compressed in (False, True):
        for encoding in ("utf-8", "utf-16"):
            path = cells_file(tmp_path, written([], CsvDialect(";", encoding=encoding, compressed=compressed)))
            assert not read_head(path).has_rows
            assert read(path) == []


def test_a_file_whose_name_ends_in_gz_may_be_uncompressed(tmp_path: Path) -> None:
    path = tmp_path / "Cells.csv.gz"
    path.write_bytes(written(ROWS, PLAIN))
    assert read(path) == ROWS


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda data: gzip.compress(data)[:-9], "cut short"),
        (lambda data: gzip.compress(data)[:30] + b"\xff\xff" + gzip.compress(data)[32:], "damaged gzip data"),
        (lambda data: data.decode().encode("utf-16")[:-1], "not UTF-16"),
        (lambda data: data.replace("µ".encode(), b"\xb5") + "1,2,ü\n".encode(), "not UTF-8"),
    ],
    ids=["cut gzip", "changed gzip", "cut UTF-16", "two encodings"],
)
def test_damaged_bytes_are_refused(tmp_path: Path, change: Callable[[bytes], bytes], what: str) -> None:
    with pytest.raises(InvalidTableError) as caught:
        read_head(cells_file(tmp_path, change(written([(1, 2.5, "x")], PLAIN))))
    assert caught.value.what == what


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ("1;2,5;x\n1;2.5;x\n", "decimal points in column 'Area, µm'"),
        ("1;2,5;x\n1;1.500;x\n", "decimal points in column 'Area, µm'"),
        ("1;1.234,5;x\n", "text in numeric column 'Area, µm'"),
        ("1;2,5\n", "cut short"),
        ("1;2,5;x;7\n", "ragged row"),
        ("1;2.5;x\n1;2.5;x\n1;1,234;x\n", "text in numeric column 'Area, µm'"),
        ("1,5;2,5;x\n", "a fraction in integer column 'ImageNumber'"),
    ],
)
def test_a_mark_that_may_be_of_thousands_is_refused(tmp_path: Path, rows: str, what: str) -> None:
    header = ";".join(map(quoted, SCHEMA.names))
    with pytest.raises(InvalidTableError) as caught:
        read(cells_file(tmp_path, f"{header}\n{rows}".encode()))
    assert caught.value.what == what


def test_whole_numbers_with_a_decimal_comma_are_integers(tmp_path: Path) -> None:
    header = ";".join(map(quoted, SCHEMA.names))
    path = cells_file(tmp_path, f"{header}\n1,0;2,5;x\n2;NA;1,5\n".encode())
    assert read(path) == [(1, 2.5, "x"), (2, None, "1,5")]


def test_later_rows_in_latin_1_are_read_where_the_header_is_ascii(tmp_path: Path) -> None:
    path = cells_file(tmp_path, b"ImageNumber,FileName_DNA\n1,x\n2,M\xfcller\n")
    schema = pa.schema([SCHEMA.field("ImageNumber"), SCHEMA.field("FileName_DNA")])
    table = pa.Table.from_batches(csv.stream(path, read_head(path).shape, schema, []), schema)
    assert table["FileName_DNA"].to_pylist() == ["x", "Müller"]
    assert csv.read_text(path, read_head(path).shape, ("FileName_DNA",))["FileName_DNA"].to_pylist() == ["x", "Müller"]


def test_damaged_utf8_in_later_rows_is_refused_where_the_column_is_read(tmp_path: Path) -> None:
    path = cells_file(tmp_path, "ImageNumber,FileName_DNA\n1,ü\n".encode() + b"2,\xfc\n")
    shape = read_head(path).shape
    assert csv.read_text(path, shape, ("ImageNumber",)).num_rows == 2
    with pytest.raises(InvalidTableError, match="not readable as CSV"):
        csv.read_text(path, shape, ("FileName_DNA",))


def test_a_byte_that_windows_has_no_character_for_is_read_as_latin_1(tmp_path: Path) -> None:
    path = cells_file(tmp_path, b"ImageNumber,Area_\xb5\n1,2\n1,3\x81\n")
    assert read_head(path).shape.dialect.encoding == "latin-1"


def test_a_file_that_is_not_plain_needs_all_of_its_bytes(tmp_path: Path) -> None:
    data = written(ROWS, CsvDialect(";", encoding="utf-16"))
    for size in range(len(data)):
        with pytest.raises((PartialHeadError, InvalidTableError)):
            read_head(cells_file(tmp_path, data[:size]), len(data))
    assert read_head(cells_file(tmp_path, data), len(data)).has_rows


def test_a_combined_file_may_have_any_dialect(tmp_path: Path) -> None:
    text = "Image;Cells;Cells\nImageNumber;ObjectNumber;Area\n1;1;2,5\n"
    for data in (text.encode(), text.encode("utf-16"), gzip.compress(text.replace("\n", "\r").encode())):
        path = cells_file(tmp_path, data)
        shape = read_combined_head(path, "Cells").shape
        schema = pa.schema([("ObjectNumber", pa.int64()), ("Area", pa.float64())])
        rows = pa.Table.from_batches(csv.stream(path, shape, schema, []), schema).to_pylist()
        assert rows == [{"ObjectNumber": 1, "Area": 2.5}]


@pytest.mark.parametrize(
    ("header", "is_fast"),
    [
        (b"ImageNumber,Area\n", True),
        (b"ImageNumber,Area\r\n", True),
        (codecs.BOM_UTF8 + b"ImageNumber\n", True),
        (b'ImageNumber,"Area\rB"\n', True),
        (b"ImageNumber,Area\r1,2\r", False),
        (codecs.BOM_UTF16_LE + b"I\0", False),
        (b"I\0m\0", False),
        (b"\x1f\x8b\x08", False),
        (b"sep=,\n", False),
    ],
)
def test_the_first_line_shows_whether_a_file_is_plain(header: bytes, is_fast: bool) -> None:
    assert is_plain(header) is is_fast


def test_the_delimiter_is_the_most_frequent_separator_of_the_header() -> None:
    assert delimiter_of("a,b;c,d") == ","
    assert delimiter_of("a;b;c,d") == ";"
    assert delimiter_of("ImageNumber,a|b|c,d|e") == ","
    assert delimiter_of("ImageNumber") == ","
    assert delimiter_of("sep=\t\n") == "\t"


@pytest.mark.parametrize("dialect", [PLAIN, CsvDialect(compressed=True), CsvDialect(returns=True)])
def test_lines_are_counted_in_any_dialect(tmp_path: Path, dialect: CsvDialect) -> None:
    assert count_lines(cells_file(tmp_path, written(ROWS, dialect)), dialect) == len(ROWS) + 1


def test_gzip_data_with_flags_that_do_not_exist_are_damaged(tmp_path: Path) -> None:
    """Python's gzip reads them, and Arrow's does not."""
    data = bytearray(gzip.compress(b"ImageNumber,ObjectNumber\n1,1\n"))
    data[3] |= 0x80
    path = tmp_path / "Cells.csv.gz"
    path.write_bytes(data)
    head = read_head(path, len(data))
    with pytest.raises(InvalidTableError, match="damaged gzip data"):
        list(csv.stream(path, head.shape, pa.schema([("ImageNumber", pa.int64())]), []))
