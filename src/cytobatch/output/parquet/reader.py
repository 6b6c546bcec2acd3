"""Reads back the Parquet files that were written, by column or by row group."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cytobatch.config.options import PARQUET
from cytobatch.errors import StorageError
from cytobatch.output.written_file import WrittenFile

_MOST_KEPT_BYTES = 2**22
"""The largest footer that is kept in memory. There it takes several times as many bytes as in its file."""


@dataclass(frozen=True, slots=True)
class _Footer:
    """The footer of a file as it was at one moment."""

    path: Path
    status: tuple[int, int, int]
    metadata: pq.FileMetaData


class _LastFooter:
    """The footer that was read last: one of thousands of columns takes as long to read as all that is read by it."""

    def __init__(self) -> None:
        self._footer: _Footer | None = None

    def of(self, path: Path) -> pq.FileMetaData:
        """Return a file's footer. Raises pyarrow.ArrowException, OSError."""
        found = path.stat()
        status, last = (found.st_ino, found.st_size, found.st_mtime_ns), self._footer
        if last is not None and (last.path, last.status) == (path, status):
            return last.metadata
        metadata = pq.read_metadata(path)
        self._footer = _Footer(path, status, metadata) if metadata.serialized_size <= _MOST_KEPT_BYTES else None
        return metadata


_last_footer = _LastFooter()


def read_columns(paths: Sequence[Path], names: Sequence[str]) -> pa.Table:
    """Return some columns of files of one schema, in the order of `names`, with the files' rows one after the other."""
    return pa.concat_tables(_opened(path).read(columns=list(names)).select(list(names)) for path in paths)


def read_encoded(paths: Sequence[Path], names: Sequence[str]) -> pa.RecordBatch:
    """Return some columns as dictionaries, each one array, with the files' rows one after the other."""
    files = (_opened(path, read_dictionary=list(names)) for path in paths)
    table = pa.concat_tables(file.read(columns=list(names)).select(list(names)) for file in files)
    # Only text is read as dictionaries.
    encoded = [column.dictionary_encode().unify_dictionaries().combine_chunks() for column in table.columns]
    return pa.record_batch(encoded, names=list(names))


def _opened(path: Path, read_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
    return pq.ParquetFile(path, metadata=_last_footer.of(path), read_dictionary=list(read_dictionary))


def read_bytes(content: bytes) -> pa.Table:
    """Return the table of a Parquet file from its bytes. Raises pyarrow.ArrowException and OSError."""
    return pq.ParquetFile(pa.BufferReader(content)).read()


def read_row_groups(path: Path) -> Iterator[pa.Table]:
    """Yield a file's row groups in order, each read when it is asked for."""
    file = pq.ParquetFile(path)
    for number in range(file.num_row_groups):
        yield file.read_row_group(number)


def open_file(source: Path | BinaryIO) -> pq.ParquetFile:
    """Open a file, to read its footer and some row groups. Raises pyarrow.ArrowException, OSError.

    Of a file whose reads are requests, neighbouring columns are read at once.
    """
    return pq.ParquetFile(source, pre_buffer=not isinstance(source, Path))


def read_rows(file: pq.ParquetFile, names: Sequence[str], key: str = "", values: Collection[str] = ()) -> pa.Table:
    """Return some columns of a file, in the order of `names`; with a key, of the rows that have one of the values.

    Other columns of a row group without such rows are not read.
    """
    if not key:
        return _columns(file, range(file.num_row_groups), names)
    wanted = pa.array(sorted(values), pa.string())
    rest = [name for name in names if name != key]
    tables = []
    for number in range(file.num_row_groups):
        keys = _columns(file, [number], [key])
        mask = pc.is_in(keys[key].cast(pa.string()), value_set=wanted)
        if pc.any(mask).as_py():
            table = _columns(file, [number], rest).append_column(keys.schema.field(key), keys[key])
            tables.append(table.select(list(names)).filter(mask))
    return pa.concat_tables(tables) if tables else _columns(file, [], names)


def first_rows(file: pq.ParquetFile, names: Sequence[str], rows: int) -> pa.Table:
    """Return some columns of the first rows of a file. Of later row groups nothing is read."""
    batch = next(file.iter_batches(batch_size=rows, columns=list(names)), None)
    found = file.schema_arrow.empty_table() if batch is None else pa.Table.from_batches([batch])
    return found.select(list(names))


def _columns(file: pq.ParquetFile, groups: Sequence[int], names: Sequence[str]) -> pa.Table:
    # Arrow reads `x.y` with `x`, too.
    return file.read_row_groups(list(groups), columns=list(names)).select(list(names))


def read_schema(path: Path) -> pa.Schema:
    """Return a file's schema."""
    return pq.read_schema(path)


def check_footer(written: WrittenFile) -> None:
    """Read the footer of a finished Parquet file by Arrow, and compare its rows and columns. Other files pass.

    A footer that Arrow has read since the file was written last is not read again. Raises StorageError if it cannot be
    read, or has others: the footers of large profiles are not Arrow's work.
    """
    if written.path.suffix != PARQUET:
        return
    try:
        metadata = _last_footer.of(written.path)
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
