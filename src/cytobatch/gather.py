"""The columns of a joined profile, and its rows: gathered from the wide tables by the places that a join found."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch import sql
from cytobatch.columns import METADATA, TABLE_NUMBER, distinct_names, order_key, profile_name, under_metadata
from cytobatch.jobspec import ColumnNaming
from cytobatch.join import Unit, row_numbers
from cytobatch.links import JoinPlan
from cytobatch.survey import Survey, TableSchema

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
    places = survey.images.places.schema
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


def take(table: pa.Table, rows: pa.ChunkedArray) -> pa.Table:
    """The rows of a table by index, nulls for null. Only the span of rows that is asked for is touched."""
    span = pc.min_max(rows).as_py()
    if span["min"] is None:
        return pa.table([pa.nulls(len(rows), field.type) for field in table.schema], schema=table.schema)
    first, length = span["min"], span["max"] - span["min"] + 1
    part = table.slice(first, length)
    if length == len(rows) and not rows.null_count:
        in_order = pa.chunked_array([row_numbers(length, first)])
        if rows.equals(in_order):
            return part
    return part.take(pc.subtract(rows, first))


def side_by_side(tables: Sequence[pa.Table]) -> pa.Table:
    """The columns of tables of as many rows, and some, one table after the other, under names of no meaning.

    As fields of structs they are handled by Arrow: thousands take Python longer than their values take.
    """
    structs = (pa.chunked_array([batch.to_struct_array() for batch in table.to_batches()]) for table in tables)
    return pa.table({str(number): struct for number, struct in enumerate(structs)}).flatten()


class Gatherer:
    """Makes profile tables from row indices. `numbers` are the TableNumbers of exports by index.

    Where each of the thousands of columns is from, and where it goes, is worked out once.
    """

    def __init__(self, survey: Survey, columns: Sequence[ProfileColumn], numbers: Mapping[int, int]) -> None:
        self._survey = survey
        self._numbers = numbers
        self._names = [column.name for column in columns]
        by_table: dict[str, list[ProfileColumn]] = defaultdict(list)
        for column in columns:
            by_table[column.table].append(column)
        self._own = {name: [column.column for column in own] for name, own in by_table.items()}
        self._indices = {
            name: [survey.schemas[name].schema.get_field_index(column) for column in own]
            for name, own in self._own.items()
            if name in survey.schemas
        }
        # Where each column stands when the tables' columns stand one after the other; no two have one name.
        gathered = itertools.chain.from_iterable(by_table.values())
        places = {column.name: place for place, column in enumerate(gathered)}
        self._order = [places[name] for name in self._names]

    def gather(self, unit: Unit, rows: pa.Table) -> pa.Table:
        """The profile of these of a unit's rows, of which there must be some."""
        beside = self._beside(rows)
        parts = [
            take(unit.tables[name].select(self._indices[name]), rows[name])
            if name in unit.tables
            else beside[name].select(columns)
            for name, columns in self._own.items()
        ]
        return side_by_side(parts).select(self._order).rename_columns(self._names)

    def _beside(self, rows: pa.Table) -> dict[str, pa.Table]:
        """What comes with a row from its image set and its export."""
        images = self._survey.images
        has_images = sql.IMAGE_ROW in rows.column_names
        image = rows[sql.IMAGE_ROW] if has_images else pa.nulls(rows.num_rows, pa.int64())
        places = pc.coalesce(image, pc.add(rows[sql.EXPORT], images.table.num_rows))
        numbers = pa.array([self._numbers.get(export) for export in rows[sql.EXPORT].to_pylist()], pa.int64())
        return {
            Origin.IMAGE: take(images.table, pa.chunked_array([image]) if isinstance(image, pa.Array) else image),
            Origin.PLACE: images.places.take(places),
            Origin.TABLE_NUMBER: pa.table({TABLE_NUMBER: numbers}),
        }
