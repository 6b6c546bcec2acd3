"""How far a conversion is: source bytes, exports and rows, counted where tables are read and row groups are written."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

_READ_SHARE = 0.55
"""The part of the work on a table that is done when it is read. The rest is to join, assemble and encode its rows.

Of plates of one row group reading took 50 to 70% of the time; in larger ones both go on at once.
"""
_SECONDS = 0.2
"""The shortest time between two calls of a listener."""


@dataclass(frozen=True, slots=True)
class WorkDone:
    """How far a conversion is.

    `bytes_done` are bytes of the source: those that are read and written in full, and a part of those that are only
    read. An export is done when its rows are on their way to the output, or when it has failed. `rows` are the rows
    that are written.
    """

    bytes_done: int
    bytes: int
    exports_done: int
    exports: int
    rows: int


WorkListener = Callable[[WorkDone], None]


def ignore_work(_done: WorkDone) -> None:
    """Drop the state of a conversion that nobody follows."""


class WorkCounter:
    """Counts the work of one conversion, and passes it on to a listener a few times a second.

    Any thread may count. The listener is called in the thread that has made the counter, which is the conversion's.
    """

    def __init__(self, listener: WorkListener = ignore_work) -> None:
        self._listener = listener
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._passed_on = 0.0
        self.start(0, 0)

    def start(self, exports: int, failed: int) -> None:
        """Begin to count the conversion of some exports, of which some have failed in the survey."""
        self._exports, self._exports_done, self._rows = exports, failed, 0
        self._bytes = self._read = self._taken = self._written = 0.0
        self._columns = self._columns_done = 0

    def expect(self, size: int, exports_done: int) -> None:
        """Announce how many bytes of the source will be read; exports of which no table is read are done already."""
        self._bytes = float(size)
        self._exports_done += exports_done
        self._pass_on()

    def read(self, size: float) -> None:
        """Count bytes of the source as read."""
        with self._lock:
            self._read += size
        self._pass_on()

    def taken(self, size: float, exports: int) -> None:
        """Count bytes of the source as those whose rows the writer has taken, and exports that are done with them."""
        with self._lock:
            self._taken += size
            self._exports_done += exports
        self._pass_on()

    def group_begins(self, columns: int) -> None:
        """Begin to count a row group of what the writer has taken."""
        self._columns, self._columns_done = columns, 0

    def columns_assembled(self, count: int) -> None:
        """Count columns of the row group, which are encoded next."""
        with self._lock:
            self._columns_done += count
        self._pass_on()

    def group_ends(self, rows: int) -> None:
        """Count the row group as written, after which the output has `rows` rows."""
        with self._lock:
            self._written, self._columns, self._rows = self._taken, 0, rows
        self._pass_on()

    def end(self, rows: int) -> None:
        """Pass on that all is read and written."""
        self._read = self._taken = self._written = self._bytes
        self._exports_done, self._columns, self._rows = self._exports, 0, rows
        self._passed_on = 0.0
        self._pass_on()

    def _pass_on(self) -> None:
        now = time.monotonic()
        if now - self._passed_on >= _SECONDS and threading.get_ident() == self._thread:
            self._passed_on = now
            self._listener(self._done())

    def _done(self) -> WorkDone:
        with self._lock:
            # The columns of a group may be assembled once for each kind of output.
            part = min(1.0, self._columns_done / self._columns) if self._columns else 0.0
            written = self._written + part * max(0.0, self._taken - self._written)
            # A table that cannot be read together with others is read again by itself.
            done = _READ_SHARE * min(self._read, self._bytes) + (1 - _READ_SHARE) * min(written, self._bytes)
            return WorkDone(round(done), round(self._bytes), self._exports_done, self._exports, self._rows)
