"""Join the keys of a batch's tables in DuckDB, without the wide columns, to find the rows that make its profile.

An object is identified by its export, its TableNumber where the source has one, its ImageNumber and its object number.
Every join uses all of these, so that exports which each number their images from 1 are never mixed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.plural import plural
from cytobatch.conversion.export_batch import ExportBatch
from cytobatch.conversion.key_proof import are_sound
from cytobatch.conversion.row_lists import used_rows
from cytobatch.engine import sql
from cytobatch.engine.duckdb import Engine, Session
from cytobatch.planning.columns import IMAGE_NUMBER
from cytobatch.planning.joins import Join, JoinKind, JoinPlan
from cytobatch.planning.key_columns import EXPORT, IMAGE, OBJECT, ROW, TABLE
from cytobatch.survey.model import Survey, TableSchema

_FURTHER = "further children of one parent, of which the profile has the first; the option 'children' takes all of them"


@dataclass(frozen=True, slots=True)
class TableDefect:
    """A defect of a table that the join of its keys finds; `export` is the export's index in the plan."""

    export: int
    table: str
    reason: str


@dataclass(frozen=True, slots=True)
class UnmatchedObjects:
    """A number of objects of one table of an export that have no counterpart, and in which respect (`what`).

    Objects that are `lost` are in no row of the profile. Those that are `aggregated` are in rows as part of a mean or
    number.
    """

    export: int
    table: str
    what: str
    count: int
    lost: bool = False
    aggregated: bool = False


@dataclass(frozen=True, slots=True)
class JoinedRows:
    """The rows that make a profile, and the results of the key checks.

    Attributes
    ----------
    rows
        For each profile row the row index in each compartment's table, in the image sets (`sql.IMAGE_ROW`, if the plate
        has image sets), and the index of its export (`sql.EXPORT_INDEX`): `int64, (profile rows,)` each. A row index is
        null where the profile row has no object of that compartment, or no image set.
    defects
        Defects of tables. The exports that have one have no rows.
    unmatched
        Objects without a counterpart, of the other exports.
    """

    rows: pa.Table
    defects: tuple[TableDefect, ...]
    unmatched: tuple[UnmatchedObjects, ...]

    def objects_of(self, table: str) -> dict[int, int]:
        """Return how many objects of a compartment are in the rows, each counted once, by the export's index."""
        used, of_rows = used_rows(self.rows[table])
        # An array indexed by row number, because grouping the pairs takes longer than the join.
        owners = np.full(used.max(initial=0) + 1, -1, np.int64)
        owners[used] = self.rows[sql.EXPORT_INDEX].to_numpy()[of_rows]
        exports, counts = np.unique(owners[owners >= 0], return_counts=True)
        return dict(zip(exports.tolist(), counts.tolist(), strict=True))


def row_numbers(count: int, start: int = 0) -> pa.Array:
    """Return the `count` numbers from `start` on: `int64, (count,)`."""
    if not count:
        return pa.array([], pa.int64())
    return pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), count), start=pa.scalar(start - 1, pa.int64()))


def count_by_export(exports: pa.ChunkedArray) -> dict[int, int]:
    """Return the number of rows of each export.

    Parameters
    ----------
    exports
        The index of each row's export: `int64, (rows,)`.
    """
    return {count["values"]: count["counts"] for count in pc.value_counts(exports).to_pylist()}


