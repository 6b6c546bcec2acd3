"""Pages of a SQLite file in memory. The format: https://www.sqlite.org/fileformat2.html#the_database_header"""

from dataclasses import dataclass
from io import RawIOBase

import numpy as np

from cytobatch.engine.buffers import BufferKind, thread_buffer
from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.sqlite.native.arrays import ByteArray, Int64Array, sliding_values

HEADER_BYTES = 100
"""Bytes of a file's header."""
PAGE_NUMBER_BYTES = 4
"""Bytes of a page number within a page. Page numbers begin at 1; 0 ends a chain of overflow pages."""
_UTF_8 = (1).to_bytes(4, "big")
_PAGE_SIZES = frozenset(2**exponent for exponent in range(9, 17))
_SMALLEST_USABLE = 480
"""Bytes of a page that hold content at least."""
_ROLLBACK_JOURNAL = bytes((1, 1))
_MAX_GAP_BYTES = 128 * 2**10
"""Bytes that are read though not wanted, where that saves a read."""


def page_size(header: bytes) -> int:
    """Return the bytes of a page by the header of its file."""
    size = int.from_bytes(header[16:18], "big")
    return 65536 if size == 1 else size


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a file is divided into pages.

    Attributes
    ----------
    page_size
        Bytes of a page.
    usable_size
        Bytes of a page that hold content; the rest of it, at its end, is reserved for extensions.
    page_count
        Pages of the file.
    change_counter
        The four bytes that each transaction changes: two equal ones are of the same content.
    """

    page_size: int
    usable_size: int
    page_count: int
    change_counter: bytes

    @classmethod
    def read(cls, stream: RawIOBase) -> "Geometry":
        """Read the geometry of an open file. Raises FastPathUnavailable if its pages alone are not its content."""
        stream.seek(0)
        header = stream.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            raise FastPathUnavailable("the file is shorter than the header of a database")
        if header[18:20] != _ROLLBACK_JOURNAL:
            raise FastPathUnavailable("the database is in another journal mode than rollback, such as WAL")
        if header[56:60] != _UTF_8:
            raise FastPathUnavailable("the text encoding of the database is not UTF-8")
        return cls.of(header, stream.seek(0, 2))

    @classmethod
    def of(cls, header: bytes, file_bytes: int) -> "Geometry":
        """Return the geometry by the header of a file. Raises FastPathUnavailable if its page size is invalid."""
        size = page_size(header)
        if len(header) < HEADER_BYTES or size not in _PAGE_SIZES or header[20] > size - _SMALLEST_USABLE:
            raise FastPathUnavailable(f"a page size of {size} bytes is invalid")
        return cls(size, size - header[20], file_bytes // size, header[24:28])

    def local_sizes(self, record_sizes: Int64Array) -> Int64Array:
        """Return how many bytes of each record are on its leaf; overflow pages have the rest.

        The formula is that of a table's leaves in https://www.sqlite.org/fileformat2.html#b_tree_pages

        Parameters
        ----------
        record_sizes
            int64, (rows,), bytes.

        Returns
        -------
        int64, (rows,), bytes.
        """
        largest, smallest = self.usable_size - 35, (self.usable_size - 12) * 32 // 255 - 23
        without_overflow = smallest + (record_sizes - smallest) % (self.usable_size - PAGE_NUMBER_BYTES)
        split = np.where(without_overflow <= largest, without_overflow, smallest)
        return np.where(record_sizes <= largest, record_sizes, split)


class PageBuffer:
    """Pages of an open file in one buffer of the thread, read a run of neighbours at a time.

    Attributes
    ----------
    content
        uint8, (bytes of all pages that were read + one page of zeros,). A value at the end of the last page can thus
        be read together with the bytes behind it. Reading more pages may move it, as may the thread's next PageBuffer.
    """

    def __init__(self, stream: RawIOBase, geometry: Geometry, numbers: Int64Array) -> None:
        self._stream = stream
        self._geometry = geometry
        self._numbers, self._offsets = np.zeros((2, 0), np.int64)
        self.content: ByteArray = np.zeros(geometry.page_size, np.uint8)
        self.load(numbers)

    def load(self, numbers: Int64Array) -> None:
        """Read those of the pages that are not in memory.

        Parameters
        ----------
        numbers
            int64, (pages,). Page numbers in any order, repeated or not.

        Raises
        ------
        FastPathUnavailable
            If the file does not have one of the pages.
        """
        missing = np.setdiff1d(numbers, self._numbers)
        if not len(missing):
            return
        if missing[0] < 1 or missing[-1] > self._geometry.page_count:
            raise FastPathUnavailable("a page number is outside of the file")
        size = self._geometry.page_size
        breaks = np.flatnonzero(np.diff(missing) * size > _MAX_GAP_BYTES)
        firsts, lasts = missing[np.append(0, breaks + 1)], missing[np.append(breaks, len(missing) - 1)]
        counts = lasts - firsts + 1
        slots = np.cumsum(counts) - counts
        begin = len(self.content) - size
        self._grow(int(counts.sum()) * size)
        for first, slot, count in zip(firsts.tolist(), slots.tolist(), counts.tolist(), strict=True):
            offset = begin + slot * size
            self._read_run(first, self.content[offset : offset + count * size])
        nth = np.arange(counts.sum())
        self._register(nth + np.repeat(firsts - slots, counts), begin + nth * size)

    def _register(self, numbers: Int64Array, offsets: Int64Array) -> None:
        """Add pages to the sorted page numbers and their offsets. A page that was read twice keeps its first offset."""
        all_offsets = np.append(self._offsets, offsets)
        self._numbers, first_of = np.unique(np.append(self._numbers, numbers), return_index=True)
        self._offsets = all_offsets[first_of]

    def _grow(self, added: int) -> None:
        """Make `content` longer by `added` bytes, and keep its pages and the page of zeros behind them."""
        spare, size = self._geometry.page_size, len(self.content) + added
        used = len(self.content) - spare
        content = np.frombuffer(thread_buffer(BufferKind.PAGES, size), np.uint8, size)
        # The same memory, if there was enough of it.
        if content.ctypes.data != self.content.ctypes.data:
            content[:used] = self.content[:used]
        content[-spare:] = 0
        self.content = content

    def _read_run(self, first: int, into: ByteArray) -> None:
        self._stream.seek((first - 1) * self._geometry.page_size)
        unread = into.data
        while unread:
            count = self._stream.readinto(unread)
            if not count:
                raise FastPathUnavailable("the file became shorter while it was read")
            unread = unread[count:]

    def offsets_of(self, numbers: Int64Array) -> Int64Array:
        """Return where pages in memory begin in `content`.

        Parameters
        ----------
        numbers
            int64, (pages,).

        Returns
        -------
        int64, (pages,), bytes.

        Raises
        ------
        FastPathUnavailable
            If one of the pages is not in memory.
        """
        indices = np.minimum(np.searchsorted(self._numbers, numbers), len(self._numbers) - 1)
        if (self._numbers[indices] != numbers).any():
            raise FastPathUnavailable("a page is not in memory")
        return self._offsets[indices]

    def uint32_at(self, offsets: Int64Array) -> Int64Array:
        """Return the four-byte numbers at offsets of `content`: int64, of the shape of `offsets`."""
        return sliding_values(self.content, ">u4")[offsets].astype(np.int64)

    def uint16_at(self, offsets: Int64Array) -> Int64Array:
        """Return the two-byte numbers at offsets of `content`: int64, of the shape of `offsets`."""
        return sliding_values(self.content, ">u2")[offsets].astype(np.int64)
