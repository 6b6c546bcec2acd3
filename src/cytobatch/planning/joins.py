"""Which compartment is the base of a profile, and how the others are joined to it. Pure functions.

CellProfiler gives each object a number within its image and, where it was made from or related to another object, a
`Parent_<Other>` column. A profile has one row for each object of the base compartment. A parent is joined by its
object number, a child by its own parent column.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cytobatch.config.option_types import Children
from cytobatch.errors import LayoutError
from cytobatch.planning.columns import IMAGE_NUMBER, OBJECT_NUMBER, TABLE_NUMBER, is_key

BASE_ORDER = ("cytoplasm", "cells", "nuclei")
_PARENT = "parent_"
_TAKEN = {
    Children.FIRST: "the first child",
    Children.MEAN: "the mean of all objects",
    Children.COUNT: "the number of objects",
}


@dataclass(frozen=True, slots=True)
class CompartmentKeys:
    """The key columns of a compartment table, by the names they have at the source.

    `parents` maps the lower-case name of another compartment to the column that holds its object number.
    """

    name: str
    object_number: str
    parents: Mapping[str, str]
    table_number: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All key columns."""
        table = (self.table_number,) if self.table_number else ()
        return (*table, IMAGE_NUMBER, self.object_number, *self.parents.values())


class JoinKind(StrEnum):
    """The relation of a compartment to the one that it is joined to."""

    PARENT = "parent"
    CHILD = "child"


@dataclass(frozen=True, slots=True)
class Join:
    """The join of `compartment` to `via`, which is in the profile already.

    A parent joins by the column `column` of `via`, a child by its own column `column`.
    """

    compartment: str
    via: str
    kind: JoinKind
    column: str


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """The base compartment, the joins in their order, and the compartments that no parent column links to the base.

    `children` decides what a row has of a compartment with several objects for each parent.
    """

    base: str
    joins: tuple[Join, ...]
    unlinked: tuple[str, ...] = ()
    children: Children = Children.FIRST

    @property
    def has_children(self) -> bool:
        """Whether a compartment is joined as the child of another."""
        return any(join.kind is JoinKind.CHILD for join in self.joins)

    @property
    def anchors(self) -> dict[str, str]:
        """The compartments of which a row has all objects, each with the compartment that has one object in the row.

        These are children, and what is joined to them: the children's own children and other parents.
        """
        anchors: dict[str, str] = {}
        for join in self.joins if self.children is not Children.FIRST else ():
            if join.via in anchors:
                anchors[join.compartment] = anchors[join.via]
            elif join.kind is JoinKind.CHILD:
                anchors[join.compartment] = join.via
        return anchors

    @property
    def compartments(self) -> tuple[str, ...]:
        """The base and the joined compartments."""
        return (self.base, *(join.compartment for join in self.joins))

    def describe(self) -> list[str]:
        """Return one line of text for the base and for each join."""
        lines = [f"one row for each object of {self.base}"]
        anchors = self.anchors
        for join in self.joins:
            parent = f"{join.via}.{join.column} = {join.compartment}.{OBJECT_NUMBER}"
            child = f"{join.compartment}.{join.column} = {join.via}.{OBJECT_NUMBER}"
            taken = ""
            if join.compartment in anchors:
                taken = f", {_TAKEN[self.children]} for each object of {anchors[join.compartment]}"
            elif join.kind is JoinKind.CHILD:
                taken = f", {_TAKEN[self.children]}"
            lines.append(f"{join.compartment}: {parent if join.kind is JoinKind.PARENT else child}{taken}")
        return lines


def find_keys(name: str, label: str, columns: Iterable[str], compartments: Iterable[str]) -> CompartmentKeys | None:
    """Return the keys among the columns of a table, or None if the table is no compartment.

    A compartment has an ImageNumber and an object number. `name` is the table's lower-case name, `label` the prefix of
    its columns. `compartments` are the possible parents.
    """
    present = set(columns)
    number = next((column for column in _object_number_names(label) if column in present), None)
    if number is None or IMAGE_NUMBER not in present:
        return None
    parents = _parent_columns(name, label, present, compartments)
    return CompartmentKeys(name, number, parents, TABLE_NUMBER if TABLE_NUMBER in present else None)


def _object_number_names(label: str) -> tuple[str, ...]:
    return (
        OBJECT_NUMBER,
        f"{label}_{OBJECT_NUMBER}",
        f"{label}_Number_Object_Number",
        "Number_Object_Number",
    )


def _parent_columns(name: str, label: str, columns: Iterable[str], compartments: Iterable[str]) -> dict[str, str]:
    """Return the column with the object number of each parent, by the parent's lower-case name."""
    # Few of a table's thousands of columns.
    candidates = [column for column in columns if _PARENT in column.lower()]
    # If names differ only in case, the one that CellProfiler would write is the key: it comes last and so stays.
    by_lower = {column.lower(): column for column in sorted(candidates, key=lambda column: (is_key(column), column))}
    parents = {}
    for other in compartments:
        for prefix in (f"{label.lower()}_", ""):
            column = by_lower.get(f"{prefix}{_PARENT}{other.lower()}")
            if column and other.lower() != name:
                parents[other.lower()] = column
                break
    return parents


def plan_joins(
    keys: Mapping[str, CompartmentKeys], required: Iterable[str], children: Children = Children.FIRST
) -> JoinPlan:
    """Return the joins that make one profile of all compartments.

    The base is the first of Cytoplasm, Cells and Nuclei that `keys` has, or else the compartment that most others can
    be joined to. Raises LayoutError if no parent column links a `required` compartment to the base.
    """
    base = next((name for name in BASE_ORDER if name in keys), None)
    if base is None:
        base = max(sorted(keys), key=lambda name: len(_joins_from(name, keys)))
    joins = _joins_from(base, keys)
    joined = {base, *(join.compartment for join in joins)}
    unlinked = tuple(sorted(set(keys) - joined))
    broken = sorted(set(required) & set(unlinked))
    if broken:
        raise LayoutError(
            f"nothing links {', '.join(broken)} to {base}",
            where="compartment tables",
            why=f"no Parent_ column leads there; {base} has {', '.join(keys[base].parents.values()) or 'none'}",
            remedy="leave it out with 'compartments', give your own SQL in 'joins', or convert with join off",
        )
    return JoinPlan(base, joins, unlinked, children)


def _joins_from(base: str, keys: Mapping[str, CompartmentKeys]) -> tuple[Join, ...]:
    joins: list[Join] = []
    joined = [base]
    while True:
        join = _next_join(joined, keys)
        if join is None:
            return tuple(joins)
        joins.append(join)
        joined.append(join.compartment)


def _next_join(joined: list[str], keys: Mapping[str, CompartmentKeys]) -> Join | None:
    """Return the next join to `joined` compartments. Parents come first, because each row has one parent at most."""
    rank = {name: number for number, name in enumerate(BASE_ORDER)}
    waiting = sorted(set(keys) - set(joined), key=lambda name: (rank.get(name, len(rank)), name))
    for name in waiting:
        for via in joined:
            if name in keys[via].parents:
                return Join(name, via, JoinKind.PARENT, keys[via].parents[name])
    for name in waiting:
        for via in joined:
            if via in keys[name].parents:
                return Join(name, via, JoinKind.CHILD, keys[name].parents[via])
    return None
