"""The lines of files below their headers, in one buffer."""

from pathlib import Path

import pytest

from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.csv.body import text_of

HEADER = "\ufeffImageNumber,ObjectNumber\n".encode()


def files(folder: Path, *bodies: bytes) -> list[Path]:
    paths = [folder / f"{number}.csv" for number in range(len(bodies))]
    for path, body in zip(paths, bodies, strict=True):
        path.write_bytes(body)
    return paths


@pytest.mark.parametrize("header_lines", [1, 2])
def test_a_text_has_the_lines_of_its_files_in_order(header_lines: int, tmp_path: Path) -> None:
    lines = [b"1,2\n" * 50_000, b"", b"3,4\n" * 10, b"5,6\n" * 40_000]
    text = text_of(files(tmp_path, *(HEADER * header_lines + body for body in lines)), header_lines)
    begins = (0, *text.ends[:-1])
    assert [bytes(text.memory[begin:end]) for begin, end in zip(begins, text.ends, strict=True)] == lines


@pytest.mark.parametrize(("body", "header_lines"), [(HEADER.rstrip(), 1), (HEADER, 2), (b"", 1)])
def test_a_header_line_without_an_end_is_left_to_the_other_readers(
    body: bytes, header_lines: int, tmp_path: Path
) -> None:
    with pytest.raises(FastPathUnavailable, match="a header line without an end"):
        text_of(files(tmp_path, HEADER + b"1,2\n", body), header_lines)
