"""The lines of CSV files below their headers, read into memory."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

from cytobatch.engine.buffers import BufferKind, thread_buffer
from cytobatch.errors import FastPathUnavailable

_NEWLINE = b"\n"
_FIRST_BYTES = 128 * 2**10


@dataclass(frozen=True, slots=True)
class CsvGroup:
    """Small CSV files with the same number of header lines, whose other lines are parsed as one text."""

    paths: tuple[str, ...]
    header_lines: int


@dataclass(frozen=True, slots=True)
class Text:
    """The lines of several files, one file after the other.

    Attributes
    ----------
    memory
        The buffer; the lines begin at offset 0. It is larger than the text.
    ends
        For each file the offset in bytes at which its lines end.
    """

    memory: mmap
    ends: tuple[int, ...]


def text_of(paths: Sequence[Path], header_lines: int) -> Text:
    """Read what lies below the headers of files into this thread's buffer.

    The thread's next call reuses the buffer: do not keep views.

    Raises
    ------
    FastPathUnavailable
        If a line of a header has no end.
    """
    memory = thread_buffer(BufferKind.TEXT, sum(path.stat().st_size for path in paths))
    view = memoryview(memory)
    end, ends = 0, []
    for path in paths:
        end += _read_below_header(path, header_lines, view[end:])
        ends.append(end)
    return Text(memory, tuple(ends))


def _read_below_header(path: Path, header_lines: int, into: memoryview) -> int:
    """Read what lies below a file's header and return the number of bytes read."""
    with path.open("rb", buffering=0) as raw, io.BufferedReader(raw, _FIRST_BYTES) as stream:
        for _ in range(header_lines):
            if not stream.readline().endswith(_NEWLINE):
                raise FastPathUnavailable("a header line without an end")
        return stream.readinto(into)
