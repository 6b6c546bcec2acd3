"""Memory that text is read into: a thread's own, used again and again.

Memory that is new costs more than what is read into it: the machine clears it, page by page, when it is first touched.
"""

import io
import mmap
import threading
from collections.abc import Sequence
from pathlib import Path

from cytobatch.inputs import OddTextError, Text

_NEWLINE = b"\n"
_FIRST_BYTES = 128 * 2**10
# Files of one kind are of much the same size: a little more lets the next ones fit, too.
_SPARE = 16


class _Room(threading.local):
    """What this thread has; it goes with the thread."""

    buffer: mmap.mmap | None = None


_room = _Room()


def text_room(size: int) -> mmap.mmap:
    """At least so many bytes for text, until this thread asks again: what is made of the text must hold none of it."""
    buffer = _room.buffer
    if buffer is None or len(buffer) < size:
        # What is too small goes first, so that the two are never there at once.
        _room.buffer = buffer = None
        _room.buffer = buffer = new_room(size)
    return buffer


def new_room(size: int) -> mmap.mmap:
    """New memory for so many bytes, and some to spare.

    Straight from the machine: a bytearray would be filled with zeros first, while all threads wait for Python's lock.
    """
    return mmap.mmap(-1, max(1, size + size // _SPARE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def text_of(paths: Sequence[Path], header_lines: int) -> Text:
    """What is below the headers of files, in this thread's memory. Raises OddTextError where there is no header."""
    memory = text_room(sum(path.stat().st_size for path in paths))
    room = memoryview(memory)
    end, ends = 0, []
    for path in paths:
        end += read_below_header(path, header_lines, room[end:])[1]
        ends.append(end)
    return Text(memory, tuple(ends))


def read_below_header(path: Path, header_lines: int, into: memoryview) -> tuple[int, int]:
    """Reads what is below a file's header; the bytes of the header, and those that were read.

    Raises OddTextError where a line of the header has no end.
    """
    with path.open("rb", buffering=0) as raw, io.BufferedReader(raw, _FIRST_BYTES) as stream:
        for _ in range(header_lines):
            if not stream.readline().endswith(_NEWLINE):
                raise OddTextError
        return stream.tell(), stream.readinto(into)
