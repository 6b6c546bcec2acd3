"""Text that is read from files, below their headers."""

import io
from collections.abc import Sequence
from pathlib import Path

from cytobatch.engine.buffers import BufferKind, thread_buffer
from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.inputs import Text

_NEWLINE = b"\n"
_FIRST_BYTES = 128 * 2**10


def text_of(paths: Sequence[Path], header_lines: int) -> Text:
    """Read what lies below the headers of files into this thread's buffer.

    Raises FastPathUnavailable where there is no header.
    """
    memory = thread_buffer(BufferKind.TEXT, sum(path.stat().st_size for path in paths))
    room = memoryview(memory)
    end, ends = 0, []
    for path in paths:
        end += read_below_header(path, header_lines, room[end:])[1]
        ends.append(end)
    return Text(memory, tuple(ends))


def read_below_header(path: Path, header_lines: int, into: memoryview) -> tuple[int, int]:
    """Reads what is below a file's header; the bytes of the header, and those that were read.

    Raises FastPathUnavailable where a line of the header has no end.
    """
    with path.open("rb", buffering=0) as raw, io.BufferedReader(raw, _FIRST_BYTES) as stream:
        for _ in range(header_lines):
            if not stream.readline().endswith(_NEWLINE):
                raise FastPathUnavailable("a header line without an end")
        return stream.tell(), stream.readinto(into)
