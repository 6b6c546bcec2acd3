"""The footers of Parquet files: column chunks of several writers, joined in one file.

pyarrow's writer works in one thread, and keeps 900 bytes for each column of each row group until its file is closed; a
footer has 100 of them. Here several writers encode the columns of a row group, each to a small file in memory. The
pages of these files are copied unchanged, and their footer entries get new offsets.

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
"""Fields 3 and 4 of a file without rows: the number of rows, and the list of row groups."""

_VARINT = rb"[\x80-\xff]*[\x00-\x7f]"
_AFTER_PATH = re.compile(
    rb"\x15" + _VARINT + rb"(?:\x16" + _VARINT + rb"){3}\x26(" + _VARINT + rb")(?:\x26(" + _VARINT + rb"))?", re.DOTALL
)
"""What follows a column's path: codec, number of values, two sizes, the offset of data pages, that of a dictionary."""


ColumnPath = tuple[bytes, ...]
"""A column's name, and the names of its nested fields down to one that holds values, in UTF-8."""


class UnknownFooterError(Exception):
    """A footer differs from those that pyarrow is known to write, so that its columns cannot be spliced."""


@dataclass(frozen=True, slots=True)
class FooterTemplate:
    """The bytes of a file's footer before and after its number of rows and its row groups."""

    head: bytes
    tail: bytes

    @classmethod
    def from_empty_file(cls, content: bytes) -> "FooterTemplate":
        """Return the template of a file without rows. Raises UnknownFooterError."""
        # From the end: the key-value metadata there are texts without NUL, which cannot contain these bytes.
        head, separator, tail = _footer(memoryview(content)).tobytes().rpartition(_NO_ROWS_NO_GROUPS)
        if not separator:
            raise UnknownFooterError("a file without rows has no empty list of row groups")
        return cls(head, tail)

    def encode(self, rows: int, groups: Sequence[bytes]) -> bytes:
        """Return the end of a file: a footer of `rows` rows in these row groups, its length, and the magic."""
        footer = b"".join((self.head, b"\x16", _zigzag(rows), b"\x19", _list(len(groups), _STRUCT), *groups, self.tail))
        return footer + len(footer).to_bytes(_LENGTH_BYTES, "little") + MAGIC


@dataclass(frozen=True, slots=True)
class RowGroupExtent:
    """A row group's rows, the offset of its pages in the file, and their bytes as written and uncompressed."""

    rows: int
    offset: int
    size: int
    uncompressed: int

    def encode(self) -> bytes:
        """Return fields 2, 3, 5 and 6 of a row group, and its end."""
        fields = (b"\x16", self.uncompressed), (b"\x16", self.rows), (b"\x26", self.offset), (b"\x16", self.size)
        return b"".join(header + _zigzag(number) for header, number in fields) + b"\x00"


@dataclass(frozen=True, slots=True)
class ColumnChunks:
    """The chunks of some columns of one row group: their pages, and their footer entries, cut at each offset.

    `offsets` are those of data pages and dictionaries, counted from the first page. `before` has the bytes before each
    of them, `after` those behind the last. `uncompressed` is in bytes.
    """

    columns: int
    pages: memoryview
    before: tuple[bytes, ...]
    offsets: tuple[int, ...]
    after: bytes
    uncompressed: int

    @classmethod
    def from_file(
        cls,
        content: memoryview,
        template: FooterTemplate,
        paths: Sequence[ColumnPath],
        extents: Sequence[RowGroupExtent],
    ) -> "list[ColumnChunks]":
        """Return the chunks of each row group of a file.

        Parameters
        ----------
        content
            The file, `uint8, (bytes,)`. The pages are a view of it.
        template
            The footer template of a file with the same columns.
        paths
            The columns that hold values, in order.
        extents
            The row groups of the file.

        Raises
        ------
        UnknownFooterError
            If the footer does not have the known form.
        """
        footer = _footer(content).tobytes()
        begin = b"\x19" + _list(len(paths), _STRUCT)
        rows = b"\x16" + _zigzag(sum(extent.rows for extent in extents))
        start = _skip(footer, 0, template.head + rows + b"\x19" + _list(len(extents), _STRUCT))
        groups: list[ColumnChunks] = []
        for number, extent in enumerate(extents, 1):
            start = _skip(footer, start, begin)
            pages = content[extent.offset : extent.offset + extent.size]
            before, offsets, start = _cut(footer, paths, start, extent)
            # What follows makes it improbable that a column's statistics contain the same bytes.
            end = extent.encode() + (begin if number < len(extents) else template.tail)
            stop = footer.find(end, start)
            if stop < 0:
                raise UnknownFooterError("a row group has other bytes behind its columns")
            after = footer[start:stop]
            groups.append(cls(len(paths), pages, before, offsets, after, extent.uncompressed))
            start = stop + len(extent.encode())
        if footer[start:] != template.tail:
            raise UnknownFooterError("a footer has other bytes behind its row groups")
        return groups

    def entries_at(self, offset: int) -> bytes:
        """Return the footer entries of the chunks in a file that has their first page at `offset`."""
        moved = (_zigzag(offset + own) for own in self.offsets)
        parts = [part for pair in zip(self.before, moved, strict=True) for part in pair]
        return b"".join((*parts, self.after))


