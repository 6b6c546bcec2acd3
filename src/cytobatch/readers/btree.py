"""Rows of a SQLite table as bytes, many at once, from the pages of the file itself.

SQLite looks for one value at a time, each through a cache of pages: of a row with 2,000 columns, which lies on five
pages, that takes thirty times as long as to decode it. What is read here is the table as it is in nearly all files; of
anything else OddFileError is raised, and SQLite reads it. The format, which is stable and documented for readers other
than SQLite: https://www.sqlite.org/fileformat2.html
"""

from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

HEADER = 100
_UTF_8 = 1
_ROLLBACK_JOURNAL = 1
_INTERIOR, _LEAF = 5, 13
_INTERIOR_HEADER, _LEAF_HEADER = 12, 8
_DEEPEST = 20
_LONGEST_VARINT = 9
_LINK = 4
_GAP = 64
"""Pages that are read though not wanted, where that saves a read."""
_MOST_BYTES, _MOST_TIMES = 64 * 2**20, 4
SPARE = 8
"""Bytes behind the longest row, so that eight bytes can be taken from any of them."""


class OddFileError(Exception):
    """A file or a table that is not plainly as described, or damaged: SQLite finds out which."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Bytes of a file's pages, those of them that are used, how many pages there are, and its count of changes."""

    page: int
    used: int
    pages: int
    changes: bytes

    @classmethod
    def of(cls, stream: IO[bytes]) -> "Geometry":
        """That of an open file. Raises OddFileError."""
        stream.seek(0)
        header = stream.read(HEADER)
        if len(header) < HEADER or set(header[18:20]) != {_ROLLBACK_JOURNAL} or header[56:60] != bytes((0, 0, 0, _UTF_8)):
            raise OddFileError("a write-ahead log, another encoding than UTF-8, or no database")
        size = int.from_bytes(header[16:18], "big")
        page = 65536 if size == 1 else size
        return cls(page, page - header[20], stream.seek(0, 2) // page, header[24:28])

    def local(self, sizes: Numbers) -> Numbers:
        """How many bytes of a row of so many are on the page of its cell."""
        most, least = self.used - 35, (self.used - 12) * 32 // 255 - 23
        rest = least + (sizes - least) % (self.used - _LINK)
        return np.where(sizes <= most, sizes, np.where(rest <= most, rest, least))


@dataclass(frozen=True, slots=True)
class Records:
    """Rows as records: each in a line of `content`, `SPARE` bytes longer than any; and their sizes.

    `counts` are the rows of each leaf that was read, whether all of them were wanted or not.
    """

    content: Bytes
    sizes: Numbers
    counts: Numbers


class TableFile:
    """A table by its root page, in an open file. Its rows come in their order, in pieces of neighbouring leaves."""

    def __init__(self, stream: IO[bytes], root: int) -> None:
        self._stream = stream
        self.geometry = Geometry.of(stream)
        self._root = root

    def leaves(self) -> Numbers:
        """The pages that hold the rows, in order: those below the interior ones. Raises OddFileError."""
        level = np.array([self._root], np.int64)
        for _ in range(_DEEPEST):
            # All leaves of a table are equally far down.
            if self._page(level[0])[0] == _LEAF:
                return level
            level = np.concatenate([self._children(self._page(number)) for number in level])
            if len(level) > self.geometry.pages:
                break
        raise OddFileError("a tree that does not end in leaves")

    def _children(self, page: Bytes) -> Numbers:
        count = int(page[3:5].view(">u2")[0])
        end = _INTERIOR_HEADER + 2 * count
        cells = page[_INTERIOR_HEADER:end].view(">u2").astype(np.int64)
        if page[0] != _INTERIOR or end > len(page) or (cells > len(page) - _LINK).any():
            raise OddFileError("a page that is none of a table")
        left = page[cells[:, None] + np.arange(_LINK)].view(">u4")[:, 0]
        return np.append(left, page[8:12].view(">u4")).astype(np.int64)

    def _page(self, number: int) -> Bytes:
        return _Pages(self._stream, self.geometry, np.array([number])).flat[: self.geometry.used]

    def records(self, leaves: Numbers, rows: Numbers | None = None) -> Records:
        """The rows on these leaves; or some of them, by their place among these. Raises OddFileError."""
        pages = _Pages(self._stream, self.geometry, leaves)
        cells, counts = _Cells.on(pages, leaves, self.geometry)
        if rows is not None:
            cells = cells.some(rows)
        links = self._links(pages, cells, -(-(cells.sizes - cells.local) // (self.geometry.used - _LINK)))
        return Records(_content(pages, cells, links, self.geometry), cells.sizes, counts)

    def _links(self, pages: "_Pages", cells: "_Cells", overflow: Numbers) -> Numbers:
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
        pages.add(links[wanted])
        return links

    def _follow(self, pages: "_Pages", links: Numbers, wanted: Flags) -> Flags:
        """Of which rows each page names the next one, and the last none."""
        inside = ((links > 0) & (links <= self.geometry.pages)) | ~wanted
        whole = inside.all(axis=1)
        pages.add(links[whole][wanted[whole]])
        named = np.zeros(links.shape, np.int64)
        told = wanted & whole[:, None]
        named[told] = pages.word(pages.at(links[told]))
        following = np.zeros(links.shape, np.int64)
        following[:, :-1] = links[:, 1:]
        return whole & ((named == following) | ~wanted).all(axis=1)

    def _walked(self, pages: "_Pages", numbers: Numbers, wanted: Flags) -> Numbers:
        """The pages of rows from the first one on, by the names that each has for the next one."""
        links = np.zeros(wanted.shape, np.int64)
        for step, going in enumerate(wanted.T):
            pages.add(numbers[going])
            links[going, step] = numbers[going]
            numbers[going] = pages.word(pages.at(numbers[going]))
        if (numbers[wanted.any(axis=1)] != 0).any():
            raise OddFileError("a row with more pages than it needs")
        return links


class _Pages:
    """Some pages in memory, read a run at a time."""

    def __init__(self, stream: IO[bytes], geometry: Geometry, numbers: Numbers) -> None:
        self._stream = stream
        self._geometry = geometry
        self._numbers, self._places = np.zeros((2, 0), np.int64)
        # A page to spare: who looks a little too far finds zeros.
        self.flat: Bytes = np.zeros(geometry.page, np.uint8)
        self.add(numbers)

    def add(self, numbers: Numbers) -> None:
        """Reads those that are not there. Raises OddFileError where the file has none."""
        missing = np.setdiff1d(numbers, self._numbers)
        if not len(missing):
            return
        if missing[0] < 1 or missing[-1] > self._geometry.pages:
            raise OddFileError("a page that is not there")
        breaks = np.flatnonzero(np.diff(missing) > _GAP)
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
        flat = np.empty(len(self.flat) + size, np.uint8)
        flat[:have] = self.flat[:have]
        flat[-self._geometry.page :] = 0
        self.flat = flat

    def _read(self, first: int, into: Bytes) -> None:
        self._stream.seek((first - 1) * self._geometry.page)
        room = memoryview(into)
        while room:
            got = self._stream.readinto(room)  # type: ignore[attr-defined]
            if not got:
                raise OddFileError("a file that ends too early")
            room = room[got:]

    def at(self, numbers: Numbers) -> Numbers:
        """Where pages that are there begin in `flat`."""
        found = np.minimum(np.searchsorted(self._numbers, numbers), len(self._numbers) - 1)
        if (self._numbers[found] != numbers).any():
            raise OddFileError("a page that was not read")
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


@dataclass(frozen=True, slots=True)
class _Cells:
    """The rows of some leaves: how many bytes each has, where it begins in the pages, and how many of them are there."""

    sizes: Numbers
    at: Numbers
    local: Numbers

    @classmethod
    def on(cls, pages: _Pages, leaves: Numbers, geometry: Geometry) -> tuple["_Cells", Numbers]:
        """The rows of leaves, and how many each leaf has. Raises OddFileError."""
        begins = pages.at(leaves)
        counts = pages.half(begins + 3)
        if (pages.flat[begins] != _LEAF).any() or (_LEAF_HEADER + 2 * counts > geometry.used).any():
            raise OddFileError("a leaf that is none")
        pages_of = np.repeat(begins, counts)
        nth = np.arange(len(pages_of)) - np.repeat(np.cumsum(counts) - counts, counts)
        cells = pages.half(pages_of + _LEAF_HEADER + 2 * nth)
        if (cells >= geometry.used).any():
            raise OddFileError("a row outside of its page")
        sizes, at = _varints(pages.flat, pages_of + cells)
        _, at = _varints(pages.flat, at)  # its rowid
        if (sizes < 0).any() or (sizes > geometry.page * geometry.pages).any():
            raise OddFileError("a row larger than the file")
        local = geometry.local(sizes)
        if (at - pages_of + local + np.where(sizes > local, _LINK, 0) > geometry.used).any():
            raise OddFileError("a row that ends outside of its page")
        return cls(sizes, at, local), counts

    def some(self, rows: Numbers) -> "_Cells":
        """Some of the rows. Raises OddFileError where there are fewer."""
        if len(rows) and rows[-1] >= len(self.sizes):
            raise OddFileError("fewer rows than there were")
        return _Cells(self.sizes[rows], self.at[rows], self.local[rows])


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


def _content(pages: _Pages, cells: _Cells, links: Numbers, geometry: Geometry) -> Bytes:
    """The rows' bytes, each in a line of its own: what is on the leaf, then what is on the other pages."""
    body, longest = geometry.used - _LINK, int(cells.local.max(initial=0))
    shape = len(cells.at), longest + links.shape[1] * body + SPARE
    if shape[0] * shape[1] > _MOST_BYTES + _MOST_TIMES * int(cells.sizes.sum()):
        raise OddFileError("rows of very different sizes")
    content = np.empty(shape, np.uint8)
    flat = content.reshape(-1)
    lines = np.arange(len(content)) * content.shape[1]
    if longest:
        _copy(pages.flat, cells.at, flat, lines, longest)
    for step, numbers in enumerate(links.T):
        there = numbers > 0
        places = lines[there] + cells.local[there] + step * body
        _copy(pages.flat, pages.at(numbers[there]) + _LINK, flat, places, body)
    return content


def _copy(source: Bytes, begins: Numbers, target: Bytes, places: Numbers, size: int) -> None:
    """Pieces of so many bytes, each to its place."""
    windows(target, f"V{size}")[places] = windows(source, f"V{size}")[begins]
