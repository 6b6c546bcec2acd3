"""The footers of Parquet files: column chunks that several writers made, put into one file.

pyarrow's writer works in one thread, and keeps 900 bytes for each column of each row group until its file is closed,
of which a footer has 100. So the columns of a row group are written by several writers, each to a small file in memory
of its own, of which the pages are moved as they are and the footer's words on them with their new places.

A footer is a struct in Thrift's compact protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
Its fields: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAGIC = b"PAR1"
_LENGTH_BYTES = 4
_BINARY, _STRUCT = 8, 12
_END_BYTES = _LENGTH_BYTES + len(MAGIC)
_NO_ROWS_NO_GROUPS = b"\x16\x00\x19\x0c"
"""Fields 3 and 4 of a file without rows: their number, and the list of row groups."""

_VARINT = rb"[\x80-\xff]*[\x00-\x7f]"
_AFTER_PATH = re.compile(
    rb"\x15" + _VARINT + rb"(?:\x16" + _VARINT + rb"){3}\x26(" + _VARINT + rb")(?:\x26(" + _VARINT + rb"))?", re.DOTALL
)
"""What follows a column's path: codec, number of values, two sizes, and where data pages and a dictionary page are."""


Path = tuple[bytes, ...]
"""A column's name, and those of what is in it down to one that holds values."""


class UnknownFooterError(Exception):
    """A footer that is not as pyarrow writes it: a fault of ours, or a pyarrow that we do not know."""


@dataclass(frozen=True, slots=True)
class FooterTemplate:
    """A file's footer but for its rows and row groups: what stands before and after them."""

    head: bytes
    tail: bytes

    @classmethod
    def of(cls, file: bytes) -> "FooterTemplate":
        """Those of a file without rows. Raises UnknownFooterError."""
        # From the end: what is said of the file has no NUL in its texts, and so not these bytes.
        head, found, tail = _footer(memoryview(file)).tobytes().rpartition(_NO_ROWS_NO_GROUPS)
        if not found:
            raise UnknownFooterError("no file without rows")
        return cls(head, tail)

    def footer(self, rows: int, groups: Sequence[bytes]) -> bytes:
        """The end of a file with so many rows in these row groups."""
        footer = b"".join((self.head, b"\x16", _zigzag(rows), b"\x19", _list(len(groups), _STRUCT), *groups, self.tail))
        return footer + len(footer).to_bytes(_LENGTH_BYTES, "little") + MAGIC


@dataclass(frozen=True, slots=True)
class RowGroupExtent:
    """A row group's rows, where its pages begin in the file, and their bytes as they are and uncompressed."""

    rows: int
    begin: int
    size: int
    uncompressed: int

    def encoded(self) -> bytes:
        """Fields 2, 3, 5 and 6 of a row group, and its end."""
        fields = (b"\x16", self.uncompressed), (b"\x16", self.rows), (b"\x26", self.begin), (b"\x16", self.size)
        return b"".join(header + _zigzag(number) for header, number in fields) + b"\x00"


@dataclass(frozen=True, slots=True)
class ColumnChunks:
    """The chunks of some columns of one row group: their pages, and what a footer says of each chunk around its places.

    `before` has for each place (of data pages, of a dictionary) the bytes before it, `places` where it is, counted from
    the first page; `after` are the bytes after the last.
    """

    columns: int
    pages: memoryview
    before: tuple[bytes, ...]
    places: tuple[int, ...]
    after: bytes
    uncompressed: int

    @classmethod
    def of(
        cls, file: memoryview, ends: FooterTemplate, paths: Sequence[Path], rows: int, uncompressed: int
    ) -> "ColumnChunks":
        """Those of a file with one row group of the columns at these paths, which has so many bytes uncompressed.

        Raises UnknownFooterError.
        """
        footer = _footer(file).tobytes()
        pages = file[len(MAGIC) : len(file) - len(footer) - _END_BYTES]
        begin = b"\x16" + _zigzag(rows) + b"\x19\x1c\x19" + _list(len(paths), _STRUCT)
        end = RowGroupExtent(rows, len(MAGIC), len(pages), uncompressed).encoded() + ends.tail
        if not (footer.startswith(ends.head + begin) and footer.endswith(end)):
            raise UnknownFooterError("no file of one row group")
        before, places, start = [], [], len(ends.head) + len(begin)
        for match in _places(footer, paths, start):
            for group in (1, 2):
                if match[group] is not None:
                    before.append(footer[start : match.start(group)])
                    places.append(_unzigzag(match[group]) - len(MAGIC))
                    start = match.end(group)
        if not all(0 <= place < len(pages) for place in places):
            raise UnknownFooterError("pages outside the file")
        return cls(len(paths), pages, tuple(before), tuple(places), footer[start : -len(end)], uncompressed)

    def moved(self, begin: int) -> bytes:
        """What a footer says of the chunks where the first page is at `begin`."""
        parts = [
            part for pair in zip(self.before, (_zigzag(begin + p) for p in self.places), strict=True) for part in pair
        ]
        return b"".join((*parts, self.after))


def row_group(columns: int, chunks: Sequence[bytes], extent: RowGroupExtent) -> bytes:
    """What a footer says of a row group of so many columns, and of their chunks."""
    return b"".join((b"\x19", _list(columns, _STRUCT), *chunks, extent.encoded()))


def _places(footer: bytes, paths: Sequence[Path], start: int) -> list[re.Match[bytes]]:
    """Where each column's places are. A path is known by its length, so that no other text passes for it."""
    found = []
    for path in paths:
        said = b"\x19" + _list(len(path), _BINARY) + b"".join(_varint(len(name)) + name for name in path)
        here = footer.find(said, start)
        match = _AFTER_PATH.match(footer, here + len(said)) if here >= 0 else None
        if match is None:
            raise UnknownFooterError(f"no column {b'.'.join(path).decode()!r}")
        found.append(match)
        start = match.end()
    return found


def _footer(file: memoryview) -> memoryview:
    length = int.from_bytes(file[len(file) - _END_BYTES : len(file) - len(MAGIC)], "little")
    return file[len(file) - _END_BYTES - length : len(file) - _END_BYTES]


def _list(count: int, kind: int) -> bytes:
    return bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + _varint(count)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _zigzag(number: int) -> bytes:
    """A number that is not negative."""
    return _varint(number << 1)


def _unzigzag(word: bytes) -> int:
    return sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(word)) >> 1
