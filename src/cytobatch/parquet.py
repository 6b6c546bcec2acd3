"""The only writer of Parquet: row groups of a bounded size, fixed encodings, the same bytes for the same rows."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

_ZSTD_LEVEL = 3


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One Parquet file on disk."""

    path: Path
    rows: int
    columns: int
    bytes: int
    sha256: str


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
        self._row_group_rows = row_group_rows
        self._waiting: list[pa.Table] = []
        self._rows_waiting = 0
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._writer.close()
            self.path.unlink(missing_ok=True)
            return
        if self._rows_waiting:
            self._flush(self._rows_waiting)
        self._writer.close()

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

    def written(self) -> WrittenFile:
        """The finished file."""
        with self.path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return WrittenFile(self.path, self._rows, len(self.schema), self.path.stat().st_size, digest)
