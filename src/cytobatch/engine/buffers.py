"""Memory that files are read into: each thread reuses its own.

New memory costs more than reading a file into it: the machine clears it, page by page, when it is first touched.
"""

import mmap
import threading
from enum import StrEnum

# Files of one kind have similar sizes: with a little more memory the next ones fit, too.
_SPARE = 16
# Windows lacks these flags and does not need them: memory without a file is private there.
_PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}


class BufferKind(StrEnum):
    """The use of a buffer. Each thread has one buffer of each kind."""

    TEXT = "lines of CSV files"
    PAGES = "pages of a SQLite file"
    RECORDS = "rows of a SQLite file"


class _ThreadBuffers(threading.local):
    """The buffers of this thread. They are freed with the thread."""

    def __init__(self) -> None:
        self.buffers: dict[BufferKind, mmap.mmap] = {}


_thread_buffers = _ThreadBuffers()


def thread_buffer(kind: BufferKind, size: int) -> mmap.mmap:
    """Return this thread's buffer of at least `size` bytes.

    The next call for the same kind reuses it: do not keep views.
    """
    buffer = _thread_buffers.buffers.get(kind)
    if buffer is None or len(buffer) < size:
        # The smaller buffer is freed first, so that the two are never there at once.
        del buffer
        _thread_buffers.buffers.pop(kind, None)
        _thread_buffers.buffers[kind] = buffer = _new_buffer(size)
    return buffer


def _new_buffer(size: int) -> mmap.mmap:
    """Return new memory for `size` bytes and a sixteenth more.

    It is mapped, because a bytearray would be filled with zeros first, while all threads wait for Python's lock.
    """
    return mmap.mmap(-1, max(1, size + size // _SPARE), **_PRIVATE)
