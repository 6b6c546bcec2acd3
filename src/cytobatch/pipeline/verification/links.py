"""How rows of a profile are linked to rows of the source: the joins of the report, the columns of the list."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_BASE = re.compile(r"one row for each object of (?P<base>.+)")
_JOIN = re.compile(
    r"(?P<table>[^:]+): (?P<left>[^.]+)\.(?P<column>.+) = (?P<right>[^.]+)\.ObjectNumber(?P<taken>, .+)?"
)
_FIRST = ", the first child"


@dataclass(frozen=True, slots=True)
class Link:
    """The row of `table` is found by `column`: of the row of `via` for a parent, of its own rows for a child."""

    table: str
    via: str
    column: str
    is_child: bool


@dataclass(frozen=True, slots=True)
class Links:
    """The base compartment, the links to other tables in their order, and the tables that are joined otherwise."""

    base: str
    links: tuple[Link, ...]
    others: tuple[str, ...]

    @classmethod
    def of_report(cls, joins: Sequence[str]) -> "Links | None":
        """Return the links that a report has in words. None if its rows are not those of one base compartment."""
        base = _BASE.fullmatch(joins[0]) if joins else None
        if base is None:
            return None
        links, others = [], []
        for line in joins[1:]:
            match = _JOIN.fullmatch(line)
            if match is None or (match["taken"] and match["taken"] != _FIRST):
                others.append(line.partition(":")[0])
            elif match["left"] == match["table"]:
                links.append(Link(match["table"], match["right"], match["column"], is_child=True))
            else:
                links.append(Link(match["table"], match["left"], match["column"], is_child=False))
        return cls(base["base"], tuple(links), tuple(others))


@dataclass(frozen=True, slots=True)
class SourcedColumn:
    """A column of the profile whose values come from one column of one source table."""

    name: str
    type: str
    table: str
    column: str


def sourced_columns(columns: Iterable[Mapping[str, Any]], tables: Iterable[str]) -> tuple[SourcedColumn, ...]:
    """Return the columns of a list of columns (`columns.json`) that come from some tables."""
    wanted = set(tables)
    return tuple(
        SourcedColumn(str(c["name"]), str(c["type"]), str(c["source_table"]), str(c["source_column"]))
        for c in columns
        if c["source_table"] in wanted
    )
