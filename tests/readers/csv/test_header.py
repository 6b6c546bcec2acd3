"""The head of a CSV file: columns, first row, and whether its end is complete."""

import io
from pathlib import Path
from typing import Any

import pytest

from cytobatch.errors import InvalidTableError
from cytobatch.readers.csv.header import (
    CsvHead,
    CsvShape,
    PartialHeadError,
    parse_header,
    read_combined_head,
    read_head,
)
from tests.support.plates import cells_file


def test_a_head_has_columns_first_row_and_whether_the_end_is_complete(tmp_path: Path) -> None:
    head = read_head(cells_file(tmp_path, b'\xef\xbb\xbfImageNumber,"Area, px"\r\n1,2\r\n'))
    assert head == CsvHead(CsvShape(("ImageNumber", "Area, px")), "1,2\r\n", ends_with_newline=True)
    assert head.first_row() == {"ImageNumber": "1", "Area, px": "2"}
    head = read_head(cells_file(tmp_path, b"ImageNumber\n"))
    assert not head.has_rows
    assert not read_head(cells_file(tmp_path, b"ImageNumber\n1")).ends_with_newline


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty file"),
        (b"\n1,2\n", "no header"),
        (b'ImageNumber,"Area\n1,2\n', "no header"),
        (b'ImageNumber;"Area\r\n1;2\r\n', "no header"),
        (b"\xff\xfe\x00\xd8,b\n1,2\n", "not UTF-16"),
        (b"\xc2\xb5,\xb5\n1,2\n", "not UTF-8"),
        (b"\x1f\x8b and no more\n", "damaged gzip data"),
    ],
)
def test_an_unusable_head_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(InvalidTableError) as caught:
        read_head(cells_file(tmp_path, content))
    assert caught.value.what == what


class GrowingPath(type(Path())):  # type: ignore[misc]
    """A file to which its rest is added as soon as a reader reaches its end, as a download does."""

    rest = b""

    def open(self, *_: object, **__: object) -> io.BufferedReader:
        return io.BufferedReader(GrowingFile(self, self.rest))


class GrowingFile(io.FileIO):
    def __init__(self, path: Path, rest: bytes) -> None:
        super().__init__(str(path))
        self._path, self._rest = Path(path), rest

    def readinto(self, into: Any) -> int:
        count = super().readinto(into)
        if not count and self._rest:
            with self._path.open("ab") as stream:
                stream.write(self._rest)
            self._rest = b""
        return count


def test_a_row_that_grows_while_its_beginning_is_read_is_not_taken_for_complete(tmp_path: Path) -> None:
    beginning, rest = b"ImageNumber,Area\n1,", b"25\n"
    path = GrowingPath(cells_file(tmp_path, beginning))
    path.rest = rest
    with pytest.raises(PartialHeadError):
        read_head(path, len(beginning + rest))
    path.rest = b""
    assert read_head(path, len(beginning + rest)).first_row() == {"ImageNumber": "1", "Area": "25"}


def test_a_header_of_two_rows_must_have_as_many_names_in_both(tmp_path: Path) -> None:
    with pytest.raises(InvalidTableError, match="ragged header"):
        read_combined_head(cells_file(tmp_path, b"Image,Cells\nImageNumber\n1\n"), "Cells")


def test_blanks_after_commas_are_not_part_of_names_but_those_in_a_name_are() -> None:
    assert parse_header("ImageNumber, Area , x") == ("ImageNumber", "Area", "x")
    assert parse_header("ImageNumber,Area") == ("ImageNumber", "Area")
    assert parse_header(" x ,y") == (" x ", "y")
