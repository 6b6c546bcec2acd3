"""A database without its rows: the declarations of its tables, and about how many rows they have, from a few pages.

Of a database of gigabytes in a bucket this is all that can be known without fetching it.
"""

import sqlite3
from contextlib import closing, suppress
from io import RawIOBase
from pathlib import Path

import numpy as np
import pyarrow as pa

from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.sqlite.affinity import ValueCoercer
from cytobatch.readers.sqlite.native.arrays import Int64Array
from cytobatch.readers.sqlite.native.btree import TableTree
from cytobatch.readers.sqlite.native.records import ColumnSelection, decode_columns

_ROOT = 1
"""The root page of the table that lists the others. https://www.sqlite.org/schematab.html"""
_SCHEMA = pa.schema(
    [("type", pa.string()), ("name", pa.string()), ("table", pa.string()), ("root", pa.int64()), ("sql", pa.string())]
)
_LEAF = 13
_MOST_LEAVES, _MOST_DEPTH, _MOST_TABLES = 64, 20, 200
_MOST_DECLARATIONS = 16 * 2**20
"""Characters of all declarations."""
_INTERNAL = "sqlite_"
_ALLOWED = frozenset(
    {
        *(sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_CREATE_INDEX),
        *(sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_READ, sqlite3.SQLITE_TRANSACTION),
    }
)
"""What the declaration of a table does. A stranger's text may be any other statement."""


class _EdgeTree(TableTree):
    """A table of which only a few leaves are read: each page may be a request."""

    def few_leaves(self) -> Int64Array:
        """Return the leaves of a small table: page numbers, int64, (leaves,). Raises FastPathUnavailable."""
        if self.root_type == _LEAF:
            return np.array([self._root], np.int64)
        leaves = self._children(self._root)
        if len(leaves) > _MOST_LEAVES or self._page(int(leaves[0]))[0] != _LEAF:
            raise FastPathUnavailable("the database has too many tables")
        return leaves

    def last_rowid(self) -> int:
        """Return the highest row id, 0 of an empty table. Raises FastPathUnavailable for pages of another kind."""
        number = self._root
        for _ in range(_MOST_DEPTH):
            if self._page(number)[0] == _LEAF:
                rowids = self.records(np.array([number], np.int64)).rowids
                return int(rowids[-1]) if len(rowids) else 0
            number = int(self._children(number)[-1])
        raise FastPathUnavailable("the b-tree of the table is too deep")


def write_outline(stream: RawIOBase, path: Path) -> dict[str, int]:
    """Write a database that has the tables and views of another, and no rows.

    Parameters
    ----------
    stream
        The other database, of which a few pages are read.
    path
        The new file.

    Returns
    -------
    The highest row id of each table by its name, which is its number of rows if none was ever deleted. A table without
    row ids is left out.

    Raises
    ------
    FastPathUnavailable
        If the pages alone are not the content of the file, or are not as they are in nearly all files.
    """
    tree = _EdgeTree(stream, _ROOT)
    records = tree.records(tree.few_leaves())
    listed = decode_columns(
        records, ColumnSelection(range(len(_SCHEMA)), len(_SCHEMA), _SCHEMA), ValueCoercer(path.name)
    )
    entries = [entry for entry in listed.to_pylist() if entry["sql"] and not entry["name"].startswith(_INTERNAL)]
    if len(entries) > _MOST_TABLES or sum(len(entry["sql"]) for entry in entries) > _MOST_DECLARATIONS:
        raise FastPathUnavailable("the database has too many tables, or too long declarations")
    kinds = ("table", "view")
    _write(path, [entry["sql"] for kind in kinds for entry in entries if entry["type"] == kind])
    rows = {}
    for entry in entries:
        # A table without row ids has pages of another kind.
        with suppress(FastPathUnavailable):
            if entry["type"] == "table" and entry["root"]:
                rows[entry["name"]] = _EdgeTree(stream, entry["root"], tree.geometry).last_rowid()
    return rows


def _write(path: Path, declarations: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        # It is read by this process alone: one transaction, and no wait for the disk.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        connection.set_authorizer(_authorize)
        try:
            for text in declarations:
                connection.execute(text)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise FastPathUnavailable(f"a declaration is none of a table: {error}") from error


def _authorize(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
