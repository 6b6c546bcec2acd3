"""The only writer of Parquet: row groups of a bounded size, fixed encodings, the same bytes for the same rows.

What was written is read back here too, by column or row group.
"""

import hashlib
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from cytobatch.engine.executor import Executor
from cytobatch.output.parquet_footer import MAGIC, ColumnChunks, FooterTemplate, RowGroupExtent, row_group
from cytobatch.output.row_groups import RowGroup, Rows, StackedRows
from cytobatch.output.written_file import WrittenFile

_ZSTD_LEVEL = 3
_GROUP_BYTES, _LARGEST_GROUP_BYTES = 128 * 2**20, 512 * 2**20
_MOST_GROUPS = 64
_SMALL_GROUP_ROWS = 2**20
_SOURCE_BYTES_OF_A_BYTE = 2
_BLOCKS, _FEWEST_COLUMNS = 32, 16
# What a footer says of thousands of columns is much the same for each: it waits for the file's end in a tenth.
_WAITING_LEVEL = 1


def row_group_rows(columns: int, source_bytes: int) -> int:
    """Rows of a row group of so many columns, for a plate of so many bytes at the source: 128 MiB of doubles.

    Every reader must read some 100 bytes for each column of each group first: a plate of 400,000 cells with 6,000
    columns gets larger groups, so that there are about 64 of them.
    """
    wanted = source_bytes // (_SOURCE_BYTES_OF_A_BYTE * _MOST_GROUPS)
    size = min(max(wanted, _GROUP_BYTES), _LARGEST_GROUP_BYTES)
    return max(1, min(2**20, size // (8 * max(1, columns))))


def row_groups(coming: Iterable[Rows], rows: int) -> Iterator[RowGroup]:
    """The same rows in groups of so many, each for one row group; only the last has fewer."""
    waiting: list[Rows] = []
    for some in coming:
        # What has no row may still hold much.
        if some.num_rows:
            waiting.append(some)
        # Whoever waits for the next rows holds none that are written, which are half of a run's memory.
        del some
        while sum(piece.num_rows for piece in waiting) >= rows:
            together = StackedRows(waiting)
            waiting = [together.slice(rows)] if together.num_rows > rows else []
            yield together.slice(0, rows)
            del together
    if waiting:
        yield StackedRows(waiting)


def _encodings(schema: pa.Schema) -> dict[str, object]:
    """Dictionary for text, byte stream split for floats: measured smaller and faster than the defaults on features."""
    text = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    keys = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return {
        "compression": "zstd",
        "compression_level": _ZSTD_LEVEL,
        "use_dictionary": _which(text, schema),
        "use_byte_stream_split": _which(floats, schema),
        "write_statistics": _which(keys, schema),
    }


def _which(names: list[str], schema: pa.Schema) -> list[str] | bool:
    """Some columns by name, but all and none as such: pyarrow takes half as long with them."""
    return len(names) == len(schema) or names or False


def _ends(schema: pa.Schema, *, store_schema: bool = True) -> FooterTemplate:
    """What is around the row groups in the footer of a file with these columns."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema, store_schema=store_schema).close()
    return FooterTemplate.of(bytes(sink.getvalue()))


def _leaves(name: str, kind: pa.DataType) -> Iterator[tuple[bytes, ...]]:
    """The paths of the columns of Parquet that hold a column's values: several for what a user's SQL may put together.

    https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#nested-types
    """
    if pa.types.is_struct(kind):
        inner = [path for field in kind for path in _leaves(field.name, field.type)]
    elif pa.types.is_map(kind):
        inner = [
            (b"key_value", *path)
            for part, own in (("key", kind.key_type), ("value", kind.item_type))
            for path in _leaves(part, own)
        ]
    elif pa.types.is_nested(kind):
        inner = [(b"list", *path) for path in _leaves("element", kind.value_type)]
    else:
        inner = [()]
    yield from ((name.encode(), *path) for path in inner)


class _Block:
    """Neighbouring columns of a schema, which one writer writes. What they need is made by who writes them first."""

    def __init__(self, schema: pa.Schema, columns: range) -> None:
        self._of = schema
        self._columns = columns

    @cached_property
    def _schema(self) -> pa.Schema:
        return pa.schema([self._of.field(number) for number in self._columns])

    @cached_property
    def _encodings(self) -> dict[str, object]:
        return _encodings(self._schema)

    @cached_property
    def _paths(self) -> tuple[tuple[bytes, ...], ...]:
        return tuple(path for field in self._schema for path in _leaves(field.name, field.type))

    @cached_property
    def _ends(self) -> FooterTemplate:
        return _ends(self._schema, store_schema=False)

    def written(self, group: RowGroup) -> ColumnChunks:
        """The columns of a row group, put together and encoded."""
        sink, told = pa.BufferOutputStream(), list[pq.FileMetaData]()
        own = group.select(self._columns)
        with pq.ParquetWriter(
            sink, self._schema, store_schema=False, metadata_collector=told, **self._encodings
        ) as writer:
            writer.write_table(own, row_group_size=own.num_rows)
        uncompressed = told[0].row_group(0).total_byte_size
        return ColumnChunks.of(memoryview(sink.getvalue()), self._ends, self._paths, own.num_rows, uncompressed)


class Encoder:
    """Encodes row groups of one schema, in blocks of columns: as many at once as there are workers.

    The bytes do not depend on how many there are, nor on the blocks.
    """

    def __init__(self, schema: pa.Schema, executor: Executor) -> None:
        self.schema = schema
        size = max(_FEWEST_COLUMNS, -(-len(schema) // _BLOCKS))
        columns = range(len(schema))
        self._blocks = [_Block(schema, columns[start : start + size]) for start in columns[::size]]
        self.submit_next = executor.submit_next

    def chunks(self, group: RowGroup) -> Iterator[ColumnChunks]:
        """The columns' chunks of a row group, in order."""
        coming = deque(self.submit_next(partial(block.written, group)) for block in self._blocks)
        while coming:
            yield coming.popleft()()


class ParquetFile:
    """Writes tables of one schema to one file, each as a row group. A context manager.

    Left by an error it removes the file; left in peace it closes it, and `written` tells what it holds.
    """

    def __init__(self, path: Path, encoder: Encoder, metadata: Mapping[str, str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._encoder = encoder
        self._schema = encoder.schema.with_metadata(dict(metadata))
        self._file = path.open("wb", buffering=0)
        self._at = 0
        self._digest = hashlib.sha256()
        self._groups: list[bytes] = []
        # Of thousands of columns this takes a while, in which others may work.
        self._ends = encoder.submit_next(partial(_ends, self._schema))
        self._rows = 0
        self._append(MAGIC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                self._finish()
        if error is not None:
            self.path.unlink(missing_ok=True)

    def write(self, group: RowGroup) -> None:
        """Adds a row group, which must have rows."""
        begin, said, columns, uncompressed = self._at, list[bytes](), 0, 0
        for chunks in self._encoder.chunks(group):
            said.append(chunks.moved(self._at))
            self._append(chunks.pages)
            columns += chunks.columns
            uncompressed += chunks.uncompressed
        extent = RowGroupExtent(group.num_rows, begin, self._at - begin, uncompressed)
        self._groups.append(zlib.compress(row_group(columns, said, extent), _WAITING_LEVEL))
        self._rows += group.num_rows

    def _append(self, content: memoryview | bytes) -> None:
        """Adds bytes to the file, of which one write may take but a part."""
        self._digest.update(content)
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]
        self._at += len(content)

    def _finish(self) -> None:
        self._append(self._ends().footer(self._rows, [zlib.decompress(group) for group in self._groups]))

    def written(self) -> WrittenFile:
        """The finished file."""
        return WrittenFile(self.path, self._rows, len(self._schema), self._at, self._digest.hexdigest())


def write_small_table(path: Path, table: pa.Table) -> WrittenFile:
    """Writes a table that is in memory, in one thread and in row groups of a million rows."""
    with Executor(1) as alone, ParquetFile(path, Encoder(table.schema, alone), {}) as file:
        for group in row_groups([table], _SMALL_GROUP_ROWS):
            file.write(group)
    return file.written()


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
