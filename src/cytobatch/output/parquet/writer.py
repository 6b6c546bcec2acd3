"""The only writer of Parquet: row groups of a bounded size, fixed encodings, the same bytes for the same rows."""

import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from cytobatch.output.file_content import Checksums, FileContent
from cytobatch.output.parquet.encoder import Encoder, footer_template, row_group_extents, writer_options
from cytobatch.output.parquet.footer import (
    MAGIC,
    ColumnChunks,
    FooterTemplate,
    RowGroupExtent,
    UnknownFooterError,
    encode_row_group,
)
from cytobatch.output.parquet.reader import read_row_groups
from cytobatch.output.row_groups import MAX_GROUP_ROWS, RowGroup, as_table, regroup
from cytobatch.output.written_file import ITSELF, WrittenFile

# The footer entries of thousands of columns are alike: compressed until the file's end, they take a tenth.
_ENTRIES_ZLIB_LEVEL = 1


class SplicedParquet:
    """A Parquet file as a stream of bytes, to which column chunks are copied that an encoder has made."""

    def __init__(self, stream: BinaryIO, encoder: Encoder, schema: pa.Schema) -> None:
        self._stream = stream
        self._encoder = encoder
        self._checksums = Checksums()
        self._groups: list[bytes] = []
        # With thousands of columns the template takes a while, in which other threads may work.
        self._pending_template = encoder.executor.submit_next(partial(footer_template, schema))
        self.rows = self.size = 0
        self._append(MAGIC)

    def content(self) -> FileContent:
        """Describe what was written."""
        return self._checksums.content()

    def write(self, group: RowGroup) -> None:
        """Append a row group.

        Raises UnknownFooterError if it cannot be spliced; then the stream ends with the row group before it.
        """
        # A file without a template could not be finished, so this comes before any row.
        self._template()
        self._append_group(group.num_rows, self._encoder.encode(group))

    def append(self, path: Path) -> None:
        """Append the row groups of a spliced file with the same columns and metadata, whose pages stay as they are.

        Raises UnknownFooterError if the file has another footer; then none of its row groups is appended.
        """
        with pa.memory_map(str(path)) as mapped:
            content = memoryview(mapped.read_buffer())
            extents = row_group_extents(content, pq.read_metadata(path))
            groups = ColumnChunks.from_file(content, self._template(), self._encoder.paths, extents)
            for extent, chunks in zip(extents, groups, strict=True):
                self._append_group(extent.rows, [chunks])

    def _append_group(self, rows: int, encoded: Iterable[ColumnChunks]) -> None:
        """Append the chunks of a row group of `rows` rows. Raises UnknownFooterError."""
        start, entries, columns, uncompressed = self.size, list[bytes](), 0, 0
        try:
            for chunks in encoded:
                entries.append(chunks.entries_at(self.size))
                self._append(chunks.pages)
                columns += chunks.columns
                uncompressed += chunks.uncompressed
        except UnknownFooterError:
            self._truncate(start)
            raise
        extent = RowGroupExtent(rows, start, self.size - start, uncompressed)
        self._groups.append(zlib.compress(encode_row_group(columns, entries, extent), _ENTRIES_ZLIB_LEVEL))
        self.rows += rows

    def finish(self) -> None:
        """Append the footer. Raises UnknownFooterError if there was no row group and the footer cannot be spliced."""
        self._append(self._template().encode(self.rows, [zlib.decompress(group) for group in self._groups]))

    def _template(self) -> FooterTemplate:
        return self._pending_template()

    def _append(self, content: memoryview | bytes) -> None:
        """Append bytes to the stream, which may take only a part of them at a time."""
        self._checksums.update(content)
        rest = memoryview(content)
        while rest:
            rest = rest[self._stream.write(rest) :]
        self.size += len(content)

    def _truncate(self, size: int) -> None:
        """Cut the stream. `content` is invalid from then on."""
        self._stream.seek(size)
        self._stream.truncate()
        self.size = size


