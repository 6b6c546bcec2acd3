"""The exports of a source, from the ledger of a report: their files, and the numbers by which rows name them."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cytobatch.report.model import LedgerEntry, Outcome

IMAGE_TABLES = ("image", "images")
OBJECTS = "objects"
"""The name of the only table of files with whole rows."""
_PER = "per_"


class Files(Protocol):
    """The files of a source on the local disk."""

    def whole(self, path: str) -> Path:
        """Return a local file that has all bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Export:
    """An export: its path, and the ledger entry of each of its tables, by lower-case name without a prefix."""

    path: str
    tables: Mapping[str, LedgerEntry]

    def numbers(self, files: Files) -> frozenset[object]:
        """Return the TableNumbers that it may have. Of files that are alike, later ones add their path."""
        number = self._checksum(files)
        return frozenset({number, zlib.crc32(self.path.encode(), number)})

    def _checksum(self, files: Files) -> int:
        """Return the CRC-32 of the file of its image table, or of its path if it has none.

        cytominer-database numbers exports so, and cytobatch does the same.
        """
        entry = next((self.tables[name] for name in (*IMAGE_TABLES, OBJECTS) if name in self.tables), None)
        return zlib.crc32(self.path.encode() if entry is None else files.whole(entry.path).read_bytes())


def exports_of(ledger: Iterable[LedgerEntry]) -> list[Export]:
    """Return the exports that have converted tables, in the order of the ledger."""
    tables: dict[str, dict[str, LedgerEntry]] = defaultdict(dict)
    for entry in ledger:
        if entry.export is not None and entry.table is not None and entry.outcome is Outcome.CONVERTED:
            tables[entry.export][plain_name(entry.table)] = entry
    return [Export(path, named) for path, named in tables.items()]


def plain_name(table: str) -> str:
    """Return a table's name as joins have it: `MyExpt_Per_Cells` is `cells`."""
    return table.lower().rpartition(_PER)[2]


def by_number(exports: Sequence[Export], files: Files, numbers: Iterable[object]) -> dict[object, list[Export]]:
    """Return the exports that a TableNumber may stand for."""
    wanted = set(numbers)
    found: dict[object, list[Export]] = defaultdict(list)
    for export in exports:
        for candidate in export.numbers(files) & wanted:
            found[candidate].append(export)
    return dict(found)