def key_table(batch: ExportBatch, schema: TableSchema, *, by_table: bool) -> pa.Table:
    """Return a compartment's key table for SQL.

    Parameters
    ----------
    batch
        The batch whose rows are joined.
    schema
        The compartment's schema, with its keys.
    by_table
        Whether TableNumber is one of the keys of all joins.

    Returns
    -------
    pa.Table
        A row for each of the compartment's rows: EXPORT, IMAGE, OBJECT and ROW, `int64`; TABLE, text, if the table has
        a TableNumber; and `sql.parent(other)`, `int64`, for each parent compartment.
    """
    table, keys = batch.tables[schema.name], schema.keys
    if keys is None:
        raise ValueError(f"{schema.name} is no compartment")
    columns = {
        EXPORT: batch.export_of_row[schema.name],
        IMAGE: table[IMAGE_NUMBER],
        OBJECT: table[keys.object_number],
        ROW: row_numbers(table.num_rows),
    }
    if by_table and keys.table_number:
        columns[TABLE] = table[keys.table_number].cast(pa.string())
    columns |= {sql.parent(other): table[column] for other, column in keys.parents.items()}
    return pa.table(columns)


class Joiner:
    """Joins the keys of batches. Its SQL is written once, for all batches of a plate."""

    def __init__(self, survey: Survey, plan: JoinPlan, engine: Engine) -> None:
        self._survey = survey
        self._plan = plan
        self._engine = engine
        self._by_table = survey.by_table_number
        self._images = _without_null_table_numbers(survey.images.keys)
        present = set(survey.images.table.column_names) if survey.images.table.num_rows else set()
        keys = (EXPORT, TABLE, IMAGE) if self._by_table else (EXPORT, IMAGE)
        self._image_keys = tuple(key for key in keys if key in present)
        checks = tuple(self._key_checks())
        self._checked = tuple(checked for checked, _ in checks)
        self._checks_sql = sql.all_checks(check for _, check in checks)
        self._join_sql = sql.key_join(
            plan, by_table=self._by_table, image_keys=self._image_keys, sort=survey.plan.job.sort_output
        )

    def _key_checks(self) -> Iterator[tuple[str | Join, str]]:
        """Yield the queries that check keys, each with the table whose repeats, or the join whose parents, it finds."""
        for name in self._plan.compartments:
            yield name, sql.repeated_keys(sql.keys_of(name), by_table=self._by_table)
        if self._image_keys:
            by_table = TABLE in self._image_keys
            image_table = self._survey.preset.metadata[0]
            yield image_table, sql.repeated_keys(sql.IMAGE_KEYS, by_table=by_table, by_object=False)
        for join in self._plan.joins:
            yield join, sql.dangling_parents(join, by_table=self._by_table)

    def join(self, batch: ExportBatch) -> JoinedRows:
        """Join the keys of a batch. Exports whose keys have a defect are left out of the joined rows."""
        keys = {name: key_table(batch, self._survey.schemas[name], by_table=self._by_table) for name in batch.tables}
        images = self._images_of(batch)
        null_defects = _null_keys(keys) + _null_table_numbers(keys)
        keys = {name: _without_null_table_numbers(table) for name, table in keys.items()}
        with self._engine.tables(_sql_tables(keys, images)) as session:
            sound = are_sound(keys, self._plan.joins, images, self._image_keys, by_table=self._by_table)
            check_defects, unmatched = ([], []) if sound else self._check_keys(session, keys)
            defects = null_defects + check_defects + self._truncated_tables(batch, keys)
            rows = None if defects else session.query(self._join_sql)
        failed = pa.array(sorted({defect.export for defect in defects}), pa.int64())
        if rows is None:
            keys = {name: table.filter(pc.invert(pc.is_in(table[EXPORT], failed))) for name, table in keys.items()}
            with self._engine.tables(_sql_tables(keys, images)) as session:
                rows = session.query(self._join_sql)
        unmatched += self._not_in_profile(keys, rows) + self._without_image(rows)
        failed_indices = set(failed.to_pylist())
        return JoinedRows(rows, tuple(defects), tuple(item for item in unmatched if item.export not in failed_indices))

    def _images_of(self, batch: ExportBatch) -> pa.Table:
        """Return the key table of the batch's image sets."""
        exports = pa.array([export.index for export in batch.exports], pa.int64())
        return self._images.filter(pc.is_in(self._images[EXPORT], exports))

    def _check_keys(
        self, session: Session, keys: Mapping[str, pa.Table]
    ) -> tuple[list[TableDefect], list[UnmatchedObjects]]:
        """Return the results of the key checks: repeated keys, and objects whose parent is missing."""
        defects: list[TableDefect] = []
        unmatched: list[UnmatchedObjects] = []
        for row in sorted(session.query(self._checks_sql).to_pylist(), key=lambda row: (row[sql.CHECK], row[EXPORT])):
            checked = self._checked[row[sql.CHECK]]
            if isinstance(checked, Join):
                result = self._missing_parents(checked, row, keys)
                if isinstance(result, TableDefect):
                    defects.append(result)
                else:
                    unmatched.append(result)
            elif checked in self._plan.compartments:
                defects.append(_repeated_keys(checked, row, "objects", f"object {row[OBJECT]} of image {row[IMAGE]}"))
            else:
                defects.append(_repeated_keys(checked, row, "images", f"image {row[IMAGE]}"))
        return defects, unmatched

    def _missing_parents(
        self, join: Join, row: Mapping[str, int], keys: Mapping[str, pa.Table]
    ) -> TableDefect | UnmatchedObjects:
        """Return the objects of an export that name a missing parent: a defect if the parents' table was cut short."""
        child, parents = join.via, join.compartment
        if join.kind is JoinKind.CHILD:
            child, parents = parents, child
        count, export = row["n"], row[EXPORT]
        rows = pc.sum(pc.equal(keys[parents][EXPORT], export)).as_py() or 0
        # A table with as many objects as the image table counts is whole: the child's number is wrong.
        is_whole = rows > 0 and rows == self._survey.counted.get(export, {}).get(parents)
        may_be_cut_short = self._survey.plan.format.traits.may_be_cut_short and not is_whole
        if row["beyond"] == count and (may_be_cut_short or not rows):
            reason = f"cut short: it lacks {plural(count, 'object')} past its end that {child} names as parents"
            return TableDefect(export, parents, reason)
        return UnmatchedObjects(export, child, f"objects whose parent is not in {parents}", count)

    def _truncated_tables(self, batch: ExportBatch, keys: Mapping[str, pa.Table]) -> list[TableDefect]:
        """Return the tables with fewer objects than their image table counts, because they were cut short.

        If the files of a format may be cut short, a table is defective if another table of its export has as many
        objects as the image table counts. If none of them agrees, the image table counts another set of objects, and
        the ledger warns of that. Other formats, such as databases, lose rows only if all of them are deleted, where
        filling a table failed: there an empty table is defective.
        """
        may_be_cut_short = self._survey.plan.format.traits.may_be_cut_short
        row_counts = {name: count_by_export(table[EXPORT]) for name, table in keys.items()}
        defects = []
        for export in (export.index for export in batch.exports):
            counted = self._survey.counted.get(export, {})
            counts = {name: (row_counts[name].get(export, 0), counted[name]) for name in row_counts if name in counted}
            has_agreement = any(rows == count > 0 for rows, count in counts.values())
            defects += [
                TableDefect(export, name, f"cut short: the image table counts {count} objects, the table has {rows}")
                for name, (rows, count) in counts.items()
                if rows < count and (has_agreement if may_be_cut_short else not rows)
            ]
        return defects

    def _without_image(self, rows: pa.Table) -> list[UnmatchedObjects]:
        """Count the base objects whose image is not in the image table."""
        if sql.IMAGE_ROW not in rows.column_names:
            return []
        exports = rows.filter(pc.is_null(rows[sql.IMAGE_ROW]))[sql.EXPORT_INDEX]
        what = "objects whose image is not in the image table"
        return [
            UnmatchedObjects(export, self._plan.base, what, count) for export, count in count_by_export(exports).items()
        ]

    def _not_in_profile(self, keys: Mapping[str, pa.Table], rows: pa.Table) -> list[UnmatchedObjects]:
        """Count the objects of the joined compartments that are in no row of the profile."""
        unmatched = []
        for join in self._plan.joins:
            table = keys[join.compartment]
            # An array indexed by row number, because looking each row up in a set takes longer than the join.
            is_used = np.zeros((pc.max(table[ROW]).as_py() or 0) + 1, np.bool_)
            is_used[used_rows(rows[join.compartment])[0]] = True
            unused = table.filter(pa.array(~is_used[table[ROW].to_numpy()]))
            further = self._further_children(join, unused, keys, rows)
            what = f"objects that no object of {self._plan.base} belongs to"
            for export, count in count_by_export(unused[EXPORT]).items():
                others = further.get(export, 0)
                if count > others:
                    unmatched.append(UnmatchedObjects(export, join.compartment, what, count - others, lost=True))
                if others:
                    unmatched.append(UnmatchedObjects(export, join.compartment, _FURTHER, others, lost=True))
        return unmatched

    def _further_children(
        self, join: Join, unused: pa.Table, keys: Mapping[str, pa.Table], rows: pa.Table
    ) -> dict[int, int]:
        """Count by export the unused objects whose parent is in the profile, with another first child."""
        if join.kind is not JoinKind.CHILD or self._plan.anchors or not unused.num_rows:
            return {}
        parents = keys[join.via].filter(pc.is_in(keys[join.via][ROW], rows[join.via].drop_null()))
        image = (EXPORT, TABLE, IMAGE) if self._by_table else (EXPORT, IMAGE)
        children = unused.select([*image, sql.parent(join.via)])
        found = children.join(
            parents.select([*image, OBJECT]), [*image, sql.parent(join.via)], [*image, OBJECT], "left semi"
        )
        return count_by_export(found[EXPORT])


