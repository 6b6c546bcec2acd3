"""A large CSV file read piece by piece, the pieces side by side: Arrow parses a stream in one thread."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from cytobatch.engine import MixedTypesError
from cytobatch.readers import csv
from cytobatch.workers import Task, Workers

_PIECE = 8 * 2**20
_NEWLINE = b"\n"


def stream_pieces(
    path: Path, shape: csv.CsvShape, schema: pa.Schema, workers: Workers, piece: int = _PIECE
) -> Iterator[pa.RecordBatch]:
    """Streams the columns of `schema`, typed by it.

    Raises MixedTypesError, at its end at the latest, where `csv.stream` must begin anew: it finds out what is odd.
    """
    tasks = (Task(partial(_table, lines, shape, schema), len(lines)) for lines in _pieces(path, shape, piece))
    for table in workers.ahead(tasks, (workers.count + 1) * piece):
        yield from table.to_batches()


def _table(lines: bytes, shape: csv.CsvShape, schema: pa.Schema) -> pa.Table:
    try:
        return csv.read_lines(pa.py_buffer(lines), shape, schema)
    except csv.OddValuesError as error:
        raise MixedTypesError("lines that are no plain rows") from error


def _pieces(path: Path, shape: csv.CsvShape, size: int) -> Iterator[bytes]:
    """The lines below a file's header in pieces of about so many bytes, each of whole lines."""
    with path.open("rb") as stream:
        for _ in range(shape.header_lines):
            stream.readline()
        while lines := stream.read(size):
            yield lines if lines.endswith(_NEWLINE) else lines + stream.readline()