def encode_row_group(columns: int, entries: Sequence[bytes], extent: RowGroupExtent) -> bytes:
    """Return the footer entry of a row group of `columns` columns, whose own entries are given in order."""
    return b"".join((b"\x19", _list(columns, _STRUCT), *entries, extent.encode()))


def _skip(footer: bytes, start: int, expected: bytes) -> int:
    """Return the position behind bytes that must be in the footer at `start`."""
    if not footer.startswith(expected, start):
        raise UnknownFooterError("a file has other bytes around the columns of its row groups")
    return start + len(expected)


def _cut(
    footer: bytes, paths: Sequence[ColumnPath], start: int, extent: RowGroupExtent
) -> tuple[tuple[bytes, ...], tuple[int, ...], int]:
    """Cut the footer entries of a row group at each offset, from `start` on.

    Returns the bytes before each offset, the offsets within the row group's pages, and the position behind the last.
    """
    before, offsets = [], []
    for match in _match_columns(footer, paths, start):
        for group in (1, 2):
            if match[group] is not None:
                before.append(footer[start : match.start(group)])
                offsets.append(_unzigzag(match[group]) - extent.offset)
                start = match.end(group)
    if not all(0 <= offset < extent.size for offset in offsets):
        raise UnknownFooterError("a column's pages are outside its row group")
    return tuple(before), tuple(offsets), start


def _match_columns(footer: bytes, paths: Sequence[ColumnPath], start: int) -> list[re.Match[bytes]]:
    """Match each column's offsets, in order. A path has its length in front, so that no other text matches."""
    matches = []
    for path in paths:
        encoded = b"\x19" + _list(len(path), _BINARY) + b"".join(_varint(len(name)) + name for name in path)
        position = footer.find(encoded, start)
        match = _AFTER_PATH.match(footer, position + len(encoded)) if position >= 0 else None
        if match is None:
            raise UnknownFooterError(f"column {b'.'.join(path).decode()!r} has no entry of the known form")
        matches.append(match)
        start = match.end()
    return matches


def pages_end(content: memoryview) -> int:
    """Return the offset behind the last page of a file, which is that of its footer."""
    length = int.from_bytes(content[len(content) - _END_BYTES : len(content) - len(MAGIC)], "little")
    return len(content) - _END_BYTES - length


def _footer(content: memoryview) -> memoryview:
    return content[pages_end(content) : len(content) - _END_BYTES]


def _list(count: int, kind: int) -> bytes:
    """Return the header of a list of `count` elements of one Thrift type."""
    return bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + _varint(count)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _zigzag(number: int) -> bytes:
    """Encode a number that is not negative."""
    return _varint(number << 1)


def _unzigzag(encoded: bytes) -> int:
    return sum((byte & 0x7F) << (7 * position) for position, byte in enumerate(encoded)) >> 1
