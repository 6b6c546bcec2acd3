"""Which compartment is the base of a profile, and how the others hang on it. Pure.

CellProfiler gives each object a number within its image and, where it was made from or related to another object, a
`Parent_<Other>` column. A profile has one row for each object of the base compartment; a parent is joined by its
number, a child by its own parent column.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cytobatch.errors import LayoutError
from cytobatch.planning.columns import IMAGE_NUMBER, OBJECT_NUMBER, TABLE_NUMBER, is_key

BASE_ORDER = ("cytoplasm", "cells", "nuclei")
_PARENT = "parent_"


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
    """How a compartment is joined to one that is in the profile already."""

    PARENT = "parent"
    CHILD = "child"


@dataclass(frozen=True, slots=True)
class Join:
    """`compartment` joins through `via`: as its parent (by `column` of via) or its child (by its own `column`)."""

    compartment: str
    via: str
    kind: JoinKind
    column: str


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """The base compartment, the links in the order of joining, and the compartments that nothing links."""

    base: str
    links: tuple[Join, ...]
    unlinked: tuple[str, ...] = ()

    @property
    def compartments(self) -> tuple[str, ...]:
        """Base and linked compartments."""
        return (self.base, *(link.compartment for link in self.joins))

    def describe(self) -> list[str]:
        """One line a join, for people."""
        lines = [f"one row for each object of {self.base}"]
        for link in self.joins:
            other = f"{link.via}.{link.column} = {link.compartment}.{OBJECT_NUMBER}"
            child = f"{link.compartment}.{link.column} = {link.via}.{OBJECT_NUMBER}, the first child"
            lines.append(f"{link.compartment}: {other if link.kind is JoinKind.PARENT else child}")
        return lines


def find_keys(name: str, label: str, columns: Iterable[str], compartments: Iterable[str]) -> CompartmentKeys | None:
    """The keys among a table's columns, or None if it has no image or no object number and so is no compartment."""
    present = set(columns)
    number = next(
        (
            column
            for column in (
                OBJECT_NUMBER,
                f"{label}_{OBJECT_NUMBER}",
                f"{label}_Number_Object_Number",
                "Number_Object_Number",
            )
            if column in present
        ),
        None,
    )
    if number is None or IMAGE_NUMBER not in present:
        return None
    parents = {}
    # Few of a table's thousands of columns.
    numbers = [column for column in present if _PARENT in column.lower()]
    # Where names differ in case alone, the one that CellProfiler would write is the key; it comes last and so stays.
    by_lower = {column.lower(): column for column in sorted(numbers, key=lambda column: (is_key(column), column))}
    for other in compartments:
        for start in (f"{label.lower()}_", ""):
            column = by_lower.get(f"{start}{_PARENT}{other.lower()}")
            if column and other.lower() != name:
                parents[other.lower()] = column
                break
    return CompartmentKeys(name, number, parents, TABLE_NUMBER if TABLE_NUMBER in present else None)


def plan_joins(keys: Mapping[str, CompartmentKeys], required: Iterable[str]) -> JoinPlan:
    """How all compartments make one profile.

    The base is Cytoplasm, Cells or Nuclei, the first that is there, or else the compartment that reaches most of the
    others. Raises LayoutError if a `required` compartment has no link to it.
    """
    base = next((name for name in BASE_ORDER if name in keys), None)
    if base is None:
        base = max(sorted(keys), key=lambda name: len(_links_from(name, keys)))
    links = _links_from(base, keys)
    linked = {base, *(link.compartment for link in links)}
    unlinked = tuple(sorted(set(keys) - linked))
    broken = sorted(set(required) & set(unlinked))
    if broken:
        raise LayoutError(
            f"nothing links {', '.join(broken)} to {base}",
            where="compartment tables",
            why=f"no Parent_ column leads there; {base} has {', '.join(keys[base].parents.values()) or 'none'}",
            remedy="leave it out with 'compartments', give your own SQL in 'joins', or convert with join off",
        )
    return JoinPlan(base, links, unlinked)


def _links_from(base: str, keys: Mapping[str, CompartmentKeys]) -> tuple[Join, ...]:
    links: list[Join] = []
    linked = [base]
    while True:
        link = _next_link(linked, keys)
        if link is None:
            return tuple(links)
        links.append(link)
        linked.append(link.compartment)


def _next_link(linked: list[str], keys: Mapping[str, CompartmentKeys]) -> Join | None:
    """The next compartment to join; parents first, as they are one to one with the row."""
    rank = {name: number for number, name in enumerate(BASE_ORDER)}
    waiting = sorted(set(keys) - set(linked), key=lambda name: (rank.get(name, len(rank)), name))
    for name in waiting:
        for via in linked:
            if name in keys[via].parents:
                return Join(name, via, JoinKind.PARENT, keys[via].parents[name])
    for name in waiting:
        for via in linked:
            if via in keys[name].parents:
                return Join(name, via, JoinKind.CHILD, keys[name].parents[via])
    return None
