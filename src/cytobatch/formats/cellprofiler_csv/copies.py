"""Copies of tables that browsers and file managers leave beside them: `Cells (1).csv`, `Cells - Copy.csv`."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from cytobatch.errors import LayoutError
from cytobatch.formats.base import Listing
from cytobatch.formats.csv_names import TableFile
from cytobatch.planning.inventory import SourceFile

_WORD = r"(?:copy|copie|copia|c[oó]pia|kopie|kopia|kopi)"
_COPY = re.compile(
    rf"(?P<name>.+?)(?:\s*[-\u2013]\s*{_WORD}|\s+{_WORD}(?:\s+\d+)?)?(?:\s*\((?:\d+|[^()]*{_WORD}[^()]*)\))?",
    re.IGNORECASE,
)
_COPY_OF = re.compile(rf"{_WORD}\s+(?:of|von|de)\s+(?P<name>.+)", re.IGNORECASE)
"""Names that only copies have, because CellProfiler's names of objects are letters, digits and underscores."""
_LIKELY = re.compile(r"(?P<name>.+?)(?:[- ]\d+|-checkpoint)", re.IGNORECASE)
"""Names that are copies where the original is beside them: `Cells 2.csv` of macOS, `Cells-1.csv` of Safari."""

_MARKS = re.compile(r"[ (\u2013-]")
"""Characters of which each name of a copy has one."""


def copied_name(stem: str) -> str | None:
    """Return the name of the file that a file is a copy of by its own name, or None if it has no name of a copy."""
    if not _MARKS.search(stem):
        return None
    match = _COPY_OF.fullmatch(stem) or _COPY.fullmatch(stem)
    return match["name"].strip() if match and match["name"] != stem else None


def copies_of(files: Iterable[TableFile]) -> dict[str, SourceFile]:
    """Return the original of each copy that lies beside its original, by the copy's path."""
    files = list(files)
    if not any(_MARKS.search(each.stem) for each in files):
        return {}
    folders: dict[str, dict[str, SourceFile]] = defaultdict(dict)
    for each in files:
        folders[each.file.folder][each.file.stem.lower()] = each.file
    copies = {}
    for folder in folders.values():
        for stem, file in folder.items():
            likely = _LIKELY.fullmatch(stem)
            names = (copied_name(stem), likely["name"] if likely else None)
            original = next((folder[name] for name in names if name in folder), None)
            if original is not None:
                copies[file.path] = original
    return copies


def files_to_compare(files: Iterable[TableFile]) -> Iterator[SourceFile]:
    """Yield the copies and originals whose first bytes `check_copies` compares: those of one size."""
    files = list(files)
    by_path = {each.file.path: each.file for each in files}
    for path, original in copies_of(files).items():
        if by_path[path].size == original.size > 0:
            yield from (by_path[path], original)


def check_copies(listing: Listing, copies: Mapping[str, SourceFile]) -> None:
    """Check that copies have the size and first bytes of their originals.

    Raises LayoutError, because either of the two may be the right one, or both are tables of different sites.
    """
    files = {file.path: file for file in listing.inventory.files}
    for path, original in copies.items():
        size = files[path].size
        difference = f"has {size} bytes and not {original.size}" if size != original.size else "has other content"
        if size != original.size or listing.heads.get(path) != listing.heads.get(original.path):
            raise LayoutError(
                "a table and its copy differ",
                where=listing.inventory.root,
                why=f"{path} is named as a copy of {original.path}, but {difference}",
                remedy="remove one of the two, or move the files of another site to a folder of their own",
            )


def check_lone_copies(root: str, files: Iterable[SourceFile]) -> None:
    """Check that no table is a copy whose original is absent. Raises LayoutError."""
    for file in files:
        name = copied_name(file.stem)
        if name is not None:
            raise LayoutError(
                "a copy without its original",
                where=root,
                why=f"{file.path} is named as a copy of {name}.csv, which is not there",
                remedy=f"rename it to {name}.csv, or remove it",
            )
