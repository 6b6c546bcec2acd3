"""Sets of tables in one SQLite file: each is an export of its own, known by the prefix of its tables' names."""

import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import pyarrow as pa

from cytobatch.config.options import PlateJob
from cytobatch.errors import InvalidTableError, LayoutError
from cytobatch.formats.base import Export
from cytobatch.formats.cellprofiler_sqlite.names import fits_prefix
from cytobatch.formats.cellprofiler_sqlite.table import DatabaseTable
from cytobatch.planning.columns import IMAGE_NUMBER, METADATA, PLATE, TABLE_NUMBER, ColumnKind, kind_of
from cytobatch.planning.schema import text_keys

_IMAGE = "image"
_FILE_NAME = "FileName_"
_SHOWN = 3

ReadColumns = Callable[[DatabaseTable, Sequence[str]], pa.Table]
"""Reads columns of a table as text."""


@dataclass(frozen=True, slots=True)
class TableSet:
    """The tables of one run in a file: their prefix, and the tables by lower-case name."""

    prefix: str
    tables: tuple[DatabaseTable, ...]

    @property
    def names(self) -> set[str]:
        """The lower-case names of the tables."""
        return {table.name for table in self.tables}

    @property
    def shown(self) -> str:
        """The names of the tables in the file."""
        return ", ".join(sorted({table.shown_name for table in self.tables}))

    @property
    def flag(self) -> str:
        """The flag that takes this set."""
        return f"--table-prefix {shlex.quote(self.prefix)}"

    def export(self, export: Export) -> Export:
        """Return the set as an export of the file `export`."""
        prefix = self.prefix.rstrip("_")
        return replace(export, path=f"{export.path}/{prefix}" if prefix else export.path)


def split_sets(tables: Iterable[DatabaseTable]) -> tuple[list[TableSet], list[DatabaseTable]]:
    """Return the sets of tables in a file, and the tables that belong to none of several sets.

    Tables with different names are one set, whatever their prefixes. If two have the same name, tables are a set with
    those of their prefix. A table of a name of its own and of no set's prefix joins the set if there is only one.
    """
    groups: dict[str, list[DatabaseTable]] = {}
    for table in tables:
        groups.setdefault(table.origin.set_key, []).append(table)
    # Tables that are read from one table, with all compartments side by side, have one origin.
    names = [table.name for group in groups.values() for table in group]
    if len(names) == len(set(names)):
        everything = [table for group in groups.values() for table in group]
        return ([_table_set(everything)] if everything else []), []
    sets = {key: group for key, group in groups.items() if _is_set(key, groups)}
    rest = [table for key, group in groups.items() if key not in sets for table in group]
    return [_table_set(group) for group in sets.values()], rest


def _table_set(tables: Sequence[DatabaseTable]) -> TableSet:
    usual = [table for table in tables if table.origin.is_usual]
    return TableSet((usual or tables)[0].origin.prefix, tuple(tables))


def _is_set(key: str, groups: dict[str, list[DatabaseTable]]) -> bool:
    """Return True if a group has a usual table, or a table that another group has, too."""
    others = {table.name for other, group in groups.items() if other != key for table in group}
    return any(table.origin.is_usual or table.name in others for table in groups[key])


def choose_sets(job: PlateJob, sets: Sequence[TableSet]) -> tuple[list[TableSet], list[DatabaseTable]]:
    """Return the sets that the job's `table_prefix` takes, and the tables of the others.

    A set without an image table takes that of the only other set that has one. Without `table_prefix` all are taken.
    Raises InvalidTableError if `table_prefix` takes none.
    """
    wanted = job.table_prefix
    if wanted is None:
        return list(sets), []
    chosen = [each for each in sets if each.prefix.lower() == wanted.lower()]
    chosen = chosen or [each for each in sets if fits_prefix(each.prefix.lower(), wanted)]
    if sets and not chosen:
        raise InvalidTableError(
            f"no tables with the prefix {wanted!r}",
            why=f"the prefixes are {', '.join(repr(each.prefix) for each in sets)}",
        )
    images = [table for each in sets if each not in chosen for table in each.tables if table.name == _IMAGE]
    if len(chosen) == 1 and len(images) == 1 and _IMAGE not in chosen[0].names:
        chosen = [replace(chosen[0], tables=(*chosen[0].tables, *images))]
    taken = {table.shown_name for each in chosen for table in each.tables}
    return chosen, [table for each in sets for table in each.tables if table.shown_name not in taken]


def check_distinct(sets: Sequence[TableSet], path: str, read: ReadColumns) -> None:
    """Check that no two sets are of the same image sets. Raises LayoutError, InvalidTableError.

    A set without an image table is of the images of the others.
    """
    for one, other in combinations(sets, 2):
        shared = _shared_images(one, other, read)
        if shared:
            raise LayoutError(
                "two sets of tables hold the same image sets",
                where=path,
                why=f"{one.shown} and {other.shown}: {shared}",
                remedy=f"take one of the two with {one.flag} or {other.flag}",
            )


def _shared_images(one: TableSet, other: TableSet, read: ReadColumns) -> str:
    """Return what image sets two sets share, in words; empty if they share none."""
    images = [next((table for table in each.tables if table.name == _IMAGE), None) for each in (one, other)]
    first, second = images
    if first is None or second is None:
        return "one of the two has no image table of its own"
    columns = _identifying(set(first.schema.names) & set(second.schema.names))
    both = [set(text_keys(read(table, columns), columns).to_pylist()) for table in (first, second)]
    shared = sorted(both[0] & both[1])
    if not shared:
        return ""
    examples = "; ".join(key.replace("\x1f", ", ").replace("\x00", "null") for key in shared[:_SHOWN])
    return f"{len(shared)} in both, such as {examples}"


def _identifying(columns: Collection[str]) -> list[str]:
    """Return the columns of image tables that tell images apart, in whatever run they are numbered.

    Folders do only where the plate is not known, because files are moved.
    """
    named = [name for name in columns if METADATA in name or _FILE_NAME in name]
    if named and not any(PLATE in name for name in named):
        named += [name for name in columns if kind_of(name) is ColumnKind.TEXT and _FILE_NAME not in name]
    return sorted(named) or [name for name in (TABLE_NUMBER, IMAGE_NUMBER) if name in columns]
