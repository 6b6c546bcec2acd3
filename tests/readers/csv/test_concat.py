"""Small CSV files read as one give the same tables as read one by one, or raise so that they are read one by one."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.errors import FastPathUnavailable, InvalidTableError
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.body import text_of
from cytobatch.readers.csv.concat import ConcatenatedTables, read_group
from cytobatch.readers.csv.header import CsvShape
from tests.support.examples import examples

HEADER = "ImageNumber,ObjectNumber,AreaShape_Area,Metadata_Name\n"
SCHEMA = pa.schema(
    [
        ("ImageNumber", pa.int64()),
        ("ObjectNumber", pa.int64()),
        ("AreaShape_Area", pa.float64()),
        ("Metadata_Name", pa.string()),
    ]
)
SHAPE = CsvShape(tuple(SCHEMA.names))


def files(folder: Path, bodies: list[str], header: str = HEADER) -> list[Path]:
    paths = [folder / f"{number}.csv" for number in range(len(bodies))]
    for path, body in zip(paths, bodies, strict=True):
        path.write_text(header + body, encoding="utf-8", newline="")
    return paths


def read_as_one(paths: list[Path]) -> ConcatenatedTables:
    return read_group(text_of(paths, SHAPE.header_lines), SHAPE, SCHEMA)


def one_by_one(paths: list[Path]) -> list[pa.Table]:
    return [pa.Table.from_batches(csv.stream(path, SHAPE, SCHEMA, []), SCHEMA) for path in paths]


def test_rows_of_all_files_come_in_order_with_their_numbers(tmp_path: Path) -> None:
    paths = files(tmp_path, ["1,1,0.5,a\n1,2,,b\n", "", "1,1,inf,\n"])
    group = read_as_one(paths)
    assert group.rows == (2, 0, 1)
    assert group.table.equals(pa.concat_tables(one_by_one(paths)))
    assert {column.num_chunks for column in group.table.columns} == {1}


def test_lines_may_end_as_on_windows_and_headers_begin_with_a_mark(tmp_path: Path) -> None:
    paths = files(tmp_path, ["1,1,0.5,a\r\n"] * 2, "\ufeff" + HEADER.replace("\n", "\r\n"))
    group = read_as_one(paths)
    assert group.rows == (1, 1)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("1,1,text,a\n", "Arrow cannot parse the lines: .* invalid value 'text'"),
        ('1,1,"0,5",a\n', "Arrow cannot parse the lines: .* invalid value '0,5'"),
        ("1,1\n", "a row has more or fewer values than the header has columns"),
        ("1,1,0.5,a,b\n", "a row has more or fewer values than the header has columns"),
        ('1,1,0.5,"a\nb"\n', "a file has blank lines, or line breaks within values"),
        ("1,1,0.5,a\n\n", "a file has blank lines, or line breaks within values"),
        ("1,1,0.5,a", "the last line of a file has no end"),
        ("1,1,0.5,a\r\n1,2,0.5,b\n", "the lines of a file end in different ways"),
        ("1,1,0.5,a\r1,2,0.5,b\n\n", "a carriage return is not part of a line end"),
    ],
    ids=[
        "a value of another type",
        "a decimal comma",
        "a row too short",
        "a row too long",
        "a line in a value",
        "a blank line",
        "no end of the last line",
        "ends of two kinds",
        "a line that ends in a return alone",
    ],
)
def test_files_that_must_be_read_one_by_one(body: str, reason: str, tmp_path: Path) -> None:
    valid = "1,1,0.5,a\n"
    with pytest.raises(FastPathUnavailable, match=reason):
        read_as_one(files(tmp_path, [valid, body, valid]))


def test_a_file_without_its_header_is_left_to_be_read_alone(tmp_path: Path) -> None:
    with pytest.raises(FastPathUnavailable, match="a header line without an end"):
        read_as_one(files(tmp_path, ["", ""], ""))


LINES = st.lists(
    st.sampled_from(
        [
            "1,1,0.5,a",
            "2,7,,",
            "3,1,nan,b c",
            "",
            " ",
            '4,1,1,"q"',
            '5,2,"2.5",x',
            '6,1,1,"a\nb"',
            "7,1",
            "8,1,x,y",
            "9,1,1,é",
        ]
    ),
    max_size=4,
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@settings(max_examples=examples(150))
@given(st.lists(st.tuples(LINES, ENDS, st.booleans()), min_size=1, max_size=4))
def test_read_as_one_or_one_by_one_the_rows_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, contents: list[tuple[list[str], str, bool]]
) -> None:
    bodies = [end.join(lines) + (end if closed and lines else "") for lines, end, closed in contents]
    paths = files(tmp_path_factory.mktemp("csv"), bodies)
    try:
        group = read_as_one(paths)
    except FastPathUnavailable:
        return
    try:
        tables = one_by_one(paths)
    except InvalidTableError as error:
        pytest.fail(f"read as one, but not one by one: {error}")
    assert group.rows == tuple(table.num_rows for table in tables)
    # NaN equals itself in text.
    assert str(group.table.to_pylist()) == str(pa.concat_tables(tables).to_pylist())


@pytest.mark.parametrize("width", [10, 5000])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_lines_are_counted_however_long_they_are(width: int, ending: str, tmp_path: Path) -> None:
    bodies = ["".join(f"1,{row},0.5,{'x' * width}{ending}" for row in range(rows)) for rows in (3, 0, 1, 4)]
    group = read_as_one(files(tmp_path, bodies))
    assert group.rows == (3, 0, 1, 4)
    assert group.table["Metadata_Name"].to_pylist() == ["x" * width] * 8


@pytest.mark.parametrize("width", [10, 5000])
def test_a_return_in_the_middle_of_a_line_is_left_to_reading_one_by_one(width: int, tmp_path: Path) -> None:
    paths = files(tmp_path, [f"1,1,0.5,{'x' * width}\r1,2,0.5,b\n", "1,1,0.5,a\n"])
    with pytest.raises(FastPathUnavailable, match="a carriage return is not part of a line end"):
        read_as_one(paths)


def test_a_return_that_makes_a_row_and_a_blank_line_that_makes_none_do_not_cancel_out(tmp_path: Path) -> None:
    paths = files(tmp_path, ["1,1,0.5,a\r1,2,0.5,b\n", "\r\n"])
    assert [table.num_rows for table in one_by_one(paths)] == [2, 0]
    with pytest.raises(FastPathUnavailable, match="a carriage return is not part of a line end"):
        read_as_one(paths)
