"""A SQLite table streamed from its pages, in pieces that are decoded side by side."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from cytobatch import sql
from cytobatch.engine import MixedTypesError
from cytobatch.readers.btree import Geometry, Numbers, OddFileError, TableFile
from cytobatch.readers.meanings import Meanings
from cytobatch.readers.records import Wanted, columns_of
from cytobatch.readers.values import Repair
from cytobatch.workers import Task, Workers

_PIECE = 16 * 2**20
_KINDS = (pa.int64(), pa.float64(), pa.string())


@dataclass(frozen=True, slots=True)
class _Table:
    """Where a table is in its file, and which of its columns are wanted."""

    path: Path
    root: int
    wanted: Wanted


def stream_pages(
    path: Path, table: str, schema: pa.Schema, workers: Workers, repairs: list[Repair], piece: int = _PIECE
) -> Iterator[pa.RecordBatch]:
    """Streams the columns of `schema`, typed by it; what was no plain value of its column is told in `repairs`.

    Raises MixedTypesError, at its end at the latest, where SQLite must read the table: it finds out what is odd.
    Raises UnsoundTableError where a key is no integer.
    """
    try:
        found = _described(path, table, schema)
        with path.open("rb", buffering=0) as stream:
            file = TableFile(stream, found.root)
            leaves = file.leaves()
            some = leaves[[0, len(leaves) // 2, -1]]
            each = max(file.geometry.page, *(int(file.records(leaf).sizes.sum()) for leaf in some[:, None]))
    except OddFileError as error:
        raise MixedTypesError(str(error)) from error
    count = max(1, piece // each)
    tasks = (
        Task(partial(_piece, found, file.geometry, leaves[begin : begin + count]), piece)
        for begin in range(0, len(leaves), count)
    )
    meanings = Meanings(path.name)
    for batch, met in workers.ahead(tasks, (2 * workers.count + 1) * piece):
        meanings.add(met)
        yield batch
    repairs.extend(meanings.repairs)


def _piece(table: _Table, geometry: Geometry, leaves: Numbers) -> tuple[pa.RecordBatch, list[Repair]]:
    meanings = Meanings(table.path.name)
    try:
        with table.path.open("rb", buffering=0) as stream:
            file = TableFile(stream, table.root)
            if file.geometry != geometry:
                raise MixedTypesError("a file that was changed meanwhile")
            return columns_of(file.records(leaves), table.wanted, meanings), meanings.repairs
    except OddFileError as error:
        raise MixedTypesError(str(error)) from error


def _described(path: Path, table: str, schema: pa.Schema) -> _Table:
    """A table as the file declares it. Raises OddFileError where its records would not be what SQLite reads."""
    if not all(kind in _KINDS for kind in schema.types):
        raise OddFileError("columns of other types")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            roots = connection.execute(sql.sqlite_root(table)).fetchall()
            columns = connection.execute(sql.sqlite_columns(table)).fetchall()
    except sqlite3.DatabaseError as error:
        raise OddFileError("a file that SQLite does not read") from error
    keys = [kind for _, kind, key, _ in columns if key]
    # A whole key is not stored in its column, nor is a column that is computed.
    if len(roots) != 1 or [kind.upper() for kind in keys] == ["INTEGER"] or any(hidden for *_, hidden in columns):
        raise OddFileError("no plain table")
    places = {name: place for place, (name, *_) in enumerate(columns)}
    if not places.keys() >= set(schema.names):
        raise OddFileError("columns of other names")
    wanted = Wanted(tuple(places[name] for name in schema.names), len(columns), schema)
    return _Table(path, roots[0][0], wanted)
