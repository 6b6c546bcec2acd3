"""Exports in, profile rows out: keys are joined in DuckDB, the wide columns are then gathered by row.

An object is known by its export, its TableNumber where the source has one, its ImageNumber and its object number.
Every join uses all of these, so that exports which each count their images from 1 are never mixed.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch import sql
from cytobatch.columns import (
    IMAGE_NUMBER,
    METADATA,
    TABLE_NUMBER,
    distinct_names,
    order_key,
    profile_name,
    under_metadata,
)
from cytobatch.engine import Engine, Session
from cytobatch.jobspec import ColumnNaming
from cytobatch.layouts import SourceKind
from cytobatch.links import JoinPlan, LinkKind
from cytobatch.survey import Survey, SurveyedExport, TableSchema

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


@dataclass(frozen=True, slots=True)
class Unit:
    """A bounded piece of work: some exports, and for each compartment their rows together.

    `tables` have the plate's unified schemas; `owners` give the export's index for each row.
    """

    exports: tuple[SurveyedExport, ...]
    tables: Mapping[str, pa.Table]
    owners: Mapping[str, pa.Array]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a table of an export, found while joining."""

    export: int
    table: str
    reason: str


@dataclass(frozen=True, slots=True)
class Loose:
    """Objects that a join left aside, counted: `what` happened to `count` objects of a table of an export."""

    export: int
    table: str
    what: str
    count: int


@dataclass(frozen=True, slots=True)
class JoinedRows:
    """Which rows make the profile: `rows` has one index for each compartment, the image and the export."""

    rows: pa.Table
    faults: tuple[Fault, ...]
    loose: tuple[Loose, ...]


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
    named = (replace(column, name=name) for name, column in zip(names, found, strict=True))
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


def row_numbers(count: int, start: int = 0) -> pa.Array:
    """The numbers from `start` on, as int64."""
    if not count:
        return pa.array([], pa.int64())
    return pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), count), start=pa.scalar(start - 1, pa.int64()))


def key_table(unit: Unit, schema: TableSchema, *, by_table: bool) -> pa.Table:
    """A compartment's key table, as `sql` describes it."""
    table, keys = unit.tables[schema.name], schema.keys
    if keys is None:
        raise ValueError(f"{schema.name} is no compartment")
    columns = {
        "e": unit.owners[schema.name],
        "i": table[IMAGE_NUMBER],
        "o": table[keys.object_number],
        "r": row_numbers(table.num_rows),
    }
    if by_table and keys.table_number:
        columns["t"] = table[keys.table_number].cast(pa.string())
    columns |= {sql.parent(other): table[column] for other, column in keys.parents.items()}
    return pa.table(columns)


