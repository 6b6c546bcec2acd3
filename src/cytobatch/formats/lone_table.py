"""A source that is one table of an export, with the other tables beside it: the folder is the source that is meant."""

from collections.abc import Mapping, Sequence

from cytobatch.config.plural import plural
from cytobatch.config.presets.catalog import USUAL_TABLES
from cytobatch.errors import LayoutError
from cytobatch.formats.csv_names import TableFile, table_files
from cytobatch.formats.csv_suffixes import COMBINED, IMAGE, TABLE_SUFFIXES
from cytobatch.planning.columns import IMAGE_NUMBER, OBJECT_NUMBER
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.readers.csv.dialect import beginning_text
from cytobatch.readers.csv.header import parse_header

_SHOWN = 5
_PARTS = {IMAGE: USUAL_TABLES | {COMBINED}, COMBINED: frozenset({IMAGE})}
"""The tables that belong to a table; for others, the usual tables."""


def may_have_siblings(inventory: Inventory) -> bool:
    """Return True if a source has one file, which may be a CSV table: the files in its folder must be known."""
    return len(inventory.files) == 1 and inventory.files[0].suffix in TABLE_SUFFIXES


def check_lone_table(inventory: Inventory, heads: Mapping[str, bytes], siblings: Sequence[SourceFile]) -> None:
    """Check that a source of one file is not one of several tables of an export. Raises LayoutError.

    Its image table locates the objects, and the other compartments are their parts.
    """
    if not siblings:
        return
    file = inventory.files[0]
    others = [each for each in siblings if each.path != file.path]
    tables = table_files(Inventory.of(inventory.root, [file, *others]))
    own = tables.get(file.path)
    if own is None or not _is_of_an_export(own, heads.get(file.path, b"")):
        return
    parts = _PARTS.get(own.stem, USUAL_TABLES)
    usual = [each for each in tables.values() if each.stem in parts and each.file.path != file.path]
    beside = [each for each in usual if each.prefix.lower() == own.prefix.lower() and each.stem != own.stem]
    if not beside:
        return
    sets = {each.prefix.lower() for each in usual} - {own.prefix.lower()}
    more = (
        f"; the {plural(len(sets), 'other set of tables there is', 'other sets of tables there are')} converted with it"
        if sets
        else ""
    )
    names = [each.file.path for each in beside]
    shown = f"{', '.join(names[:_SHOWN])}{' and others' if len(names) > _SHOWN else ''}"
    raise LayoutError(
        "one table of several",
        where=f"{inventory.root.rstrip('/')}/{file.path}",
        why=f"the other tables of its export lie beside it: {shown}",
        remedy=f"give their folder as the source, {inventory.root}{more}; 'compartments' can name the only one to take",
    )


def _is_of_an_export(table: TableFile, head: bytes) -> bool:
    """Return True for a table of an export by its name, or by the numbers of images and objects in its header."""
    return table.stem in USUAL_TABLES | {COMBINED} or {IMAGE_NUMBER, OBJECT_NUMBER} <= set(
        parse_header(*beginning_text(head))
    )
