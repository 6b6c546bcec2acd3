"""Assemble profile columns lazily: take rows of the wide tables by the row indices that a join gives."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.conversion.export_batch import ExportBatch
from cytobatch.conversion.key_join import row_numbers
from cytobatch.conversion.profile_columns import Origin, ProfileColumn
from cytobatch.conversion.row_lists import child_counts, is_row_list, list_lengths, list_means
from cytobatch.engine import sql
from cytobatch.planning.columns import TABLE_NUMBER
from cytobatch.survey.model import Survey


@dataclass(frozen=True, slots=True)
class _RowSpan:
    """The span of rows that row indices lie in: `length` rows from `first` on.

    `offsets` are the indices within the span, `int64, (rows,)`, null for a row of nulls; None if they are all rows of
    the span in their order.
    """

    first: int
    length: int
    offsets: pa.ChunkedArray | None

    @classmethod
    def of(cls, indices: pa.ChunkedArray) -> "_RowSpan":
        """Return the span of row indices, `int64, (rows,)` with nulls."""
        span = pc.min_max(indices).as_py()
        if span["min"] is None:
            return cls(0, 0, indices)
        first, length = span["min"], span["max"] - span["min"] + 1
        has_all_rows = length == len(indices) and not indices.null_count
        if has_all_rows and indices.equals(pa.chunked_array([row_numbers(length, first)])):
            return cls(first, length, None)
        return cls(first, length, pc.subtract(indices, first))

    def take(self, table: pa.Table) -> pa.Table:
        """Return these rows of a table. Only the rows of the span are read."""
        if self.offsets is None:
            return table.slice(self.first, self.length)
        if not self.length:
            nulls = [pa.nulls(len(self.offsets), data_type) for data_type in table.schema.types]
            return pa.table(nulls, schema=table.schema)
        return table.slice(self.first, self.length).take(self.offsets)


def take_rows(table: pa.Table, indices: pa.ChunkedArray) -> pa.Table:
    """Return rows of a table by index. Only the span of rows between the lowest and the highest index is read.

    Parameters
    ----------
    table
        Any table.
    indices
        Row indices, null for a row of nulls: `int64, (rows,)`.

    Returns
    -------
    pa.Table
        The same columns, `(rows,)`.
    """
    return _RowSpan.of(indices).take(table)


class RowIndices:
    """The row indices of profile rows in each table. The span of each table's indices is computed once.

    `rows` has the columns of `JoinedRows.rows`. Where these are lists, a profile row has the means of their rows.
    """

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        self._spans: dict[str, _RowSpan] = {}

    def take(self, name: str, table: pa.Table) -> pa.Table:
        """Return the rows of the table of that name, a row for each profile row."""
        indices = self.rows[name]
        is_list = is_row_list(indices)
        span = self._spans.get(name)
        if span is None:
            # Several threads may compute it at once, with the same result.
            span = self._spans[name] = _RowSpan.of(pc.list_flatten(indices) if is_list else indices)
        rows = span.take(table)
        return list_means(rows, list_lengths(indices)) if is_list else rows


def concat_columns(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the columns of all tables in one table, under names without a meaning.

    Arrow handles them as fields of structs, because a loop in Python over thousands of columns takes longer than the
    copy of their values.

    Parameters
    ----------
    tables
        Tables of `rows` rows each, at least one. Their chunks may differ, and names may repeat.

    Returns
    -------
    pa.Table
        All columns, `(rows,)`, in the order of the tables.
    """
    structs = (pa.chunked_array([batch.to_struct_array() for batch in table.to_batches()]) for table in tables)
    return pa.table({str(number): struct for number, struct in enumerate(structs)}).flatten()


@dataclass(frozen=True, slots=True)
class _ColumnOrder:
    """The sources of some profile columns, and their order.

    `sources` has by table (or `Origin`) the numbers or names of the columns that are taken from it. `order` has for
    each profile column its number among all columns taken, `names` its name.
    """

    sources: Mapping[str, Sequence[int] | Sequence[str]]
    order: Sequence[int]
    names: Sequence[str]