class Joiner:
    """Finds the profile rows of a unit."""

    def __init__(self, survey: Survey, plan: JoinPlan, engine: Engine) -> None:
        self._survey = survey
        self._plan = plan
        self._engine = engine
        self._by_table = survey.by_table_number
        self._images = _filled(survey.images.keys)
        present = set(survey.images.table.column_names) if survey.images.table.num_rows else set()
        wanted = ("e", "t", "i") if self._by_table else ("e", "i")
        self._image_keys = tuple(key for key in wanted if key in present)
        self._sort = survey.plan.job.sort_output

    def rows_of(self, unit: Unit) -> JoinedRows:
        """The profile rows, without those of exports whose keys are at fault."""
        keys = {name: key_table(unit, self._survey.schemas[name], by_table=self._by_table) for name in unit.tables}
        images = self._images_of(unit)
        faults = _null_keys(keys) + _null_table_numbers(keys)
        keys = {name: _filled(table) for name, table in keys.items()}
        with self._engine.tables(_registered(keys, images)) as session:
            faults += self._repeated(session, keys)
            dangling_faults, loose = self._dangling(session, keys)
        faults += dangling_faults + self._short(unit, keys)
        bad = pa.array(sorted({fault.export for fault in faults}), pa.int64())
        good = {name: table.filter(pc.invert(pc.is_in(table["e"], bad))) for name, table in keys.items()}
        with self._engine.tables(_registered(good, images)) as session:
            rows = session.query(
                sql.key_join(self._plan, by_table=self._by_table, image_keys=self._image_keys, sort=self._sort)
            )
        loose += self._unused(good, rows) + self._without_image(rows)
        failed = set(bad.to_pylist())
        return JoinedRows(rows, tuple(faults), tuple(item for item in loose if item.export not in failed))

    def _images_of(self, unit: Unit) -> pa.Table:
        mine = pa.array([export.index for export in unit.exports], pa.int64())
        return self._images.filter(pc.is_in(self._images["e"], mine))

    def _repeated(self, session: Session, keys: Mapping[str, pa.Table]) -> list[Fault]:
        faults = []
        for name in keys:
            query = sql.repeated_keys(sql.keys_of(name), by_table=self._by_table)
            for row in session.query(query).to_pylist():
                reason = (
                    f"repeated objects: {row['n']} key(s) stand twice, such as object {row['o']} of image {row['i']}"
                )
                faults.append(Fault(row["e"], name, reason))
        if self._image_keys:
            query = sql.repeated_keys(sql.IMAGE_KEYS, by_table="t" in self._image_keys, by_object=False)
            for row in session.query(query).to_pylist():
                reason = f"repeated images: {row['n']} key(s) stand twice, such as image {row['i']}"
                faults.append(Fault(row["e"], self._survey.preset.metadata[0], reason))
        return faults

    def _dangling(self, session: Session, keys: Mapping[str, pa.Table]) -> tuple[list[Fault], list[Loose]]:
        """Objects that name a parent which is not there: a fault where the parent's table was cut short."""
        faults, loose = [], []
        is_csv = self._survey.plan.kind is SourceKind.CSV
        for link in self._plan.links:
            child, parents = link.via, link.compartment
            if link.kind is LinkKind.CHILD:
                child, parents = parents, child
            filled = set(pc.unique(keys[parents]["e"]).to_pylist())
            for row in session.query(sql.dangling_parents(link, by_table=self._by_table)).to_pylist():
                count, export = row["n"], row["e"]
                if row["beyond"] == count and (is_csv or export not in filled):
                    reason = f"cut short: it lacks {count} object(s) past its end that {child} names as parents"
                    faults.append(Fault(export, parents, reason))
                else:
                    loose.append(Loose(export, child, f"objects whose parent is not in {parents}", count))
        return faults, loose

    def _short(self, unit: Unit, keys: Mapping[str, pa.Table]) -> list[Fault]:
        """Tables with fewer objects than the image table counts: CSV where another agrees with it, SQLite if empty.

        Where none agrees, the image table speaks of another set of objects, and that is a warning of the account. From
        SQLite rows are not lost by accident, but deleted: all of them, where filling a table failed.
        """
        is_csv = self._survey.plan.kind is SourceKind.CSV
        rows = {name: count_by_export(table["e"]) for name, table in keys.items()}
        faults = []
        for export in (export.index for export in unit.exports):
            counted = self._survey.counted.get(export, {})
            found = {name: (rows[name].get(export, 0), counted[name]) for name in rows if name in counted}
            agrees = any(have == count > 0 for have, count in found.values())
            faults += [
                Fault(export, name, f"cut short: the image table counts {count} objects, the table has {have}")
                for name, (have, count) in found.items()
                if have < count and (agrees if is_csv else not have)
            ]
        return faults

    def _without_image(self, rows: pa.Table) -> list[Loose]:
        """Base objects whose image is not in the image table."""
        if sql.IMAGE_ROW not in rows.column_names:
            return []
        lost = rows.filter(pc.is_null(rows[sql.IMAGE_ROW]))[sql.EXPORT]
        what = "objects whose image is not in the image table"
        return [Loose(export, self._plan.base, what, count) for export, count in count_by_export(lost).items()]

    def _unused(self, keys: Mapping[str, pa.Table], rows: pa.Table) -> list[Loose]:
        """Objects of the joined compartments that no row of the profile holds."""
        loose = []
        for link in self._plan.links:
            table = keys[link.compartment]
            used = pc.unique(rows[link.compartment].drop_null())
            unused = table.filter(pc.invert(pc.is_in(table["r"], used)))
            what = f"objects that no object of {self._plan.base} belongs to"
            loose += [
                Loose(export, link.compartment, what, count) for export, count in count_by_export(unused["e"]).items()
            ]
        return loose


