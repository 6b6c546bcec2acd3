"""The records of a SQLite table as bytes, those of many leaves at once.

A table is a b-tree: interior pages name the pages below them, and the leaves hold the rows. What is read here is a
table as it is in nearly all files. At anything else FastPathUnavailable is raised, because SQLite reads that table.
The format: https://www.sqlite.org/fileformat2.html#b_tree_pages
"""

from dataclasses import dataclass
from io import RawIOBase

import numpy as np

from cytobatch.engine.buffers import BufferKind, thread_buffer
from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.sqlite.native.arrays import BoolArray, ByteArray, Int64Array, sliding_values
from cytobatch.readers.sqlite.native.pages import HEADER_BYTES, PAGE_NUMBER_BYTES, Geometry, PageBuffer

_INTERIOR, _LEAF = 5, 13
_INTERIOR_HEADER_BYTES, _LEAF_HEADER_BYTES = 12, 8
_MAX_DEPTH = 20
_MAX_VARINT_BYTES = 9
_CONTINUATION_BIT = 0x80
_MAX_CONTENT_BYTES, _MAX_CONTENT_RATIO = 64 * 2**20, 4
_MOST_RECORD_BYTES = 64 * 2**20
"""Bytes of the records that are decoded at once: a chunk has a quarter of it, unless a row has a large blob."""
_MOST_LINKS = 200
"""The longest chain of overflow pages that is followed. Each step takes time that grows with all pages in memory."""
_SEGMENTS_AT_ONCE = 64
SPARE_BYTES = 8
"""Bytes behind the longest record, so that eight bytes can be taken from any of its bytes on."""


@dataclass(frozen=True, slots=True)
class Records:
    """The records of some leaves as bytes.

    Attributes
    ----------
    content
        uint8, (rows, longest + 8), where `longest` is the space of the longest record: a record from the beginning of
        each row. It is a buffer of the thread, which the next records overwrite.
    sizes
        int64, (rows,). Bytes of each record.
    rowids
        int64, (rows,). They ascend in a valid table.
    rows_per_leaf
        int64, (leaves,). All rows of each leaf, whether they were selected or not.
    """

    content: ByteArray
    sizes: Int64Array
    rowids: Int64Array
    rows_per_leaf: Int64Array