class ProfileAssembler:
    """Assembles columns of the profile from row indices.

    `table_numbers` has the TableNumber of each export by its index. The source and position of thousands of columns are
    computed once for each selection of columns.
    """

    def __init__(self, survey: Survey, columns: Sequence[ProfileColumn], table_numbers: Mapping[int, int]) -> None:
        self._survey = survey
        self._columns = columns
        self._table_numbers = table_numbers
        self._anchors = survey.join.anchors if survey.join else {}
        self._orders: dict[tuple[int, ...], _ColumnOrder] = {}
        self.schema = pa.schema([(column.name, column.data_type) for column in columns])

    def assemble(self, batch: ExportBatch, indices: RowIndices, numbers: Sequence[int]) -> pa.Table:
        """Return some columns of a batch's profile rows.

        Parameters
        ----------
        batch
            The tables from which columns are taken.
        indices
            The rows of these tables that make the profile rows.
        numbers
            The numbers of the columns in the profile.

        Returns
        -------
        pa.Table
            The columns under their profile names, in the order of `numbers`, `(profile rows,)`.
        """
        order = self._column_order(numbers)
        taken = [
            indices.take(name, batch.tables[name].select(columns))
            if name in batch.tables
            else self._take_origin(Origin(name), indices.rows).select(columns)
            for name, columns in order.sources.items()
        ]
        return concat_columns(taken).select(order.order).rename_columns(order.names)

    def _column_order(self, numbers: Sequence[int]) -> _ColumnOrder:
        key = tuple(numbers)
        if key not in self._orders:
            self._orders[key] = self._order_of([self._columns[number] for number in key])
        return self._orders[key]

    def _order_of(self, columns: Sequence[ProfileColumn]) -> _ColumnOrder:
        by_table: dict[str, list[ProfileColumn]] = defaultdict(list)
        for column in columns:
            by_table[column.table].append(column)
        schemas = self._survey.schemas
        sources = {
            name: [schemas[name].schema.get_field_index(column.column) for column in own]
            if name in schemas
            else [column.column for column in own]
            for name, own in by_table.items()
        }
        # Names of the profile are distinct, so that a name identifies a taken column.
        taken = itertools.chain.from_iterable(by_table.values())
        positions = {column.name: number for number, column in enumerate(taken)}
        names = [column.name for column in columns]
        return _ColumnOrder(sources, [positions[name] for name in names], names)

    def _take_origin(self, origin: Origin, rows: pa.Table) -> pa.Table:
        """Return the columns of one origin for joined rows, a row for each."""
        images = self._survey.images
        has_images = sql.IMAGE_ROW in rows.column_names
        image = rows[sql.IMAGE_ROW] if has_images else pa.chunked_array([pa.nulls(rows.num_rows, pa.int64())])
        match origin:
            case Origin.IMAGE:
                return take_rows(images.table, image)
            case Origin.LOCATION:
                return images.locations.take(pc.coalesce(image, pc.add(rows[sql.EXPORT_INDEX], images.table.num_rows)))
            case Origin.TABLE_NUMBER:
                numbers = [self._table_numbers.get(export) for export in rows[sql.EXPORT_INDEX].to_pylist()]
                return pa.table({TABLE_NUMBER: pa.array(numbers, pa.int64())})
            case Origin.CHILDREN:
                return pa.table(
                    {name: child_counts(rows[name], rows[anchor]) for name, anchor in self._anchors.items()}
                )


class LazyProfileRows:
    """Profile rows of a batch, whose columns are assembled when they are selected."""

    def __init__(self, assembler: ProfileAssembler, batch: ExportBatch, rows: pa.Table) -> None:
        self._assembler = assembler
        self._batch = batch
        self._indices = RowIndices(rows)

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return int(self._indices.rows.num_rows)

    @property
    def schema(self) -> pa.Schema:
        """The profile's schema."""
        return self._assembler.schema

    def slice(self, offset: int, length: int | None = None) -> "LazyProfileRows":
        """Return `length` rows from `offset` on, or all."""
        return LazyProfileRows(self._assembler, self._batch, self._indices.rows.slice(offset, length))

    def select(self, numbers: Sequence[int]) -> pa.Table:
        """Assemble some columns, by their numbers."""
        return self._assembler.assemble(self._batch, self._indices, numbers)
