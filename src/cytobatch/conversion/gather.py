"""The columns of a joined profile, and its rows: gathered from the wide tables by the places that a join found."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.option_types import ColumnNaming
from cytobatch.conversion.key_join import ExportBatch, row_numbers
from cytobatch.engine import sql
from cytobatch.planning.columns import METADATA, TABLE_NUMBER, distinct_names, order_key, profile_name, under_metadata
from cytobatch.planning.joins import JoinPlan
from cytobatch.survey.model import Survey, TableSchema

PROFILE_TABLE_NUMBER = f"{METADATA}{TABLE_NUMBER}"


class Origin(StrEnum):
    """Where a profile column comes from, if not from a compartment."""

    IMAGE = "image set"
    PLACE = "plate, well and site"
    TABLE_NUMBER = "number of the export"


@dataclass(frozen=True, slots=True)
class ProfileColumn:
    """One column of the profile: its name and type, and the table and column that it is taken from.

    `feature` says whether it measures objects.
    """

    name: str
    kind: pa.DataType
    table: str
    column: str
    feature: bool = False


def profile_columns(survey: Survey, plan: JoinPlan, *, number_exports: bool) -> tuple[ProfileColumn, ...]:
    """The profile's columns in order, keys first.

    Names are CytoTable's, but that those which measure nothing go under Metadata_ if the job wants that; a repeated one
    is numbered as DuckDB does.
    """
    found: list[ProfileColumn] = []
    if number_exports:
        found.append(ProfileColumn(PROFILE_TABLE_NUMBER, pa.int64(), Origin.TABLE_NUMBER, TABLE_NUMBER))
    places = survey.images.locations.schema
    found += [ProfileColumn(field.name, field.type, Origin.PLACE, field.name) for field in places]
    taken = {column.name for column in found}
    images = survey.images.table.schema
    found += [
        ProfileColumn(name, images.field(name).type, Origin.IMAGE, name)
        for name in survey.images.columns
        if name not in taken
    ]
    for name in plan.compartments:
        found += [
            column
            for column in _compartment_columns(survey, survey.schemas[name])
            if column.name not in taken and (name == plan.base or column.name not in survey.preset.dropped_keys)
        ]
    names = distinct_names(column.name for column in found)
    pairs = zip(names, found, strict=True)
    named = (column if column.name == name else replace(column, name=name) for name, column in pairs)
    return tuple(sorted(named, key=lambda column: order_key(column.name)))


def _compartment_columns(survey: Survey, table: TableSchema) -> list[ProfileColumn]:
    names = source_names(survey, table, survey.plan.job.naming)
    return [ProfileColumn(names[f.name], f.type, table.name, f.name, f.name in table.features) for f in table.schema]


def source_names(survey: Survey, table: TableSchema, naming: ColumnNaming) -> dict[str, str]:
    """The profile's name for each column of a table, by its name at the source."""
    preset = survey.preset
    names = {
        name: profile_name(name, table.label, preset.identifying_columns, preset.metadata)
        for name in table.schema.names
    }
    # An image table has no features; what it measures is under Image_.
    if naming is ColumnNaming.CYTOTABLE or table.keys is None:
        return names
    return {name: named if name in table.features else under_metadata(named) for name, named in names.items()}


@dataclass(frozen=True, slots=True)
class _Span:
    """Rows of a table: so many from the first on, or those of them that `within` tells, nulls for null."""

    first: int
    length: int
    within: pa.ChunkedArray | None

    @classmethod
    def of(cls, rows: pa.ChunkedArray) -> "_Span":
        """The span that row indices lie in."""
        span = pc.min_max(rows).as_py()
        if span["min"] is None:
            return cls(0, 0, rows)
        first, length = span["min"], span["max"] - span["min"] + 1
        if length == len(rows) and not rows.null_count and rows.equals(pa.chunked_array([row_numbers(length, first)])):
            return cls(first, length, None)
        return cls(first, length, pc.subtract(rows, first))

    def taken(self, table: pa.Table) -> pa.Table:
        """These rows of a table. Only the span is touched."""
        if self.within is None:
            return table.slice(self.first, self.length)
        if not self.length:
            return pa.table([pa.nulls(len(self.within), kind) for kind in table.schema.types], schema=table.schema)
        return table.slice(self.first, self.length).take(self.within)


def take(table: pa.Table, rows: pa.ChunkedArray) -> pa.Table:
    """The rows of a table by index, nulls for null. Only the span of rows that is asked for is touched."""
    return _Span.of(rows).taken(table)


