"""Memory that files are read into: a thread's own, used again and again.

Memory that is new costs more than what is read into it: the machine clears it, page by page, when it is first touched.
"""

import mmap
import threading
from enum import StrEnum

# Files of one kind are of much the same size: a little more lets the next ones fit, too.
_SPARE = 16


class Use(StrEnum):
    """What memory is for: each thread has some for each use."""

    TEXT = "lines of CSV files"
    PAGES = "pages of a SQLite file"
    RECORDS = "rows of a SQLite file"


class _Rooms(threading.local):
    """What this thread has; it goes with the thread."""

    def __init__(self) -> None:
        self.buffers: dict[Use, mmap.mmap] = {}


_rooms = _Rooms()


def own_room(use: Use, size: int) -> mmap.mmap:
    """At least so many bytes, until this thread asks again for that use; nothing that stays may hold any of them."""
    buffer = _rooms.buffers.get(use)
    if buffer is None or len(buffer) < size:
        # What is too small goes first, so that the two are never there at once.
        del buffer
        _rooms.buffers.pop(use, None)
        _rooms.buffers[use] = buffer = new_room(size)
    return buffer


def new_room(size: int) -> mmap.mmap:
    """New memory for so many bytes, and some to spare.

    Straight from the machine: a bytearray would be filled with zeros first, while all threads wait for Python's lock.
    """
    return mmap.mmap(-1, max(1, size + size // _SPARE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
