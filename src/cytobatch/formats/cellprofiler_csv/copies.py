"""Copies of tables that browsers and file managers leave beside them: `Cells (1).csv`, `Cells - Copy.csv`."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from cytobatch.errors import LayoutError
from cytobatch.formats.csv_names import TableFile
from cytobatch.planning.inventory import SourceFile

_WORD = r"(?:copy|copie|copia|c[oó]pia|kopie|kopia|kopi)"
_SURE = re.compile(
    rf"(?P<name>.+?)(?:\s*[-\u2013]\s*{_WORD}|\s+{_WORD}(?:\s+\d+)?)?(?:\s*\((?:\d+|[^()]*{_WORD}[^()]*)\))?"
    rf"|{_WORD}\s+(?:of|von|de)\s+(?P<of>.+)",
    re.IGNORECASE,
)
"""Names that only copies have, because CellProfiler's names of objects are letters, digits and underscores."""
_LIKELY = re.compile(r"(?P<name>.+?)(?:[- ]\d+|-checkpoint)", re.IGNORECASE)
"""Names that are copies where the original is beside them: `Cells 2.csv` of macOS, `Cells-1.csv` of Safari."""


def copied_name(stem: str) -> str | None:
    """Return the name of the file that a file is a copy of by its own name, or None if it has no name of a copy."""
    match = _SURE.fullmatch(stem)
    name = (match["name"] or match["of"]) if match else stem
    return None if name == stem else name.strip()


def copies_of(files: Iterable[TableFile]) -> dict[str, SourceFile]:
    """Return the original of each copy that lies beside its original, by the copy's path."""
    groups: dict[tuple[str, str], dict[str, TableFile]] = defaultdict(dict)
    for each in files:
        groups[each.file.folder, each.prefix.lower()][each.stem] = each
    copies = {}
    for group in groups.values():
        for stem, each in group.items():
            likely = _LIKELY.fullmatch(stem)
            names = (copied_name(stem), likely["name"] if likely else None)
            original = next((group[name] for name in names if name in group), None)
            if original is not None:
                copies[each.file.path] = original.file
    return copies


def check_copies(root: str, copies: Mapping[str, SourceFile], files: Mapping[str, TableFile]) -> None:
    """Check that copies have the sizes of their originals. Raises LayoutError, because either may be the right one."""
    for path, original in copies.items():
        size = files[path].file.size
        if size != original.size:
            raise LayoutError(
                "a table and its copy differ",
                where=root,
                why=f"{path} is named as a copy of {original.path}, but has {size} bytes and not {original.size}",
                remedy="remove one of the two, and give the other one the table's name",
            )


def check_lone_copies(root: str, tables: Iterable[TableFile]) -> None:
    """Check that no table is a copy whose original is absent. Raises LayoutError."""
    for each in tables:
        name = copied_name(each.stem)
        if name is not None:
            raise LayoutError(
                "a copy without its original",
                where=root,
                why=f"{each.file.path} is named as a copy of {name!r}, which is not there",
                remedy=f"rename it to {each.prefix}{each.file.stem[len(each.prefix) :][: len(name)]}.csv, or remove it",
            )
