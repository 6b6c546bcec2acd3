"""Memory that files are read into: a thread's own, used again and again.

Memory that is new costs more than what is read into it: the machine clears it, page by page, when it is first touched.
"""

import mmap
import threading
from enum import StrEnum

# Files of one kind are of much the same size: a little more lets the next ones fit, too.
_SPARE = 16


class BufferKind(StrEnum):
    """What memory is for: each thread has some for each kind."""

    TEXT = "lines of CSV files"
    PAGES = "pages of a SQLite file"
    RECORDS = "rows of a SQLite file"


class _ThreadBuffers(threading.local):
    """What this thread has; it goes with the thread."""

    def __init__(self) -> None:
        self.buffers: dict[BufferKind, mmap.mmap] = {}


_thread_buffers = _ThreadBuffers()


def thread_buffer(kind: BufferKind, size: int) -> mmap.mmap:
    """At least so many bytes, until this thread asks again for that kind; nothing that stays may hold any of them."""
    buffer = _thread_buffers.buffers.get(kind)
    if buffer is None or len(buffer) < size:
        # What is too small goes first, so that the two are never there at once.
        del buffer
        _thread_buffers.buffers.pop(kind, None)
        _thread_buffers.buffers[kind] = buffer = _new_buffer(size)
    return buffer


def _new_buffer(size: int) -> mmap.mmap:
    """New memory for so many bytes, and some to spare.

    Straight from the machine: a bytearray would be filled with zeros first, while all threads wait for Python's lock.
    """
    return mmap.mmap(-1, max(1, size + size // _SPARE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
