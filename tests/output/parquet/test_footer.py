from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.output.parquet.footer import (
    MAGIC,
    ColumnChunks,
    FooterTemplate,
    RowGroupExtent,
    UnknownFooterError,
    encode_row_group,
    pages_end,
)

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=150)
VALUES = st.one_of(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=1, max_size=3).map(
        lambda v: pa.array(v, pa.float64())
    ),
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=3).map(
        lambda v: pa.array(v, pa.int64())
    ),
    st.lists(st.one_of(st.none(), st.text(max_size=20)), min_size=1, max_size=3).map(
        lambda v: pa.array(v, pa.string())
    ),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=1, max_size=3).map(lambda v: pa.array(v, pa.bool_())),
)


def file_of(table: pa.Table) -> tuple[memoryview, int]:
    """A file of one row group, and its uncompressed bytes."""
    stream, metadata = pa.BufferOutputStream(), list[pq.FileMetaData]()
    with pq.ParquetWriter(stream, table.schema, store_schema=False, metadata_collector=metadata) as writer:
        writer.write_table(table)
    return memoryview(stream.getvalue()), metadata[0].row_group(0).total_byte_size


def template_of(schema: pa.Schema, *, store_schema: bool = False) -> FooterTemplate:
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema, store_schema=store_schema).close()
    return FooterTemplate.from_empty_file(sink.getvalue().to_pybytes())


def chunks_of(table: pa.Table) -> ColumnChunks:
    file, uncompressed = file_of(table)
    names = [(name.encode(),) for name in table.column_names]
    (chunks,) = ColumnChunks.from_file(file, template_of(table.schema), names, [extent_of(file, table, uncompressed)])
    return chunks


def extent_of(file: memoryview, table: pa.Table, uncompressed: int) -> RowGroupExtent:
    return RowGroupExtent(table.num_rows, len(MAGIC), pages_end(file) - len(MAGIC), uncompressed)


def spliced(groups: Sequence[pa.Table], blocks: Sequence[Sequence[str]]) -> bytes:
    """A file of these row groups, each block of columns from a writer of its own."""
    content, groups_encoded, schema = bytearray(MAGIC), [], groups[0].schema
    for group in groups:
        begin, moved, uncompressed = len(content), [], 0
        for names in blocks:
            chunks = chunks_of(group.select(list(names)))
            moved.append(chunks.entries_at(len(content)))
            content += chunks.pages
            uncompressed += chunks.uncompressed
        extent = RowGroupExtent(group.num_rows, begin, len(content) - begin, uncompressed)
        groups_encoded.append(encode_row_group(len(schema), moved, extent))
    rows = sum(group.num_rows for group in groups)
    return bytes(content) + template_of(schema, store_schema=True).encode(rows, groups_encoded)


def table_of(columns: dict[str, pa.Array]) -> pa.Table:
    """Columns of the same length, the shorter repeated."""
    longest = max(map(len, columns.values()))
    return pa.table({name: pa.concat_arrays([c] * longest).slice(0, longest) for name, c in columns.items()})


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=20), st.integers(1, 3))
def test_columns_of_several_writers_read_as_what_was_written(columns: dict[str, pa.Array], groups: int) -> None:
    table = table_of(columns)
    content = spliced([table] * groups, [[name] for name in table.column_names])
    read = pq.read_table(pa.BufferReader(content))
    assert read.equals(pa.concat_tables([table] * groups))
    assert read.schema == table.schema


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
def test_columns_of_one_writer_give_the_bytes_of_its_own_file(columns: dict[str, pa.Array]) -> None:
    table = table_of(columns)
    plain = pa.BufferOutputStream()
    pq.write_table(table, plain)
    assert spliced([table], [table.column_names]) == plain.getvalue().to_pybytes()


def test_statistics_and_offsets_are_those_of_the_whole_file() -> None:
    table = pa.table({"a": [3, 1], "b": ["x", None], "c": [0.5, 1.5]})
    plain = pa.BufferOutputStream()
    pq.write_table(table, plain)
    expected = pq.ParquetFile(pa.BufferReader(plain.getvalue())).metadata.to_dict()
    found = pq.ParquetFile(pa.BufferReader(spliced([table], ["a", "b", "c"]))).metadata.to_dict()
    assert found == expected


def test_a_missing_column_raises() -> None:
    table = pa.table({"a": [1]})
    file, uncompressed = file_of(table)
    with pytest.raises(UnknownFooterError):
        ColumnChunks.from_file(file, template_of(table.schema), [(b"b",)], [extent_of(file, table, uncompressed)])


def test_another_number_of_rows_raises() -> None:
    table = pa.table({"a": [1]})
    file, uncompressed = file_of(table)
    with pytest.raises(UnknownFooterError):
        extent = replace(extent_of(file, table, uncompressed), rows=2)
        ColumnChunks.from_file(file, template_of(table.schema), [(b"a",)], [extent])


def test_a_file_with_rows_has_no_template() -> None:
    with pytest.raises(UnknownFooterError):
        FooterTemplate.from_empty_file(bytes(file_of(pa.table({"a": [1]}))[0]))
