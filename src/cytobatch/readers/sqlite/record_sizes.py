"""The sizes of a table's records by its leaves, before a reader trusts them.

Each page of a valid file belongs to one record at most, so that all records of a table are no larger than the file. In
a damaged or hostile file many records may share a chain of overflow pages, or a chain may be a circle: SQLite follows
the chain anew for each row, and 8 MiB take days. Only leaves are read here, which is a small part of reading a table.
"""

from dataclasses import dataclass
from pathlib import Path

from cytobatch.errors import FastPathUnavailable, InvalidTableError
from cytobatch.readers.sqlite.guard import LARGEST_RECORD
from cytobatch.readers.sqlite.native.arrays import Int64Array
from cytobatch.readers.sqlite.native.btree import TableTree
from cytobatch.readers.sqlite.native.pages import HEADER_BYTES, Geometry

_LEAVES_AT_ONCE = 1024
_TABLE_ROOTS = (5, 13)
_WRITE_AHEAD = bytes((2, 2))


@dataclass(frozen=True, slots=True)
class RecordSizes:
    """Bytes of the largest record of a table, and of all of those that were looked at."""

    largest: int
    total: int


class RecordSizeCheck:
    """Adds the sizes of records. Raises InvalidTableError once they prove that the file is damaged."""

    def __init__(self, path: Path, table: str, file_bytes: int) -> None:
        self._path, self._table, self._file_bytes = path, table, file_bytes
        self._total = self._largest = 0

    @property
    def sizes(self) -> RecordSizes:
        """The sizes so far."""
        return RecordSizes(self._largest, self._total)

    def add(self, sizes: Int64Array) -> None:
        """Add the bytes of records: int64, (rows,). Raises InvalidTableError."""
        self._total += int(sizes.sum())
        self._largest = max(self._largest, int(sizes.max(initial=0)))
        if self._total > self._file_bytes:
            raise self._error("its rows have more bytes than the file: some share pages, or pages form a circle")
        if self._largest > LARGEST_RECORD:
            raise self._error(f"a row has {self._largest} bytes, and {LARGEST_RECORD} are the most that is read")

    def _error(self, why: str) -> InvalidTableError:
        return InvalidTableError(
            f"SQLite table {self._table!r} cannot be read",
            where=self._path.name,
            why=why,
            remedy="check it with `PRAGMA integrity_check` or copy it again",
        )


def check_record_sizes(path: Path, table: str, root: int, rows: int | None = None) -> RecordSizes | None:
    """Add the sizes of a table's records, or of its first `rows` ones.

    Returns None if the pages of the file do not show them: beside a write-ahead log, and in a table WITHOUT ROWID.

    Raises
    ------
    InvalidTableError
        If the records have more bytes than the file, one is larger than `LARGEST_RECORD`, or pages are damaged.
    """
    with path.open("rb", buffering=0) as stream:
        header = stream.read(HEADER_BYTES)
        log = path.with_name(f"{path.name}-wal")
        if header[18:20] == _WRITE_AHEAD and log.exists() and log.stat().st_size:
            return None
        try:
            geometry = Geometry.of(header, stream.seek(0, 2))
            tree = TableTree(stream, root, geometry)
            if tree.root_type not in _TABLE_ROOTS:
                return None
            return _add_sizes(tree, RecordSizeCheck(path, table, geometry.page_size * geometry.page_count), rows)
        except FastPathUnavailable as error:
            raise InvalidTableError(
                f"SQLite table {table!r} cannot be read",
                where=path.name,
                why=error.reason,
                remedy="check it with `PRAGMA integrity_check` or copy it again",
            ) from error


def _add_sizes(tree: TableTree, check: RecordSizeCheck, rows: int | None) -> RecordSizes:
    leaves, seen = tree.leaves(), 0
    for begin in range(0, len(leaves), _LEAVES_AT_ONCE):
        sizes = tree.record_sizes(leaves[begin : begin + _LEAVES_AT_ONCE])
        check.add(sizes if rows is None else sizes[: max(0, rows - seen)])
        seen += len(sizes)
        if rows is not None and seen >= rows:
            break
    return check.sizes


def rows_at_once(rows: int, sizes: RecordSizes, most_bytes: int) -> int:
    """Return how many of `rows` rows are read at once, so that they have `most_bytes` at most, and one at least."""
    return max(1, min(rows, most_bytes // max(1, sizes.largest)))
