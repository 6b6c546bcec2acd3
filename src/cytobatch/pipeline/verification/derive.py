"""Derive rows of a profile again, from the tables of one export, and compare them value by value."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from cytobatch.pipeline.verification.exports import IMAGE_TABLES
from cytobatch.pipeline.verification.links import Link, Links, SourcedColumn
from cytobatch.pipeline.verification.location import is_same_place, places
from cytobatch.pipeline.verification.model import Difference, DifferenceKind
from cytobatch.pipeline.verification.tables import OBJECT_NUMBER, ImageKey, Row, SourceTable, whole_number
from cytobatch.pipeline.verification.values import PLAIN, Notation, Published, Raw, Repairs, is_same


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """A row of a profile: its position in the output, and its values by column."""

    position: int
    values: Mapping[str, Published]


@dataclass(frozen=True, slots=True)
class RowKey:
    """The keys of a row at the source: its image, and the number of its base object."""

    image: ImageKey
    number: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared.

    Attributes
    ----------
    output
        The name of the output.
    links
        The links between tables.
    columns
        The columns that come from a column of a table.
    places
        The columns with plate, well and site that come from the metadata of images.
    repairs
        The texts that the run replaced.
    """

    output: str
    links: Links
    columns: tuple[SourcedColumn, ...]
    places: tuple[str, ...]
    repairs: Repairs


class ExportTables:
    """The tables of one export, by their lower-case names without a prefix, and the rows that a key leads to.

    Attributes
    ----------
    unread
        The tables that could not be read.
    """

    def __init__(self, tables: Mapping[str, SourceTable], unread: Collection[str], labels: Mapping[str, str]) -> None:
        self._tables = tables
        self.unread = unread
        self._numbers = {name: _number_column(table, labels.get(name, name)) for name, table in tables.items()}

    def base_rows(self, base: str, key: RowKey) -> list[Row]:
        """Return the rows of the base compartment with a key: one, if the export has the object."""
        return [row for row in self._rows(base, key.image) if self._number(base, row) == key.number]

    def linked(self, links: Links, base: Row, image: ImageKey) -> dict[str, Row | None]:
        """Return the row of each table that belongs to a base row; None where there is none."""
        rows: dict[str, Row | None] = {links.base: base}
        for link in links.links:
            via = rows.get(link.via)
            rows[link.table] = None if via is None else self._follow(link, via, image)
        for name in self._tables:
            if name not in rows and self._numbers[name] is None:
                rows[name] = next(iter(self._rows(name, image)), None)
        return rows

    def notation(self, table: str) -> Notation:
        """Return how a table writes values."""
        return self._tables[table].notation if table in self._tables else PLAIN

    def _follow(self, link: Link, via: Row, image: ImageKey) -> Row | None:
        rows = self._rows(link.table, image)
        if link.is_child:
            number = self._number(link.via, via)
            children = [row for row in rows if whole_number(row.get(link.column)) == number]
            return min(children, key=lambda row: self._number(link.table, row) or 0, default=None)
        number = whole_number(via.get(link.column))
        return next((row for row in rows if self._number(link.table, row) == number), None) if number else None

    def _rows(self, table: str, image: ImageKey) -> Sequence[Row]:
        source = self._tables.get(table)
        if source is None:
            return ()
        return source.rows.get(image) or source.rows.get((None, image[1])) or ()

    def _number(self, table: str, row: Row) -> int | None:
        column = self._numbers.get(table)
        return None if column is None else whole_number(row.get(column))


def _number_column(table: SourceTable, label: str) -> str | None:
    """Return the column with the numbers of a table's objects, by the names that CellProfiler gives it."""
    names = (OBJECT_NUMBER, f"{label}_{OBJECT_NUMBER}", f"{label}_Number_Object_Number", "Number_Object_Number")
    return next((name for name in names if name in table.columns), None)


def row_differences(row: ProfileRow, base: Row, key: RowKey, tables: ExportTables, plan: Plan) -> Iterator[Difference]:
    """Yield the values of a profile's row that differ from those that the source gives, but for unread tables."""
    linked = tables.linked(plan.links, base, key.image)
    for column in plan.columns:
        if column.table in tables.unread:
            continue
        source = linked.get(column.table)
        raw = None if source is None else source.get(column.column)
        raw = plan.repairs.repaired(column.table, column.column, raw)
        published = row.values[column.name]
        if not is_same(published, raw, column.type, tables.notation(column.table)):
            yield value_difference(plan.output, row, column.name, raw)
    expected = next(
        (
            places(partial(_repaired, plan.repairs, name, image))
            for name in IMAGE_TABLES
            if (image := linked.get(name)) is not None
        ),
        {},
    )
    for name in plan.places:
        if name in expected and not is_same_place(name, row.values[name], expected[name]):
            yield value_difference(plan.output, row, name, expected[name])


def _repaired(repairs: Repairs, table: str, row: Row, column: str) -> Raw:
    return repairs.repaired(table, column, row.get(column))


def value_difference(output: str, row: ProfileRow, column: str, raw: Raw) -> Difference:
    """Return the difference of a value from that of the source."""
    published = repr(row.values[column])
    return Difference(DifferenceKind.VALUE, output, "value", row.position, column, published, repr(raw))
