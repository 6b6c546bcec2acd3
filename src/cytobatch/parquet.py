"""The only writer of Parquet: row groups of a bounded size, fixed encodings, the same bytes for the same rows.

What was written is read back here too, by column or row group.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from cytobatch.files import FileDigest, WrittenFile

_ZSTD_LEVEL = 3
_GROUP_BYTES, _LARGEST_GROUP_BYTES = 128 * 2**20, 512 * 2**20
_MOST_GROUPS = 64
_SOURCE_BYTES_OF_A_BYTE = 2


def row_group_rows(columns: int, source_bytes: int) -> int:
    """Rows of a row group of so many columns, for a plate of so many bytes at the source: 128 MiB of doubles.

    The writer keeps some 900 bytes for each column of each group, and every reader must read them first: a plate of
    400,000 cells with 6,000 columns gets larger groups, so that there are about 64 of them.
    """
    wanted = source_bytes // (_SOURCE_BYTES_OF_A_BYTE * _MOST_GROUPS)
    size = min(max(wanted, _GROUP_BYTES), _LARGEST_GROUP_BYTES)
    return max(1, min(2**20, size // (8 * max(1, columns))))


def _encodings(schema: pa.Schema) -> dict[str, object]:
    """Dictionary for text, byte stream split for floats: measured smaller and faster than the defaults on features."""
    text = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    keys = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return {
        "compression": "zstd",
        "compression_level": _ZSTD_LEVEL,
        "use_dictionary": text or False,
        "use_byte_stream_split": floats or False,
        "write_statistics": keys or False,
    }


class ParquetFile:
    """Writes tables of one schema to one file in row groups of `row_group_rows`. A context manager.

    Left by an error it removes the file; left in peace it closes it, and `written` tells what it holds.
    """

    def __init__(self, path: Path, schema: pa.Schema, row_group_rows: int, metadata: Mapping[str, str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.schema = schema.with_metadata(dict(metadata))
        self._writer = pq.ParquetWriter(path, self.schema, **_encodings(schema))
        self._digest = FileDigest(path)
        self._row_group_rows = row_group_rows
        self._waiting: list[pa.Table] = []
        self._rows_waiting = 0
        self._rows = 0
        self._sha256 = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._writer.close()
            self._digest.close()
            self.path.unlink(missing_ok=True)
            return
        if self._rows_waiting:
            self._flush(self._rows_waiting)
        # The footer takes as much again while it is written, and what was read is not needed any more.
        self._waiting = []
        pa.default_memory_pool().release_unused()
        self._writer.close()
        self._sha256 = self._digest.close()

    def write(self, table: pa.Table) -> None:
        """Adds rows; they reach the file as whole row groups."""
        self._waiting.append(table.replace_schema_metadata(self.schema.metadata))
        self._rows_waiting += table.num_rows
        while self._rows_waiting >= self._row_group_rows:
            self._flush(self._row_group_rows)

    def _flush(self, rows: int) -> None:
        waiting = pa.concat_tables(self._waiting)
        self._writer.write_table(waiting.slice(0, rows), row_group_size=rows)
        rest = waiting.slice(rows)
        self._waiting = [rest] if rest.num_rows else []
        self._rows_waiting = rest.num_rows
        self._rows += rows
        self._digest.catch_up()

    def written(self) -> WrittenFile:
        """The finished file."""
        return WrittenFile(self.path, self._rows, len(self.schema), self.path.stat().st_size, self._sha256)


def read_columns(paths: Sequence[Path], names: Sequence[str]) -> pa.Table:
    """Some columns of files of one schema, their rows one after the other."""
    return pa.concat_tables(pq.ParquetFile(path).read(columns=list(names)).select(list(names)) for path in paths)


def read_pieces(path: Path) -> Iterator[pa.Table]:
    """A file's row groups in order."""
    file = pq.ParquetFile(path)
    for number in range(file.num_row_groups):
        yield file.read_row_group(number)


def read_schema(path: Path) -> pa.Schema:
    """A file's columns."""
    return pq.read_schema(path)
