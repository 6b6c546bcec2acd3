"""Encodes the columns of row groups in blocks, by the threads of an executor."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property, partial

import pyarrow as pa
import pyarrow.parquet as pq

from cytobatch.engine.executor import Executor
from cytobatch.output.parquet.footer import (
    MAGIC,
    ColumnChunks,
    ColumnPath,
    FooterTemplate,
    RowGroupExtent,
    UnknownFooterError,
    pages_end,
)
from cytobatch.output.row_groups import RowGroup

_ZSTD_LEVEL = 3
_BLOCKS, _MIN_COLUMNS = 32, 16
# Long texts that are encoded already stay so; beyond the limit Parquet writes each of their values anew.
_MAX_DICTIONARY = 2**30


def writer_options(schema: pa.Schema) -> dict[str, object]:
    """Return the options of `pq.ParquetWriter` for a schema.

    Dictionary encoding for text and byte stream split for floats, which were measured smaller and faster on features
    than the defaults. Floats have no statistics.
    """
    text = [field.name for field in schema if _is_text(field.type)]
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    keys = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return {
        "compression": "zstd",
        "compression_level": _ZSTD_LEVEL,
        "use_dictionary": _selection(text, schema),
        "use_byte_stream_split": _selection(floats, schema),
        "write_statistics": _selection(keys, schema),
        **({"dictionary_pagesize_limit": _MAX_DICTIONARY} if any(map(pa.types.is_dictionary, schema.types)) else {}),
    }


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _selection(names: list[str], schema: pa.Schema) -> list[str] | bool:
    """Return some columns by name, but all as True and an empty list as False: pyarrow takes half as long with them."""
    return len(names) == len(schema) or names or False


def footer_template(schema: pa.Schema, *, store_schema: bool = True) -> FooterTemplate:
    """Return the footer template of a file with this schema. Raises UnknownFooterError."""
    stream = pa.BufferOutputStream()
    pq.ParquetWriter(stream, schema, store_schema=store_schema).close()
    return FooterTemplate.from_empty_file(bytes(stream.getvalue()))


def _column_paths(name: str, kind: pa.DataType) -> Iterator[ColumnPath]:
    """Yield the paths of the Parquet columns that hold a column's values: several for nested types of a user's SQL.

    https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#nested-types
    """
    if pa.types.is_struct(kind):
        inner = [path for field in kind for path in _column_paths(field.name, field.type)]
    elif pa.types.is_map(kind):
        inner = [
            (b"key_value", *path)
            for part, part_type in (("key", kind.key_type), ("value", kind.item_type))
            for path in _column_paths(part, part_type)
        ]
    elif pa.types.is_nested(kind):
        inner = [(b"list", *path) for path in _column_paths("element", kind.value_type)]
    else:
        inner = [()]
    yield from ((name.encode(), *path) for path in inner)


def value_paths(schema: pa.Schema) -> tuple[ColumnPath, ...]:
    """Return the paths of the Parquet columns that hold the values of a schema, in order."""
    return tuple(path for field in schema for path in _column_paths(field.name, field.type))


def row_group_extents(content: memoryview, metadata: pq.FileMetaData) -> list[RowGroupExtent]:
    """Return the extents of the row groups of a file, whose pages fill it from its beginning to its footer."""
    extents: list[RowGroupExtent] = []
    offset, end = len(MAGIC), pages_end(content)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        # Thousands of columns are not asked for their sizes where it is known.
        is_last = number == metadata.num_row_groups - 1
        sizes = () if is_last else (group.column(column).total_compressed_size for column in range(group.num_columns))
        size = end - offset if is_last else sum(sizes)
        extents.append(RowGroupExtent(group.num_rows, offset, size, group.total_byte_size))
        offset += size
    return extents


class _ColumnBlock:
    """Neighbouring columns of a schema, which one writer encodes.

    The first thread that encodes them derives their schema, options, paths and template.
    """

    def __init__(self, schema: pa.Schema, columns: range) -> None:
        self._whole = schema
        self._columns = columns

    @cached_property
    def _schema(self) -> pa.Schema:
        return pa.schema([self._whole.field(number) for number in self._columns])

    @cached_property
    def _options(self) -> dict[str, object]:
        return writer_options(self._schema)

    @cached_property
    def _paths(self) -> tuple[ColumnPath, ...]:
        return value_paths(self._schema)

    @cached_property
    def _template(self) -> FooterTemplate:
        return footer_template(self._schema, store_schema=False)

    def encode(self, group: RowGroup) -> ColumnChunks:
        """Assemble and encode the block's columns of a row group. Raises UnknownFooterError."""
        stream, metadata = pa.BufferOutputStream(), list[pq.FileMetaData]()
        table = group.select(self._columns)
        with pq.ParquetWriter(
            stream, self._schema, store_schema=False, metadata_collector=metadata, **self._options
        ) as writer:
            writer.write_table(table, row_group_size=table.num_rows)
        content = memoryview(stream.getvalue())
        (chunks,) = ColumnChunks.from_file(
            content, self._template, self._paths, row_group_extents(content, metadata[0])
        )
        return chunks


class Encoder:
    """Encodes row groups of one schema, for any number of files.

    The executor's threads encode blocks of columns. The bytes depend neither on the number of threads nor on the
    blocks.
    """

    def __init__(self, schema: pa.Schema, executor: Executor) -> None:
        self.schema = schema
        self.executor = executor
        size = max(_MIN_COLUMNS, -(-len(schema) // _BLOCKS))
        columns = range(len(schema))
        self._blocks = [_ColumnBlock(schema, columns[start : start + size]) for start in columns[::size]]

    @cached_property
    def paths(self) -> tuple[ColumnPath, ...]:
        """The Parquet columns that hold the values of all columns."""
        return value_paths(self.schema)

    def encode(self, group: RowGroup) -> Iterator[ColumnChunks]:
        """Yield the column chunks of a row group, in order. Raises UnknownFooterError."""
        pending = deque(self.executor.submit_next(partial(block.encode, group)) for block in self._blocks)
        try:
            while pending:
                yield pending.popleft()()
        except UnknownFooterError:
            _discard(pending)
            raise


def _discard(pending: deque[Callable[[], ColumnChunks]]) -> None:
    """Wait for blocks whose chunks are not needed, because a block that runs later would keep its row group."""
    while pending:
        with suppress(UnknownFooterError):
            pending.popleft()()
