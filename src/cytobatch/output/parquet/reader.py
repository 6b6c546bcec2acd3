"""Reads back the Parquet files that were written, by column or by row group."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cytobatch.config.options import PARQUET
from cytobatch.errors import StorageError
from cytobatch.output.written_file import WrittenFile


def read_columns(paths: Sequence[Path], names: Sequence[str]) -> pa.Table:
    """Return some columns of files of one schema, in the order of `names`, with the files' rows one after the other."""
    return pa.concat_tables(pq.ParquetFile(path).read(columns=list(names)).select(list(names)) for path in paths)


def read_encoded(paths: Sequence[Path], names: Sequence[str]) -> pa.RecordBatch:
    """Return some columns as dictionaries, each one array, with the files' rows one after the other."""
    files = (pq.ParquetFile(path, read_dictionary=list(names)) for path in paths)
    table = pa.concat_tables(file.read(columns=list(names)).select(list(names)) for file in files)
    # Only text is read as dictionaries.
    encoded = [column.dictionary_encode().unify_dictionaries().combine_chunks() for column in table.columns]
    return pa.record_batch(encoded, names=list(names))


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


def check_footer(written: WrittenFile) -> None:
    """Read the footer of a finished Parquet file by Arrow, and compare its rows and columns. Other files pass.

    Raises StorageError if it cannot be read, or has others: the footers of large profiles are not Arrow's work.
    """
    if written.path.suffix != PARQUET:
        return
    try:
        metadata = pq.read_metadata(written.path)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(written, f"its footer cannot be read: {error}") from error
    # A footer counts the leaves of nested columns, and its schema takes longer to read.
    columns = metadata.num_columns
    if columns != written.columns:
        columns = len(metadata.schema.to_arrow_schema())
    if (metadata.num_rows, columns) != (written.rows, written.columns):
        found, expected = f"{metadata.num_rows} rows x {columns} columns", f"{written.rows} x {written.columns}"
        raise _damaged(written, f"its footer has {found}, and {expected} were written")


def _damaged(written: WrittenFile, why: str) -> StorageError:
    return StorageError(
        "an output is damaged on the scratch disk",
        where=str(written.path),
        why=why,
        remedy="check the scratch disk, and that no other program writes there; nothing was published",
    )