def _registered(keys: Mapping[str, pa.Table], images: pa.Table) -> dict[str, pa.Table]:
    return {sql.keys_of(name): table for name, table in keys.items()} | {sql.IMAGE_KEYS: images}


def count_by_export(owners: pa.ChunkedArray) -> dict[int, int]:
    """How many rows each export has among these."""
    return {count["values"]: count["counts"] for count in pc.value_counts(owners).to_pylist()}


def _null_keys(keys: Mapping[str, pa.Table]) -> list[Fault]:
    faults = []
    for name, table in keys.items():
        if not (table["i"].null_count or table["o"].null_count):
            continue
        blank = table.filter(pc.or_(pc.is_null(table["i"]), pc.is_null(table["o"])))
        for export, count in count_by_export(blank["e"]).items():
            faults.append(Fault(export, name, f"{count} row(s) without image or object number"))
    return faults


def _null_table_numbers(keys: Mapping[str, pa.Table]) -> list[Fault]:
    """Rows without TableNumber, in exports in which others have one."""
    numbered = {
        export
        for table in keys.values()
        if "t" in table.column_names
        for export in pc.unique(table.filter(pc.is_valid(table["t"]))["e"]).to_pylist()
    }
    blank = {
        name: table.filter(pc.is_null(table["t"]))["e"] for name, table in keys.items() if "t" in table.column_names
    }
    return [
        Fault(export, name, f"{count} row(s) without TableNumber")
        for name, owners in blank.items()
        for export, count in count_by_export(owners).items()
        if export in numbered
    ]


def _filled(keys: pa.Table) -> pa.Table:
    """A key table in which a TableNumber that an export does not have at all equals itself."""
    if "t" not in keys.column_names:
        return keys
    return keys.set_column(keys.column_names.index("t"), "t", pc.fill_null(keys["t"], ""))


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


class Gatherer:
    """Makes profile tables from row indices. `numbers` are the TableNumbers of exports by index.

    Where each of the thousands of columns is from, and where it goes, is worked out once.
    """

    def __init__(self, survey: Survey, columns: Sequence[ProfileColumn], numbers: Mapping[int, int]) -> None:
        self._survey = survey
        self._numbers = numbers
        self._schema = pa.schema([(column.name, column.kind) for column in columns])
        self._places: dict[str, list[int]] = defaultdict(list)
        names: dict[str, list[str]] = defaultdict(list)
        for place, column in enumerate(columns):
            self._places[column.table].append(place)
            names[column.table].append(column.column)
        self._names = dict(names)
        self._indices = {
            name: [survey.schemas[name].schema.get_field_index(column) for column in names[name]]
            for name in names
            if name in survey.schemas
        }

    def batches(self, unit: Unit, rows: pa.Table, size: int) -> Iterator[pa.Table]:
        """The profile in pieces of `size` rows."""
        for start in range(0, rows.num_rows, size):
            yield self._gather(unit, rows.slice(start, size))

    def _gather(self, unit: Unit, rows: pa.Table) -> pa.Table:
        columns: list[pa.ChunkedArray] = [None] * len(self._schema)
        beside = self._beside(rows)
        for name, places in self._places.items():
            if name in unit.tables:
                part = take(unit.tables[name].select(self._indices[name]), rows[name])
            else:
                part = beside[name].select(self._names[name])
            for place, column in zip(places, part.columns, strict=True):
                columns[place] = column
        return pa.Table.from_arrays(columns, schema=self._schema)

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
