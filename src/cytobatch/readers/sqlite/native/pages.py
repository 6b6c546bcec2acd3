"""Pages of a SQLite file in memory. The format: https://www.sqlite.org/fileformat2.html#the_database_header"""

from dataclasses import dataclass
from io import FileIO

import numpy as np
import numpy.typing as npt

from cytobatch.engine.buffers import BufferKind, thread_buffer
from cytobatch.errors import FastPathUnavailable

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

HEADER = 100
"""Bytes of a file's header."""
_UTF_8 = (1).to_bytes(4, "big")
_ROLLBACK_JOURNAL = bytes((1, 1))
LINK = 4
"""Bytes of a page's number."""
_GAP = 128 * 2**10
"""Bytes that are read though not wanted, where that saves a read."""


def page_size(header: bytes) -> int:
    """The bytes of a page, as a file's header tells them."""
    size = int.from_bytes(header[16:18], "big")
    return 65536 if size == 1 else size


@dataclass(frozen=True, slots=True)
class Geometry:
    """Bytes of a file's pages, those of them that are used, how many pages there are, and its count of changes."""

    page: int
    used: int
    pages: int
    changes: bytes

    @classmethod
    def of(cls, stream: FileIO) -> "Geometry":
        """That of an open file. Raises FastPathUnavailable."""
        stream.seek(0)
        header = stream.read(HEADER)
        if len(header) < HEADER or header[18:20] != _ROLLBACK_JOURNAL or header[56:60] != _UTF_8:
            raise FastPathUnavailable("a write-ahead log, another encoding than UTF-8, or no database")
        page = page_size(header)
        return cls(page, page - header[20], stream.seek(0, 2) // page, header[24:28])

    def local(self, sizes: Numbers) -> Numbers:
        """How many bytes of a row of so many are on the page of its cell."""
        most, least = self.used - 35, (self.used - 12) * 32 // 255 - 23
        rest = least + (sizes - least) % (self.used - LINK)
        return np.where(sizes <= most, sizes, np.where(rest <= most, rest, least))


class Pages:
    """Some pages in memory, read a run at a time."""

    def __init__(self, stream: FileIO, geometry: Geometry, numbers: Numbers) -> None:
        self._stream = stream
        self._geometry = geometry
        self._numbers, self._places = np.zeros((2, 0), np.int64)
        # A page to spare: who looks a little too far finds zeros.
        self.flat: Bytes = np.zeros(geometry.page, np.uint8)
        self.add(numbers)

    def add(self, numbers: Numbers) -> None:
        """Reads those that are not there. Raises FastPathUnavailable where the file has none."""
        missing = np.setdiff1d(numbers, self._numbers)
        if not len(missing):
            return
        if missing[0] < 1 or missing[-1] > self._geometry.pages:
            raise FastPathUnavailable("a page that is not there")
        breaks = np.flatnonzero(np.diff(missing) * self._geometry.page > _GAP)
        firsts, lasts = missing[np.append(0, breaks + 1)], missing[np.append(breaks, len(missing) - 1)]
        counts = lasts - firsts + 1
        slots = np.cumsum(counts) - counts
        begin = len(self.flat) - self._geometry.page
        self._grow(int(counts.sum()) * self._geometry.page)
        for first, slot, count in zip(firsts.tolist(), slots.tolist(), counts.tolist(), strict=True):
            place = begin + slot * self._geometry.page
            self._read(first, self.flat[place : place + count * self._geometry.page])
        read = np.arange(counts.sum())
        places = np.append(self._places, begin + read * self._geometry.page)
        self._numbers, first_of = np.unique(
            np.append(self._numbers, read + np.repeat(firsts - slots, counts)), return_index=True
        )
        self._places = places[first_of]

    def _grow(self, size: int) -> None:
        have = len(self.flat) - self._geometry.page
        flat = np.frombuffer(thread_buffer(BufferKind.PAGES, len(self.flat) + size), np.uint8, len(self.flat) + size)
        # The same memory, if there was enough of it.
        if flat.ctypes.data != self.flat.ctypes.data:
            flat[:have] = self.flat[:have]
        flat[-self._geometry.page :] = 0
        self.flat = flat

    def _read(self, first: int, into: Bytes) -> None:
        self._stream.seek((first - 1) * self._geometry.page)
        room = into.data
        while room:
            got = self._stream.readinto(room)
            if not got:
                raise FastPathUnavailable("a file that ends too early")
            room = room[got:]

    def at(self, numbers: Numbers) -> Numbers:
        """Where pages that are there begin in `flat`."""
        found = np.minimum(np.searchsorted(self._numbers, numbers), len(self._numbers) - 1)
        if (self._numbers[found] != numbers).any():
            raise FastPathUnavailable("a page that was not read")
        return self._places[found]

    def word(self, places: Numbers) -> Numbers:
        """The numbers of four bytes at these places of `flat`."""
        return windows(self.flat, ">u4")[places].astype(np.int64)

    def half(self, places: Numbers) -> Numbers:
        """The numbers of two bytes at these places of `flat`."""
        return windows(self.flat, ">u2")[places].astype(np.int64)


def windows(flat: Bytes, kind: str) -> npt.NDArray[np.void]:
    """A value of this kind at each place of some bytes: at the next byte begins the next one."""
    size = np.dtype(kind).itemsize
    return np.ndarray((max(0, len(flat) - size + 1),), kind, flat, strides=(1,))