class TableTree:
    """The b-tree of a table in an open file, by its root page."""

    def __init__(self, stream: RawIOBase, root: int, geometry: Geometry | None = None) -> None:
        self._stream = stream
        self.geometry = geometry or Geometry.read(stream)
        self._root = root

    @property
    def root_type(self) -> int:
        """The type of the root page. Raises FastPathUnavailable if the file lacks the page."""
        return int(self._page(self._root)[0])

    def leaves(self) -> Int64Array:
        """Find the leaves of the table.

        Returns
        -------
        int64, (leaves,). Page numbers in the order of the rows.

        Raises
        ------
        FastPathUnavailable
            If the root is not that of a table, or an interior page is damaged.
        """
        level = np.array([self._root], np.int64)
        for _ in range(_MAX_DEPTH):
            # All leaves of a table are equally far down.
            if self._page(level[0])[0] == _LEAF:
                return level
            level = np.concatenate([self._children(number) for number in level])
            if len(level) > self.geometry.page_count:
                raise FastPathUnavailable("the b-tree of the table has more pages than the file")
        raise FastPathUnavailable(f"the b-tree of the table is deeper than {_MAX_DEPTH} levels")

    def _children(self, number: int) -> Int64Array:
        """Return the page numbers that an interior page names: int64, (children,)."""
        page = self._page(number)
        # Cells are found by their offset in the whole page, of which the first one begins with the file's header.
        skipped = HEADER_BYTES if number == 1 else 0
        count = int(page[3:5].view(">u2")[0])
        end = _INTERIOR_HEADER_BYTES + 2 * count
        cells = page[_INTERIOR_HEADER_BYTES:end].view(">u2").astype(np.int64) - skipped
        out_of_page = (cells < 0) | (cells > len(page) - PAGE_NUMBER_BYTES)
        if page[0] != _INTERIOR or end > len(page) or out_of_page.any():
            raise FastPathUnavailable("a page is neither a leaf nor a valid interior page of a table")
        left = page[cells[:, None] + np.arange(PAGE_NUMBER_BYTES)].view(">u4")[:, 0]
        return np.append(left, page[8:12].view(">u4")).astype(np.int64)

    def _page(self, number: int) -> ByteArray:
        """Return a page from its own header on: uint8, (bytes,)."""
        content = PageBuffer(self._stream, self.geometry, np.array([number])).content
        return content[HEADER_BYTES if number == 1 else 0 : self.geometry.usable_size]

    def record_sizes(self, leaves: Int64Array) -> Int64Array:
        """Return the bytes of each record on some leaves, int64, (rows,), by the leaves alone.

        `leaves` are page numbers, int64, (leaves,). Raises FastPathUnavailable if a page is not a valid leaf.
        """
        cells, _ = _Cells.read(PageBuffer(self._stream, self.geometry, leaves), leaves, self.geometry)
        return cells.sizes

    def records(self, leaves: Int64Array, rows: Int64Array | None = None) -> Records:
        """Read the records of some leaves.

        Parameters
        ----------
        leaves
            int64, (leaves,). Page numbers in the order of the rows.
        rows
            int64, (rows,), ascending. Indices of the selected rows among all rows of these leaves; all if None.

        Raises
        ------
        FastPathUnavailable
            If a page is not a valid leaf or overflow page of a table, or the records differ too much in size.
        """
        pages = PageBuffer(self._stream, self.geometry, leaves)
        cells, rows_per_leaf = _Cells.read(pages, leaves, self.geometry)
        if rows is not None:
            cells = cells.take(rows)
        # Rows that are chosen are fewer by far, and were decoded once before.
        most = _MOST_RECORD_BYTES if rows is None else 4 * _MOST_RECORD_BYTES
        if int(cells.sizes.sum()) > min(most, self.geometry.page_size * self.geometry.page_count):
            raise FastPathUnavailable("the records are too large to be decoded at once, or larger than the file")
        overflow_body = self.geometry.usable_size - PAGE_NUMBER_BYTES
        overflow = self._overflow_pages(pages, cells, -(-(cells.sizes - cells.local_sizes) // overflow_body))
        content = _assemble(pages, cells, overflow, overflow_body)
        return Records(content, cells.sizes, cells.rowids, rows_per_leaf)

    def _overflow_pages(self, pages: PageBuffer, cells: "_Cells", counts: Int64Array) -> Int64Array:
        """Find the overflow pages of records, and read them.

        Parameters
        ----------
        pages
            Has the leaves of the cells.
        cells
            The cells of `rows` records.
        counts
            int64, (rows,). Overflow pages that each record needs by its size.

        Returns
        -------
        int64, (rows, largest of counts). Page numbers in the order of the content; 0 behind a record's last page.
        """
        steps = np.arange(counts.max(initial=0))
        needed = steps < counts[:, None]
        if not needed.any():
            return np.zeros(needed.shape, np.int64)
        # They mostly follow each other in the file, because the row was added to its end.
        firsts = pages.uint32_at(cells.offsets + cells.local_sizes)
        chains = np.where(needed, firsts[:, None] + steps, 0)
        scattered = ~self._are_linked(pages, chains, needed)
        if scattered.any():
            chains[scattered] = self._follow_links(pages, chains[scattered, 0], needed[scattered])
        return chains

    def _are_linked(self, pages: PageBuffer, chains: Int64Array, needed: BoolArray) -> BoolArray:
        """Check which assumed chains of overflow pages are the chains that the pages themselves link.

        Parameters
        ----------
        pages
            Reads the pages of those chains that lie in the file.
        chains
            int64, (rows, steps). Assumed page numbers, 0 where none is needed.
        needed
            bool, (rows, steps). Where a record has a page.

        Returns
        -------
        bool, (rows,). True where each page links the next one, and the last page links none.
        """
        exists: BoolArray = (chains > 0) & (chains <= self.geometry.page_count)
        in_file: BoolArray = np.all(exists | ~needed, axis=1)
        pages.load(chains[in_file][needed[in_file]])
        links = np.zeros(chains.shape, np.int64)
        readable: BoolArray = needed & in_file[:, None]
        links[readable] = pages.uint32_at(pages.offsets_of(chains[readable]))
        expected = np.zeros(chains.shape, np.int64)
        expected[:, :-1] = chains[:, 1:]
        linked: BoolArray = np.all((links == expected) | ~needed, axis=1)
        return in_file & linked

    def _follow_links(self, pages: PageBuffer, numbers: Int64Array, needed: BoolArray) -> Int64Array:
        """Follow chains of overflow pages from the first page of each.

        Parameters
        ----------
        pages
            Reads the pages, those of all chains a step at a time.
        numbers
            int64, (rows,). First page of each record. Overwritten.
        needed
            bool, (rows, steps). Where a record has a page.

        Returns
        -------
        int64, (rows, steps). Page numbers, 0 where none is needed.

        Raises
        ------
        FastPathUnavailable
            If a chain does not end where its record does, or has more than `_MOST_LINKS` pages.
        """
        if needed.shape[1] > _MOST_LINKS:
            raise FastPathUnavailable("a record lies on many pages that are scattered over the file")
        chains = np.zeros(needed.shape, np.int64)
        for step, continues in enumerate(needed.T):
            pages.load(numbers[continues])
            chains[continues, step] = numbers[continues]
            numbers[continues] = pages.uint32_at(pages.offsets_of(numbers[continues]))
        if (numbers[needed.any(axis=1)] != 0).any():
            raise FastPathUnavailable("a record has more overflow pages than its size needs")
        return chains


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of some leaves, one for each row.

    Attributes
    ----------
    sizes
        int64, (rows,). Bytes of each record.
    rowids
        int64, (rows,).
    offsets
        int64, (rows,). Where each record begins in the content of the page buffer.
    local_sizes
        int64, (rows,). Bytes of each record that are on its leaf.
    """

    sizes: Int64Array
    rowids: Int64Array
    offsets: Int64Array
    local_sizes: Int64Array

    @classmethod
    def read(cls, pages: PageBuffer, leaves: Int64Array, geometry: Geometry) -> tuple["_Cells", Int64Array]:
        """Read the cells of leaves that are in memory.

        Parameters
        ----------
        pages
            Has the leaves.
        leaves
            int64, (leaves,). Page numbers in the order of the rows.
        geometry
            That of the file.

        Returns
        -------
        The cells, and the number of rows of each leaf: int64, (leaves,).

        Raises
        ------
        FastPathUnavailable
            If a page is not a leaf of a table, or a cell does not lie within its page.
        """
        begins = pages.offsets_of(leaves)
        # Cells are found by their offset in the whole page, of which the first one begins with the file's header.
        headers = begins + np.where(leaves == 1, HEADER_BYTES, 0)
        counts = pages.uint16_at(headers + 3)
        ends = headers - begins + _LEAF_HEADER_BYTES + 2 * counts
        if (pages.content[headers] != _LEAF).any() or (ends > geometry.usable_size).any():
            raise FastPathUnavailable("a page is not a valid leaf of a table")
        page_offsets = np.repeat(begins, counts)
        nth = np.arange(len(page_offsets)) - np.repeat(np.cumsum(counts) - counts, counts)
        within = pages.uint16_at(np.repeat(headers, counts) + _LEAF_HEADER_BYTES + 2 * nth)
        if (within >= geometry.usable_size).any():
            raise FastPathUnavailable("a cell begins outside of its page")
        sizes, offsets = _decode_varints(pages.content, page_offsets + within)
        rowids, offsets = _decode_varints(pages.content, offsets)
        if (np.diff(rowids) <= 0).any():
            raise FastPathUnavailable("row ids do not ascend")
        if (sizes < 0).any() or (sizes > geometry.page_size * geometry.page_count).any():
            raise FastPathUnavailable("a record is larger than the file")
        local_sizes = geometry.local_sizes(sizes)
        links = np.where(sizes > local_sizes, PAGE_NUMBER_BYTES, 0)
        if (offsets - page_offsets + local_sizes + links > geometry.usable_size).any():
            raise FastPathUnavailable("a cell ends outside of its page")
        return cls(sizes, rowids, offsets, local_sizes), counts

    def take(self, rows: Int64Array) -> "_Cells":
        """Select cells by their ascending indices. Raises FastPathUnavailable if there are fewer cells."""
        if len(rows) and rows[-1] >= len(self.sizes):
            raise FastPathUnavailable("the leaves have fewer rows than before")
        return _Cells(self.sizes[rows], self.rowids[rows], self.offsets[rows], self.local_sizes[rows])


def _decode_varints(buffer: ByteArray, offsets: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Decode integers of variable length, as https://www.sqlite.org/fileformat2.html#varint describes them.

    Parameters
    ----------
    buffer
        uint8, (size,).
    offsets
        int64, (rows,). Where each integer begins in the buffer.

    Returns
    -------
    The integers, and the offsets behind them: int64, (rows,) each.
    """
    values, ends = np.zeros(len(offsets), np.int64), offsets.copy()
    continues = np.ones(len(offsets), np.bool_)
    for step in range(_MAX_VARINT_BYTES):
        byte = buffer[offsets + step].astype(np.int64)
        # Eight bytes have seven bits of the value each; a ninth byte has eight.
        longer = values << 8 | byte if step == _MAX_VARINT_BYTES - 1 else values << 7 | byte & ~_CONTINUATION_BIT
        values = np.where(continues, longer, values)
        ends += continues
        continues = continues & (byte >= _CONTINUATION_BIT)
        if not continues.any():
            break
    return values, ends


def _assemble(pages: PageBuffer, cells: _Cells, overflow: Int64Array, overflow_body: int) -> ByteArray:
    """Copy records from their leaves and overflow pages into a buffer of the thread.

    Parameters
    ----------
    pages
        Has the leaves and the overflow pages.
    cells
        The cells of `rows` records.
    overflow
        int64, (rows, steps). Numbers of the overflow pages, 0 behind a record's last page.
    overflow_body
        Bytes of a record on each overflow page.

    Returns
    -------
    uint8, (rows, longest + 8). Undefined behind the end of each record.

    Raises
    ------
    FastPathUnavailable
        If one long record would make the rows of all others so long that the matrix takes too much memory.
    """
    longest = int(cells.local_sizes.max(initial=0))
    rows, width = len(cells.offsets), longest + overflow.shape[1] * overflow_body + SPARE_BYTES
    size = rows * width
    if size > _MAX_CONTENT_BYTES + _MAX_CONTENT_RATIO * int(cells.sizes.sum()):
        raise FastPathUnavailable("the records differ too much in size to be decoded at once")
    buffer = np.frombuffer(thread_buffer(BufferKind.RECORDS, size), np.uint8, size)
    row_offsets = np.arange(rows) * width
    if longest:
        _copy_segments(pages.content, cells.offsets, buffer, row_offsets, longest)
    for step, numbers in enumerate(overflow.T):
        present = numbers > 0
        sources = pages.offsets_of(numbers[present]) + PAGE_NUMBER_BYTES
        targets = row_offsets[present] + cells.local_sizes[present] + step * overflow_body
        _copy_segments(pages.content, sources, buffer, targets, overflow_body)
    return buffer.reshape(rows, width)


def _copy_segments(
    source: ByteArray, source_offsets: Int64Array, target: ByteArray, target_offsets: Int64Array, size: int
) -> None:
    """Copy segments of `size` bytes between two buffers.

    Parameters
    ----------
    source, target
        uint8, (their sizes,).
    source_offsets, target_offsets
        int64, (segments,). Where each segment begins.
    size
        Bytes of a segment.
    """
    from_segments, to_segments = sliding_values(source, f"V{size}"), sliding_values(target, f"V{size}")
    # A few at once, because NumPy takes them to new memory on their way.
    for first in range(0, len(source_offsets), _SEGMENTS_AT_ONCE):
        segments = slice(first, first + _SEGMENTS_AT_ONCE)
        to_segments[target_offsets[segments]] = from_segments[source_offsets[segments]]
