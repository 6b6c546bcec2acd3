"""SQLite files of a plate whose records claim more than the file has: many share one chain of overflow pages."""

import random
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.support.plates import per_tables, site_tables, write_sqlite

PAGE = 4096
_SMALLEST_LOCAL = (PAGE - 12) * 32 // 255 - 23
_BODY = PAGE - 4
_LEAF, _INTERIOR = 13, 5
_TEXT, _ONE = 13, 9


def shared_chains(path: Path, *, rows: int = 4000, size: int = 8 * 2**20, circle: bool = False) -> Path:
    """Write a plate whose table Per_Cells has rows of nearly `size` bytes, all on the same scattered pages."""
    write_sqlite(path, per_tables(site_tables(3)))
    data = bytearray(path.read_bytes())
    root = _page_of(data, b"Per_Cells")
    first = len(data) // PAGE + 1
    chain = [first, *random.Random(1).sample(range(first + 1, first + size // PAGE), size // PAGE - 1)]
    following = [*chain[1:], chain[0] if circle else 0]
    pages = {page: struct.pack(">I", link) + b"x" * _BODY for page, link in zip(chain, following, strict=True)}
    cells = [_cell(rowid, _SMALLEST_LOCAL + _BODY * len(chain), first) for rowid in range(1, rows + 1)]
    per_leaf = (PAGE - 8) // (len(cells[-1]) + 2)
    leaves = [cells[begin : begin + per_leaf] for begin in range(0, rows, per_leaf)]
    numbers = range(first + len(chain), first + len(chain) + len(leaves))
    pages |= {page: _page(_LEAF, leaf) for page, leaf in zip(numbers, leaves, strict=True)}
    last_rows = [per_leaf * (nth + 1) for nth in range(len(leaves) - 1)]
    links = [struct.pack(">I", page) + _varint(row) for page, row in zip(numbers, last_rows, strict=False)]
    data[(root - 1) * PAGE : root * PAGE] = _page(_INTERIOR, links, struct.pack(">I", numbers[-1]))
    for page in sorted(pages):
        data += pages[page]
    data[28:32] = struct.pack(">I", len(data) // PAGE)
    path.write_bytes(data)
    return path


def _page_of(data: bytes, table: bytes) -> int:
    """Return the root page of a table: the byte behind its name, twice, in the schema."""
    return data[data.index(table + table) + 2 * len(table)]


def _cell(rowid: int, size: int, overflow: int) -> bytes:
    """Return a row of two numbers 1, a text of the rest and a number 1, that continues on an overflow page."""
    # The header has its own size and four types, the third of which takes four bytes.
    header = bytes([8, _ONE, _ONE, *_varint(_TEXT + 2 * (size - 8)), _ONE])
    assert len(header) == 8
    return _varint(size) + _varint(rowid) + header.ljust(_SMALLEST_LOCAL, b"x") + struct.pack(">I", overflow)


def _page(kind: int, cells: Sequence[bytes], right: bytes = b"") -> bytes:
    content, offsets = bytearray(PAGE), []
    end = PAGE
    for cell in cells:
        end -= len(cell)
        content[end : end + len(cell)] = cell
        offsets.append(end)
    head = struct.pack(">BHHHB", kind, 0, len(cells), end, 0) + right + _shorts(offsets)
    content[: len(head)] = head
    return bytes(content)


def _shorts(numbers: Iterable[int]) -> bytes:
    return b"".join(struct.pack(">H", number) for number in numbers)


def _varint(number: int) -> bytes:
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(0x80 | number & 0x7F)
    return bytes(reversed(groups))