class RowIndices:
    """Where the rows of a profile are in each table, by `rows` of indices; what is found out is found out once."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        self._spans: dict[str, _Span] = {}

    def taken(self, name: str, table: pa.Table) -> pa.Table:
        """The rows of a table of that name."""
        span = self._spans.get(name)
        if span is None:
            # Several threads may find it out at once, and find the same.
            span = self._spans[name] = _Span.of(self.rows[name])
        return span.taken(table)


def side_by_side(tables: Sequence[pa.Table]) -> pa.Table:
    """The columns of tables of as many rows, and some, one table after the other, under names of no meaning.

    As fields of structs they are handled by Arrow: thousands take Python longer than their values take.
    """
    structs = (pa.chunked_array([batch.to_struct_array() for batch in table.to_batches()]) for table in tables)
    return pa.table({str(number): struct for number, struct in enumerate(structs)}).flatten()


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where some columns of the profile come from: from which columns of each table, and in which order."""

    sources: Mapping[str, Sequence[int] | Sequence[str]]
    order: Sequence[int]
    names: Sequence[str]


class ProfileAssembler:
    """Makes columns of the profile from row indices. `numbers` are the TableNumbers of exports by index.

    Where each of thousands of columns is from, and where it goes, is worked out once.
    """

    def __init__(self, survey: Survey, columns: Sequence[ProfileColumn], numbers: Mapping[int, int]) -> None:
        self._survey = survey
        self._columns = columns
        self._numbers = numbers
        self._layouts: dict[tuple[int, ...], _Layout] = {}
        self.schema = pa.schema([(column.name, column.kind) for column in columns])

    def gather(self, batch: ExportBatch, places: RowIndices, numbers: Sequence[int]) -> pa.Table:
        """Some columns, by their place in the profile, of some of a unit's rows."""
        layout = self._layout(numbers)
        slices = [
            places.taken(name, batch.tables[name].select(columns))
            if name in batch.tables
            else self._beside(Origin(name), places.rows).select(columns)
            for name, columns in layout.sources.items()
        ]
        return side_by_side(slices).select(layout.order).rename_columns(layout.names)

    def _layout(self, numbers: Sequence[int]) -> _Layout:
        key = tuple(numbers)
        if key not in self._layouts:
            self._layouts[key] = self._laid_out([self._columns[number] for number in key])
        return self._layouts[key]

    def _laid_out(self, columns: Sequence[ProfileColumn]) -> _Layout:
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
        # Where each column stands when the tables' columns stand one after the other; no two have one name.
        gathered = itertools.chain.from_iterable(by_table.values())
        place = {column.name: number for number, column in enumerate(gathered)}
        names = [column.name for column in columns]
        return _Layout(sources, [place[name] for name in names], names)

    def _beside(self, origin: Origin, rows: pa.Table) -> pa.Table:
        """What comes with a row from its image set and its export."""
        images = self._survey.images
        has_images = sql.IMAGE_ROW in rows.column_names
        image = rows[sql.IMAGE_ROW] if has_images else pa.chunked_array([pa.nulls(rows.num_rows, pa.int64())])
        match origin:
            case Origin.IMAGE:
                return take(images.table, image)
            case Origin.PLACE:
                return images.locations.take(pc.coalesce(image, pc.add(rows[sql.EXPORT], images.table.num_rows)))
            case Origin.TABLE_NUMBER:
                numbers = [self._numbers.get(export) for export in rows[sql.EXPORT].to_pylist()]
                return pa.table({TABLE_NUMBER: pa.array(numbers, pa.int64())})


class LazyProfileRows:
    """Rows of a unit's profile, gathered a few columns at a time when these are wanted."""

    def __init__(self, gatherer: ProfileAssembler, batch: ExportBatch, rows: pa.Table) -> None:
        self._gatherer = gatherer
        self._unit = batch
        self._places = RowIndices(rows)

    @property
    def num_rows(self) -> int:
        """How many there are."""
        return int(self._places.rows.num_rows)

    @property
    def schema(self) -> pa.Schema:
        """The profile's."""
        return self._gatherer.schema

    def slice(self, offset: int, length: int | None = None) -> "LazyProfileRows":
        """Some of them."""
        return LazyProfileRows(self._gatherer, self._unit, self._places.rows.slice(offset, length))

    def select(self, numbers: Sequence[int]) -> pa.Table:
        """Some columns, gathered."""
        return self._gatherer.gather(self._unit, self._places, numbers)
