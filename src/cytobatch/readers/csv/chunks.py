"""A large CSV file read piece by piece, the pieces side by side: Arrow parses a stream in one thread."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from cytobatch.engine.buffers import BufferKind, thread_buffer
from cytobatch.engine.executor import Executor, Task
from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.header import CsvShape

_PIECE = 8 * 2**20


def stream_chunks(
    path: Path, shape: CsvShape, schema: pa.Schema, executor: Executor, piece: int = _PIECE
) -> Iterator[pa.RecordBatch]:
    """Streams the columns of `schema`, typed by it.

    Raises FastPathUnavailable, at its end at the latest, where `csv.stream` must begin anew: it finds out what is odd.
    """
    tasks = (
        Task(partial(_table, path, begin, end, shape, schema), end - begin)
        for begin, end in _spans(path, shape.header_lines, piece)
    )
    for table in executor.map_ordered(tasks, (2 * executor.count + 1) * piece):
        yield from table.to_batches()


def _table(path: Path, begin: int, end: int, shape: CsvShape, schema: pa.Schema) -> pa.Table:
    lines = memoryview(thread_buffer(BufferKind.TEXT, end - begin))[: end - begin]
    with path.open("rb") as stream:
        stream.seek(begin)
        whole = stream.readinto(lines) == end - begin
    try:
        if whole:
            return csv.read_lines(pa.py_buffer(lines), shape, schema)
    except FastPathUnavailable as error:
        raise FastPathUnavailable("lines that are no plain rows") from error
    raise FastPathUnavailable("a file that has become shorter")


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
