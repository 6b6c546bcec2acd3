"""Rows of a SQLite table as bytes, many at once, from the pages of the file itself.

SQLite looks for one value at a time, each through a cache of pages: of a row with 2,000 columns, which lies on five
pages, that takes ten times as long as to decode it with all others. What is read here is a table as it is in nearly all
files; at anything else FastPathUnavailable is raised, and SQLite reads it. The format: https://www.sqlite.org/fileformat2.html
"""

from dataclasses import dataclass
from io import FileIO

import numpy as np

from cytobatch.engine.buffers import BufferKind, thread_buffer
from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.sqlite.native.pages import (
    LINK,
    Bytes,
    Flags,
    Geometry,
    Numbers,
    Pages,
    windows,
)

_INTERIOR, _LEAF = 5, 13
_INTERIOR_HEADER, _LEAF_HEADER = 12, 8
_DEEPEST = 20
_LONGEST_VARINT = 9
_MOST_BYTES, _MOST_TIMES = 64 * 2**20, 4
_COPIED = 64
SPARE = 8
"""Bytes behind the longest row, so that eight bytes can be taken from any of them."""


@dataclass(frozen=True, slots=True)
class Records:
    """Rows as records: each in a line of `content`, `SPARE` bytes longer than any; their sizes, and their numbers.

    `content` is the thread's own memory, until it reads others. `counts` are the rows of each leaf that was read,
    whether all of them were wanted or not; `rowids` ascend in a table that is sound.
    """

    content: Bytes
    sizes: Numbers
    rowids: Numbers
    counts: Numbers


