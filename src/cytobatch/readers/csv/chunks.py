"""A large CSV file read in chunks side by side: Arrow parses a stream in one thread."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from cytobatch.engine.buffers import BufferKind, thread_buffer
from cytobatch.engine.executor import Executor, Task
from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.header import CsvShape, invalid_file

_CHUNK_BYTES = 8 * 2**20
_LONGEST_LINE = 64 * 2**20
"""Bytes of the longest line that is read: a row of 2,000 measurements has 40 KB."""


def stream_chunks(
    path: Path, shape: CsvShape, schema: pa.Schema, executor: Executor, chunk_bytes: int = _CHUNK_BYTES
) -> Iterator[pa.RecordBatch]:
    """Stream columns of a CSV file that is read in chunks of whole lines.

    Parameters
    ----------
    path
        The file.
    shape
        How its lines are read.
    schema
        The columns and their types.
    executor
        Parses chunks side by side.
    chunk_bytes
        Bytes of a chunk, up to the next end of a line.

    Yields
    ------
    Batches under the schema, in the order of the file.

    Raises
    ------
    FastPathUnavailable
        If `csv.stream` must read the file from its beginning, which repairs the value or reports the defect. It can be
        raised after batches were yielded, at the end at the latest.
    InvalidTableError
        If a line is longer than 64 MiB.
    """
    tasks = (
        Task(partial(_read_chunk, path, begin, end, shape, schema), end - begin)
        for begin, end in _chunk_offsets(path, shape.header_lines, chunk_bytes)
    )
    for table in executor.map_ordered(tasks, (2 * executor.count + 1) * chunk_bytes):
        yield from table.to_batches()


def _read_chunk(path: Path, begin: int, end: int, shape: CsvShape, schema: pa.Schema) -> pa.Table:
    """Read the lines between two offsets of a file. Raises FastPathUnavailable as `stream_chunks` does."""
    lines = memoryview(thread_buffer(BufferKind.TEXT, end - begin))[: end - begin]
    with path.open("rb") as stream:
        stream.seek(begin)
        is_whole = stream.readinto(lines) == end - begin
    if not is_whole:
        raise FastPathUnavailable("the file became shorter while it was read")
    return csv.read_lines(pa.py_buffer(lines), shape, schema)


def _chunk_offsets(path: Path, header_lines: int, chunk_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield where chunks of whole lines begin and end below the header of a file."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        for _ in range(header_lines):
            stream.readline()
        begin = stream.tell()
        while begin < size:
            stream.seek(begin + chunk_bytes - 1)
            line = stream.readline(_LONGEST_LINE)
            if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                raise invalid_file(path, "a line that is too long", f"it has more than {_LONGEST_LINE // 2**20} MiB")
            end = min(stream.tell(), size)
            yield begin, end
            begin = end