class PlainParquet:
    """A Parquet file that one `pq.ParquetWriter` writes, in one thread, with the same encodings and row groups."""

    def __init__(self, target: Path | BinaryIO, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(target, schema, **writer_options(schema))
        self.rows = 0

    def write(self, group: RowGroup) -> None:
        """Append a row group, of which all columns are in memory at once."""
        table = as_table(group)
        self._writer.write_table(table, row_group_size=table.num_rows)
        self.rows += table.num_rows

    def append(self, path: Path) -> None:
        """Append the row groups of a file with the same columns, which are encoded again."""
        for group in read_row_groups(path):
            self.write(group)
            del group

    def finish(self) -> None:
        """Append the footer."""
        self._writer.close()


class ParquetFileWriter:
    """Writes row groups of one schema to a Parquet file. A context manager.

    If its context ends by an error, the file is removed; else it is finished, and `written` describes it.

    With `splice`, several threads encode blocks of columns. If pyarrow turns out to write an unknown footer, the writer
    calls `on_unknown_footer`, copies the row groups that are complete to a new file by one plain writer, and continues
    with that one. The rows are the same, and no half-written file is left.
    """

    def __init__(
        self,
        path: Path,
        encoder: Encoder,
        metadata: Mapping[str, str],
        *,
        splice: bool = True,
        on_unknown_footer: Callable[[UnknownFooterError], None] | None = None,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._schema = encoder.schema.with_metadata(dict(metadata))
        self._on_unknown_footer = on_unknown_footer
        self._stream: BinaryIO | None = None
        self._writer: SplicedParquet | PlainParquet
        if splice:
            self._stream = path.open("wb", buffering=0)
            self._writer = SplicedParquet(self._stream, encoder, self._schema)
        else:
            self._writer = PlainParquet(path, self._schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        complete = False
        try:
            # A plain writer is finished in any case, because pyarrow would do it later, to a file that is removed.
            if error is None or isinstance(self._writer, PlainParquet):
                self._or_plain(lambda writer: writer.finish())
            complete = error is None
        finally:
            self._close()
            if not complete:
                self.path.unlink(missing_ok=True)

    def write(self, group: RowGroup) -> None:
        """Append a row group, which must have rows."""
        self._or_plain(lambda writer: writer.write(group))

    def append(self, path: Path) -> None:
        """Append the row groups of a file that such a writer has written with the same columns and metadata."""
        self._or_plain(lambda writer: writer.append(path))

    def _or_plain(self, step: Callable[[SplicedParquet | PlainParquet], None]) -> None:
        """Take a step, again by a plain writer if the footer is unknown."""
        try:
            step(self._writer)
        except UnknownFooterError as error:
            if self._on_unknown_footer is not None:
                self._on_unknown_footer(error)
        else:
            return
        self._fall_back()
        step(self._writer)

    def _fall_back(self) -> None:
        """Replace the spliced file by a plain one, with the row groups that are complete."""
        complete = self.path.with_name(f"{self.path.name}.spliced")
        groups: Iterable[RowGroup] = ()
        if isinstance(self._writer, SplicedParquet) and self._writer.rows:
            self._writer.finish()
            groups = read_row_groups(complete)
        self._close()
        self.path.rename(complete)
        try:
            self._writer = PlainParquet(self.path, self._schema)
            for group in groups:
                self._writer.write(group)
                del group
        finally:
            complete.unlink()

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def written(self) -> WrittenFile:
        """Describe the finished file."""
        rows, columns = self._writer.rows, len(self._schema)
        if isinstance(self._writer, SplicedParquet):
            return WrittenFile(self.path, rows, columns, {ITSELF: self._writer.content()})
        return WrittenFile.measure(self.path, rows, columns)


def write_small_table(path: Path, table: pa.Table) -> WrittenFile:
    """Write a table that is in memory by one thread, in row groups of a million rows."""
    writer = PlainParquet(path, table.schema.with_metadata({}))
    try:
        for group in regroup([table], MAX_GROUP_ROWS):
            writer.write(group)
    finally:
        writer.finish()
    return WrittenFile.measure(path, writer.rows, len(table.schema))
