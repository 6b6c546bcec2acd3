"""Which rows of its tables make a unit's profile: keys are joined in DuckDB, without the wide columns.

An object is known by its export, its TableNumber where the source has one, its ImageNumber and its object number.
Every join uses all of these, so that exports which each count their images from 1 are never mixed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.engine import sql
from cytobatch.engine.duckdb import Engine, Session
from cytobatch.planning.columns import IMAGE_NUMBER
from cytobatch.planning.joins import Join, JoinKind, JoinPlan
from cytobatch.survey.model import Survey, SurveyedExport, TableSchema


@dataclass(frozen=True, slots=True)
class ExportBatch:
    """A bounded piece of work: some exports, and for each compartment their rows together.

    `tables` have the plate's unified schemas; `owners` give the export's index for each row.
    """

    exports: tuple[SurveyedExport, ...]
    tables: Mapping[str, pa.Table]
    owners: Mapping[str, pa.Array]


@dataclass(frozen=True, slots=True)
class TableDefect:
    """What is wrong with a table of an export, found while joining."""

    export: int
    table: str
    reason: str


@dataclass(frozen=True, slots=True)
class UnmatchedObjects:
    """Objects that a join left aside, counted: `what` happened to `count` objects of a table of an export."""

    export: int
    table: str
    what: str
    count: int


@dataclass(frozen=True, slots=True)
class JoinedRows:
    """Which rows make the profile: `rows` has one index for each compartment, the image and the export."""

    rows: pa.Table
    defects: tuple[TableDefect, ...]
    unmatched: tuple[UnmatchedObjects, ...]


def row_numbers(count: int, start: int = 0) -> pa.Array:
    """The numbers from `start` on, as int64."""
    if not count:
        return pa.array([], pa.int64())
    return pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), count), start=pa.scalar(start - 1, pa.int64()))


def key_table(batch: ExportBatch, schema: TableSchema, *, by_table: bool) -> pa.Table:
    """A compartment's key table, as `sql` describes it."""
    table, keys = batch.tables[schema.name], schema.keys
    if keys is None:
        raise ValueError(f"{schema.name} is no compartment")
    columns = {
        "e": batch.owners[schema.name],
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
        checks = tuple(self._key_checks())
        self._subjects = tuple(subject for subject, _ in checks)
        self._checks = sql.all_checks(check for _, check in checks)
        self._join = sql.key_join(
            plan, by_table=self._by_table, image_keys=self._image_keys, sort=survey.plan.job.sort_output
        )

    def _key_checks(self) -> Iterator[tuple[str | Join, str]]:
        """The queries that keys are checked by: for repeats in a table, by its name, and for the parents of a link."""
        for name in self._plan.compartments:
            yield name, sql.repeated_keys(sql.keys_of(name), by_table=self._by_table)
        if self._image_keys:
            by_table = "t" in self._image_keys
            image_table = self._survey.preset.metadata[0]
            yield image_table, sql.repeated_keys(sql.IMAGE_KEYS, by_table=by_table, by_object=False)
        for link in self._plan.joins:
            yield link, sql.dangling_parents(link, by_table=self._by_table)

    def rows_of(self, batch: ExportBatch) -> JoinedRows:
        """The profile rows, without those of exports whose keys are at fault."""
        keys = {name: key_table(batch, self._survey.schemas[name], by_table=self._by_table) for name in batch.tables}
        images = self._images_of(batch)
        blank = _null_keys(keys) + _null_table_numbers(keys)
        keys = {name: _filled(table) for name, table in keys.items()}
        with self._engine.tables(_registered(keys, images)) as session:
            found, unmatched = self._checked(session, keys)
            defects = blank + found + self._short(batch, keys)
            rows = None if defects else session.query(self._join)
        bad = pa.array(sorted({defect.export for defect in defects}), pa.int64())
        if rows is None:
            keys = {name: table.filter(pc.invert(pc.is_in(table["e"], bad))) for name, table in keys.items()}
            with self._engine.tables(_registered(keys, images)) as session:
                rows = session.query(self._join)
        unmatched += self._unused(keys, rows) + self._without_image(rows)
        failed = set(bad.to_pylist())
        return JoinedRows(rows, tuple(defects), tuple(item for item in unmatched if item.export not in failed))

    def _images_of(self, batch: ExportBatch) -> pa.Table:
        mine = pa.array([export.index for export in batch.exports], pa.int64())
        return self._images.filter(pc.is_in(self._images["e"], mine))

    def _checked(
        self, session: Session, keys: Mapping[str, pa.Table]
    ) -> tuple[list[TableDefect], list[UnmatchedObjects]]:
        """What the checks of keys find, those that name no parent which is there among them."""
        defects: list[TableDefect] = []
        unmatched: list[UnmatchedObjects] = []
        for row in sorted(session.query(self._checks).to_pylist(), key=lambda row: (row[sql.CHECK], row["e"])):
            subject = self._subjects[row[sql.CHECK]]
            if isinstance(subject, Join):
                found = self._dangling(subject, row, keys)
                if isinstance(found, TableDefect):
                    defects.append(found)
                else:
                    unmatched.append(found)
            elif subject in self._plan.compartments:
                defects.append(_repeated(subject, row, "objects", f"object {row['o']} of image {row['i']}"))
            else:
                defects.append(_repeated(subject, row, "images", f"image {row['i']}"))
        return defects, unmatched

    def _dangling(
        self, link: Join, row: Mapping[str, int], keys: Mapping[str, pa.Table]
    ) -> TableDefect | UnmatchedObjects:
        """Objects that name a parent which is not there: a fault where the parent's table was cut short."""
        child, parents = link.via, link.compartment
        if link.kind is JoinKind.CHILD:
            child, parents = parents, child
        count, export = row["n"], row["e"]
        may_be_cut_short = self._survey.plan.format.traits.may_be_cut_short
        if row["beyond"] == count and (may_be_cut_short or not pc.any(pc.equal(keys[parents]["e"], export)).as_py()):
            reason = f"cut short: it lacks {count} object(s) past its end that {child} names as parents"
            return TableDefect(export, parents, reason)
        return UnmatchedObjects(export, child, f"objects whose parent is not in {parents}", count)

    def _short(self, batch: ExportBatch, keys: Mapping[str, pa.Table]) -> list[TableDefect]:
        """Tables with fewer objects than the image table counts: CSV where another agrees with it, SQLite if empty.

        Where none agrees, the image table speaks of another set of objects, and that is a warning of the account. From
        SQLite rows are not lost by accident, but deleted: all of them, where filling a table failed.
        """
        may_be_cut_short = self._survey.plan.format.traits.may_be_cut_short
        rows = {name: count_by_export(table["e"]) for name, table in keys.items()}
        defects = []
        for export in (export.index for export in batch.exports):
            counted = self._survey.counted.get(export, {})
            found = {name: (rows[name].get(export, 0), counted[name]) for name in rows if name in counted}
            agrees = any(have == count > 0 for have, count in found.values())
            defects += [
                TableDefect(export, name, f"cut short: the image table counts {count} objects, the table has {have}")
                for name, (have, count) in found.items()
                if have < count and (agrees if may_be_cut_short else not have)
            ]
        return defects

    def _without_image(self, rows: pa.Table) -> list[UnmatchedObjects]:
        """Base objects whose image is not in the image table."""
        if sql.IMAGE_ROW not in rows.column_names:
            return []
        lost = rows.filter(pc.is_null(rows[sql.IMAGE_ROW]))[sql.EXPORT]
        what = "objects whose image is not in the image table"
        return [
            UnmatchedObjects(export, self._plan.base, what, count) for export, count in count_by_export(lost).items()
        ]

    def _unused(self, keys: Mapping[str, pa.Table], rows: pa.Table) -> list[UnmatchedObjects]:
        """Objects of the joined compartments that no row of the profile holds."""
        unmatched = []
        for link in self._plan.joins:
            table = keys[link.compartment]
            # By place, for looking each row up in a set takes longer than joining them.
            is_used = np.zeros((pc.max(table["r"]).as_py() or 0) + 1, np.bool_)
            is_used[rows[link.compartment].drop_null().to_numpy()] = True
            unused = table.filter(pa.array(~is_used[table["r"].to_numpy()]))
            what = f"objects that no object of {self._plan.base} belongs to"
            unmatched += [
                UnmatchedObjects(export, link.compartment, what, count)
                for export, count in count_by_export(unused["e"]).items()
            ]
        return unmatched


def _repeated(table: str, row: Mapping[str, int], what: str, first: str) -> TableDefect:
    return TableDefect(row["e"], table, f"repeated {what}: {row['n']} key(s) stand twice, such as {first}")


def _registered(keys: Mapping[str, pa.Table], images: pa.Table) -> dict[str, pa.Table]:
    return {sql.keys_of(name): table for name, table in keys.items()} | {sql.IMAGE_KEYS: images}


def count_by_export(owners: pa.ChunkedArray) -> dict[int, int]:
    """How many rows each export has among these."""
    return {count["values"]: count["counts"] for count in pc.value_counts(owners).to_pylist()}


def _null_keys(keys: Mapping[str, pa.Table]) -> list[TableDefect]:
    defects = []
    for name, table in keys.items():
        if not (table["i"].null_count or table["o"].null_count):
            continue
        blank = table.filter(pc.or_(pc.is_null(table["i"]), pc.is_null(table["o"])))
        for export, count in count_by_export(blank["e"]).items():
            defects.append(TableDefect(export, name, f"{count} row(s) without image or object number"))
    return defects


def _null_table_numbers(keys: Mapping[str, pa.Table]) -> list[TableDefect]:
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
        TableDefect(export, name, f"{count} row(s) without TableNumber")
        for name, owners in blank.items()
        for export, count in count_by_export(owners).items()
        if export in numbered
    ]


def _filled(keys: pa.Table) -> pa.Table:
    """A key table in which a TableNumber that an export does not have at all equals itself."""
    if "t" not in keys.column_names:
        return keys
    return keys.set_column(keys.column_names.index("t"), "t", pc.fill_null(keys["t"], ""))