class TableFile:
    """A table by its root page, in an open file. Its rows come in their order, in pieces of neighbouring leaves."""

    def __init__(self, stream: FileIO, root: int) -> None:
        self._stream = stream
        self.geometry = Geometry.of(stream)
        self._root = root

    def leaves(self) -> Numbers:
        """The pages that hold the rows, in order: those below the interior ones. Raises FastPathUnavailable."""
        level = np.array([self._root], np.int64)
        for _ in range(_DEEPEST):
            # All leaves of a table are equally far down.
            if self._page(level[0])[0] == _LEAF:
                return level
            level = np.concatenate([self._children(self._page(number)) for number in level])
            if len(level) > self.geometry.pages:
                break
        raise FastPathUnavailable("a tree that does not end in leaves")

    def _children(self, page: Bytes) -> Numbers:
        count = int(page[3:5].view(">u2")[0])
        end = _INTERIOR_HEADER + 2 * count
        cells = page[_INTERIOR_HEADER:end].view(">u2").astype(np.int64)
        if page[0] != _INTERIOR or end > len(page) or (cells > len(page) - LINK).any():
            raise FastPathUnavailable("a page that is none of a table")
        left = page[cells[:, None] + np.arange(LINK)].view(">u4")[:, 0]
        return np.append(left, page[8:12].view(">u4")).astype(np.int64)

    def _page(self, number: int) -> Bytes:
        return Pages(self._stream, self.geometry, np.array([number])).flat[: self.geometry.used]

    def records(self, leaves: Numbers, rows: Numbers | None = None) -> Records:
        """The rows on these leaves; or some of them, by their place among these. Raises FastPathUnavailable."""
        pages = Pages(self._stream, self.geometry, leaves)
        cells, counts = _Cells.on(pages, leaves, self.geometry)
        if rows is not None:
            cells = cells.some(rows)
        links = self._links(pages, cells, -(-(cells.sizes - cells.local) // (self.geometry.used - LINK)))
        return Records(_content(pages, cells, links, self.geometry), cells.sizes, cells.rowids, counts)

    def _links(self, pages: Pages, cells: "_Cells", overflow: Numbers) -> Numbers:
        """For each row the pages that the rest of it is on, 0 behind the last; they are read, too."""
        steps = np.arange(overflow.max(initial=0))
        wanted = steps < overflow[:, None]
        if not wanted.any():
            return np.zeros(wanted.shape, np.int64)
        # They mostly follow each other in the file, where the row was added to its end.
        links = np.where(wanted, pages.word(cells.at + cells.local)[:, None] + steps, 0)
        odd = ~self._follow(pages, links, wanted)
        if odd.any():
            links[odd] = self._walked(pages, links[odd, 0], wanted[odd])
        return links

    def _follow(self, pages: Pages, links: Numbers, wanted: Flags) -> Flags:
        """Of which rows each page names the next one, and the last none."""
        inside: Flags = (links > 0) & (links <= self.geometry.pages)
        whole: Flags = np.all(inside | ~wanted, axis=1)
        pages.add(links[whole][wanted[whole]])
        named = np.zeros(links.shape, np.int64)
        told: Flags = wanted & whole[:, None]
        named[told] = pages.word(pages.at(links[told]))
        following = np.zeros(links.shape, np.int64)
        following[:, :-1] = links[:, 1:]
        follow: Flags = np.all((named == following) | ~wanted, axis=1)
        return whole & follow

    def _walked(self, pages: Pages, numbers: Numbers, wanted: Flags) -> Numbers:
        """The pages of rows from the first one on, by the names that each has for the next one."""
        links = np.zeros(wanted.shape, np.int64)
        for step, going in enumerate(wanted.T):
            pages.add(numbers[going])
            links[going, step] = numbers[going]
            numbers[going] = pages.word(pages.at(numbers[going]))
        if (numbers[wanted.any(axis=1)] != 0).any():
            raise FastPathUnavailable("a row with more pages than it needs")
        return links


@dataclass(frozen=True, slots=True)
class _Cells:
    """The rows of some leaves: bytes and number of each, where it begins in the pages, and how many bytes are there."""

    sizes: Numbers
    rowids: Numbers
    at: Numbers
    local: Numbers

    @classmethod
    def on(cls, pages: Pages, leaves: Numbers, geometry: Geometry) -> tuple["_Cells", Numbers]:
        """The rows of leaves, and how many each leaf has. Raises FastPathUnavailable."""
        begins = pages.at(leaves)
        counts = pages.half(begins + 3)
        if (pages.flat[begins] != _LEAF).any() or (_LEAF_HEADER + 2 * counts > geometry.used).any():
            raise FastPathUnavailable("a leaf that is none")
        pages_of = np.repeat(begins, counts)
        nth = np.arange(len(pages_of)) - np.repeat(np.cumsum(counts) - counts, counts)
        cells = pages.half(pages_of + _LEAF_HEADER + 2 * nth)
        if (cells >= geometry.used).any():
            raise FastPathUnavailable("a row outside of its page")
        sizes, at = _varints(pages.flat, pages_of + cells)
        rowids, at = _varints(pages.flat, at)
        if (np.diff(rowids) <= 0).any():
            raise FastPathUnavailable("rows that are not in their order")
        if (sizes < 0).any() or (sizes > geometry.page * geometry.pages).any():
            raise FastPathUnavailable("a row larger than the file")
        local = geometry.local(sizes)
        if (at - pages_of + local + np.where(sizes > local, LINK, 0) > geometry.used).any():
            raise FastPathUnavailable("a row that ends outside of its page")
        return cls(sizes, rowids, at, local), counts

    def some(self, rows: Numbers) -> "_Cells":
        """Some of the rows. Raises FastPathUnavailable where there are fewer."""
        if len(rows) and rows[-1] >= len(self.sizes):
            raise FastPathUnavailable("fewer rows than there were")
        return _Cells(self.sizes[rows], self.rowids[rows], self.at[rows], self.local[rows])


def _varints(flat: Bytes, at: Numbers) -> tuple[Numbers, Numbers]:
    """The numbers of one to nine bytes at these places, and where each ends."""
    found, ends = np.zeros(len(at), np.int64), at.copy()
    going = np.ones(len(at), np.bool_)
    for place in range(_LONGEST_VARINT):
        byte = flat[at + place].astype(np.int64)
        last = place == _LONGEST_VARINT - 1
        found = np.where(going, found << 8 | byte if last else found << 7 | byte & 0x7F, found)
        ends += going
        going = going & (byte >= 0x80)
        if not going.any():
            break
    return found, ends


def _content(pages: Pages, cells: _Cells, links: Numbers, geometry: Geometry) -> Bytes:
    """The rows' bytes, each in a line of its own: what is on the leaf, then what is on the other pages."""
    body, longest = geometry.used - LINK, int(cells.local.max(initial=0))
    shape = len(cells.at), longest + links.shape[1] * body + SPARE
    if shape[0] * shape[1] > _MOST_BYTES + _MOST_TIMES * int(cells.sizes.sum()):
        raise FastPathUnavailable("rows of very different sizes")
    flat = np.frombuffer(thread_buffer(BufferKind.RECORDS, shape[0] * shape[1]), np.uint8, shape[0] * shape[1])
    content = flat.reshape(shape)
    lines = np.arange(len(content)) * content.shape[1]
    if longest:
        _copy(pages.flat, cells.at, flat, lines, longest)
    for step, numbers in enumerate(links.T):
        there = numbers > 0
        places = lines[there] + cells.local[there] + step * body
        _copy(pages.flat, pages.at(numbers[there]) + LINK, flat, places, body)
    return content


def _copy(source: Bytes, begins: Numbers, target: Bytes, places: Numbers, size: int) -> None:
    """Pieces of so many bytes, each to its place."""
    there, here = windows(source, f"V{size}"), windows(target, f"V{size}")
    # A few at once, as they lie in new memory on their way.
    for some in range(0, len(begins), _COPIED):
        here[places[some : some + _COPIED]] = there[begins[some : some + _COPIED]]
