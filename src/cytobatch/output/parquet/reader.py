"""Reads back the Parquet files that were written, by column or by row group."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def read_columns(paths: Sequence[Path], names: Sequence[str]) -> pa.Table:
    """Return some columns of files of one schema, in the order of `names`, with the files' rows one after the other."""
    return pa.concat_tables(pq.ParquetFile(path).read(columns=list(names)).select(list(names)) for path in paths)


def read_bytes(content: bytes) -> pa.Table:
    """Return the table of a Parquet file from its bytes. Raises pyarrow.ArrowException and OSError."""
    return pq.ParquetFile(pa.BufferReader(content)).read()


def read_row_groups(path: Path) -> Iterator[pa.Table]:
    """Yield a file's row groups in order, each read when it is asked for."""
    file = pq.ParquetFile(path)
    for number in range(file.num_row_groups):
        yield file.read_row_group(number)


def open_file(path: Path) -> pq.ParquetFile:
    """Open a file, to read its footer and some row groups. Raises pyarrow.ArrowException, OSError."""
    return pq.ParquetFile(path)


def read_schema(path: Path) -> pa.Schema:
    """Return a file's schema."""
    return pq.read_schema(path)