def _sql_tables(keys: Mapping[str, pa.Table], images: pa.Table) -> dict[str, pa.Table]:
    """Return the key tables by their names in SQL."""
    return {sql.keys_of(name): table for name, table in keys.items()} | {sql.IMAGE_KEYS: images}


def _repeated_keys(table: str, row: Mapping[str, int], what: str, example: str) -> TableDefect:
    return TableDefect(
        row[EXPORT], table, f"repeated {what}: {plural(row['n'], 'key stands', 'keys stand')} twice, such as {example}"
    )


def _null_keys(keys: Mapping[str, pa.Table]) -> list[TableDefect]:
    """Return the tables that have rows without image or object number."""
    defects = []
    for name, table in keys.items():
        if not (table[IMAGE].null_count or table[OBJECT].null_count):
            continue
        rows = table.filter(pc.or_(pc.is_null(table[IMAGE]), pc.is_null(table[OBJECT])))
        for export, count in count_by_export(rows[EXPORT]).items():
            defects.append(TableDefect(export, name, f"{plural(count, 'row')} without image or object number"))
    return defects


def _null_table_numbers(keys: Mapping[str, pa.Table]) -> list[TableDefect]:
    """Return the tables that have rows without TableNumber, of exports in which other rows have one."""
    tables = {name: table for name, table in keys.items() if TABLE in table.column_names}
    numbered = {
        export
        for table in tables.values()
        for export in pc.unique(table.filter(pc.is_valid(table[TABLE]))[EXPORT]).to_pylist()
    }
    return [
        TableDefect(export, name, f"{plural(count, 'row')} without TableNumber")
        for name, table in tables.items()
        for export, count in count_by_export(table.filter(pc.is_null(table[TABLE]))[EXPORT]).items()
        if export in numbered
    ]


def _without_null_table_numbers(keys: pa.Table) -> pa.Table:
    """Return a key table with an empty text for a null TableNumber, so that it equals itself in SQL.

    Exports without any TableNumber have only nulls there.
    """
    if TABLE not in keys.column_names:
        return keys
    return keys.set_column(keys.column_names.index(TABLE), TABLE, pc.fill_null(keys[TABLE], ""))
