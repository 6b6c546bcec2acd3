"""A large CSV file read piece by piece, the pieces side by side: Arrow parses a stream in one thread."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from cytobatch.engine.buffers import Use, own_room
from cytobatch.engine.duckdb import MixedTypesError
from cytobatch.engine.executor import Task, Workers
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.header import CsvShape
from cytobatch.readers.inputs import OddTextError

_PIECE = 8 * 2**20


def stream_pieces(
    path: Path, shape: CsvShape, schema: pa.Schema, workers: Workers, piece: int = _PIECE
) -> Iterator[pa.RecordBatch]:
    """Streams the columns of `schema`, typed by it.

    Raises MixedTypesError, at its end at the latest, where `csv.stream` must begin anew: it finds out what is odd.
    """
    tasks = (
        Task(partial(_table, path, begin, end, shape, schema), end - begin)
        for begin, end in _spans(path, shape.header_lines, piece)
    )
    for table in workers.ahead(tasks, (2 * workers.count + 1) * piece):
        yield from table.to_batches()


def _table(path: Path, begin: int, end: int, shape: CsvShape, schema: pa.Schema) -> pa.Table:
    lines = memoryview(own_room(Use.TEXT, end - begin))[: end - begin]
    with path.open("rb") as stream:
        stream.seek(begin)
        whole = stream.readinto(lines) == end - begin
    try:
        if whole:
            return csv.read_lines(pa.py_buffer(lines), shape, schema)
    except OddTextError as error:
        raise MixedTypesError("lines that are no plain rows") from error
    raise MixedTypesError("a file that has become shorter")


def _spans(path: Path, header_lines: int, size: int) -> Iterator[tuple[int, int]]:
    """Where the pieces of whole lines of about so many bytes begin and end below a file's header."""
    total = path.stat().st_size
    with path.open("rb") as stream:
        for _ in range(header_lines):
            stream.readline()
        begin = stream.tell()
        while begin < total:
            stream.seek(begin + size - 1)
            stream.readline()
            end = min(stream.tell(), total)
            yield begin, end
            begin = end
