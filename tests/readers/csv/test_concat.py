"""Small CSV files read as one give what they give one by one, or are left to be read so."""

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


def together(paths: list[Path]) -> ConcatenatedTables | None:
    try:
        return read_group(text_of(paths, SHAPE.header_lines), SHAPE, SCHEMA)
    except FastPathUnavailable:
        return None


def one_by_one(paths: list[Path]) -> list[pa.Table]:
    return [pa.Table.from_batches(csv.stream(path, SHAPE, SCHEMA, []), SCHEMA) for path in paths]


def test_rows_of_all_files_come_in_order_with_their_numbers(tmp_path: Path) -> None:
    paths = files(tmp_path, ["1,1,0.5,a\n1,2,,b\n", "", "1,1,inf,\n"])
    found = together(paths)
    assert found is not None
    assert found.rows == (2, 0, 1)
    assert found.table.equals(pa.concat_tables(one_by_one(paths)))
    assert {column.num_chunks for column in found.table.columns} == {1}


def test_lines_may_end_as_on_windows_and_headers_begin_with_a_mark(tmp_path: Path) -> None:
    paths = files(tmp_path, ["1,1,0.5,a\r\n"] * 2, "\ufeff" + HEADER.replace("\n", "\r\n"))
    found = together(paths)
    assert found is not None
    assert found.rows == (1, 1)


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("a value of another type", "1,1,text,a\n"),
        ("a decimal comma", '1,1,"0,5",a\n'),
        ("a row too short", "1,1\n"),
        ("a row too long", "1,1,0.5,a,b\n"),
        ("a line in a value", '1,1,0.5,"a\nb"\n'),
        ("a blank line", "1,1,0.5,a\n\n"),
        ("no end of the last line", "1,1,0.5,a"),
        ("ends of two kinds", "1,1,0.5,a\r\n1,2,0.5,b\n"),
        ("a line that ends in a return alone", "1,1,0.5,a\r1,2,0.5,b\n\n"),
    ],
)
def test_odd_files_are_left_to_be_read_one_by_one(what: str, body: str, tmp_path: Path) -> None:  # noqa: ARG001
    sound = "1,1,0.5,a\n"
    assert together(files(tmp_path, [sound, body, sound])) is None


def test_a_file_without_its_header_is_left_to_be_read_alone(tmp_path: Path) -> None:
    assert together(files(tmp_path, ["", ""], "")) is None


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
def test_together_or_not_the_rows_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[list[str], str, bool]]
) -> None:
    bodies = [end.join(lines) + (end if closed and lines else "") for lines, end, closed in made]
    paths = files(tmp_path_factory.mktemp("csv"), bodies)
    found = together(paths)
    if found is None:
        return
    try:
        alone = one_by_one(paths)
    except InvalidTableError as error:
        pytest.fail(f"read together, but not alone: {error}")
    assert found.rows == tuple(table.num_rows for table in alone)
    # NaN equals itself in text.
    assert str(found.table.to_pylist()) == str(pa.concat_tables(alone).to_pylist())


@pytest.mark.parametrize("width", [10, 5000])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_lines_are_counted_however_long_they_are(width: int, ending: str, tmp_path: Path) -> None:
    bodies = ["".join(f"1,{row},0.5,{'x' * width}{ending}" for row in range(rows)) for rows in (3, 0, 1, 4)]
    found = together(files(tmp_path, bodies))
    assert found is not None
    assert found.rows == (3, 0, 1, 4)
    assert found.table["Metadata_Name"].to_pylist() == ["x" * width] * 8


@pytest.mark.parametrize("width", [10, 5000])
def test_a_return_in_the_middle_of_a_line_is_left_to_reading_one_by_one(width: int, tmp_path: Path) -> None:
    paths = files(tmp_path, [f"1,1,0.5,{'x' * width}\r1,2,0.5,b\n", "1,1,0.5,a\n"])
    assert together(paths) is None
