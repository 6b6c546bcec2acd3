"""Memory that text is read into: a thread's own, used again and again.

Memory that is new costs more than what is read into it: the machine clears it, page by page, when it is first touched.
"""

import threading

import pyarrow as pa


class _Room(threading.local):
    """What this thread has; it goes with the thread."""

    buffer: pa.Buffer | None = None


_room = _Room()


def text_room(size: int) -> memoryview:
    """So many bytes for text, until this thread asks again: what is made of the text must hold none of it."""
    if _room.buffer is None or _room.buffer.size < size:
        # What is too small goes first, so that the two are never there at once.
        _room.buffer = None
        _room.buffer = pa.allocate_buffer(size)
    return memoryview(_room.buffer)[:size]
