"""The table that a CSV file's name stands for: the name behind the prefix that ExportToSpreadsheet put before it.

A user may give any prefix to the files of an export: `MyExpt_`, `Run7`, or a tag of each site such as `P1_A01_1_`. The
files `<prefix>Image.csv`, `<prefix>Cells.csv`, … of one folder are one set. Names are compared in lower case.
"""

import functools
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cytobatch.config.presets.catalog import USUAL_TABLES
from cytobatch.formats.csv_suffixes import COMPANIONS, IMAGE, csv_files
from cytobatch.planning.inventory import Inventory, SourceFile


@dataclass(frozen=True, slots=True)
class TableFile:
    """A CSV file, the prefix of its name as it is written, and the lower-case name behind the prefix."""

    file: SourceFile
    prefix: str
    stem: str


@functools.lru_cache(maxsize=2)
def table_files(inventory: Inventory) -> Mapping[str, TableFile]:
    """Return the CSV files by path, with their prefixes.

    A folder's prefixes are those of its image tables. A folder without image tables may use those of other folders.
    Cached, because a plate may have tens of thousands of files.
    """
    folders: dict[str, list[tuple[SourceFile, str]]] = defaultdict(list)
    for file in csv_files(inventory):
        folders[file.folder].append((file, file.stem))
    stems = {folder: {stem.lower() for _, stem in files} for folder, files in folders.items()}
    own = _prefixes_by_folder(stems)
    known = frozenset(prefix for prefixes in own.values() for prefix in prefixes)
    result = {}
    for folder, files in folders.items():
        prefixes = own[folder] if own[folder] or IMAGE in stems[folder] else known
        for file, stem in files:
            length = _prefix_length(stem.lower(), prefixes)
            result[file.path] = TableFile(file, stem[:length], stem[length:].lower())
    return MappingProxyType(result)


def _prefixes_by_folder(folders: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """Return the prefixes of each folder's image tables, from the lower-case stems of each folder."""
    everywhere = {stem for stems in folders.values() for stem in stems}
    return {
        folder: frozenset(
            prefix
            for stem in stems
            if stem.endswith(IMAGE) and (prefix := stem.removesuffix(IMAGE)) and _is_prefix(prefix, stems, everywhere)
        )
        for folder, stems in folders.items()
    }


def _is_prefix(prefix: str, stems: Collection[str], everywhere: Collection[str]) -> bool:
    """Return True if `<prefix>image` is an image table: tables of the same prefix are in its folder or elsewhere."""
    if any(f"{prefix}{name}" in everywhere for name in COMPANIONS):
        return True
    others = {stem.removeprefix(prefix) for stem in stems if stem.startswith(prefix) and stem not in USUAL_TABLES}
    others -= {"", IMAGE}
    # Beside another image table, only a name that the other set has, too, shows that this one is a set.
    return bool(others & set(stems)) if IMAGE in stems else bool(others) or prefix.endswith("_")


def _prefix_length(stem: str, prefixes: Collection[str]) -> int:
    """Return the length of the longest prefix of a stem; 0 for the usual names themselves."""
    if stem in USUAL_TABLES or not prefixes:
        return 0
    return next((length for length in range(len(stem) - 1, 0, -1) if stem[:length] in prefixes), 0)
