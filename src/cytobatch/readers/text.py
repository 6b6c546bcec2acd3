"""Memory that text is read into: a thread's own, used again and again.

Memory that is new costs more than what is read into it: the machine clears it, page by page, when it is first touched.
"""

import threading

# Files of one kind are of much the same size: a little more lets the next ones fit, too.
_SPARE = 16


class _Room(threading.local):
    """What this thread has; it goes with the thread."""

    buffer = bytearray()


_room = _Room()


def text_room(size: int) -> bytearray:
    """At least so many bytes for text, until this thread asks again: what is made of the text must hold none of it."""
    if len(_room.buffer) < size:
        # What is too small goes first, so that the two are never there at once.
        _room.buffer = bytearray()
        _room.buffer = bytearray(size + size // _SPARE)
    return _room.buffer
