"""The files of a source that may be CSV tables by their suffixes: `.csv`, or `.txt` and `.tsv` beside other tables.

ExportToSpreadsheet writes `.txt` files if values are separated by tabs. Any other file may end in `.txt` too, so that
these count only where their names are those of tables. Each suffix may be followed by `.gz`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

from cytobatch.config.presets.catalog import USUAL_TABLES
from cytobatch.planning.inventory import Inventory, SourceFile

CSV_SUFFIX = ".csv"
COMBINED = "object"
"""The stem of the file in which ExportToSpreadsheet puts all compartments side by side, under a header of two rows."""
EXPERIMENT = "experiment"
"""The stem of the file in which ExportToSpreadsheet records the pipeline and its version."""
_TEXT_SUFFIXES = frozenset({".txt", ".tsv"})
TABLE_SUFFIXES = _TEXT_SUFFIXES | {CSV_SUFFIX}
IMAGE = "image"
COMPANIONS = (USUAL_TABLES | {COMBINED}) - {IMAGE}
"""Tables of which one beside `<prefix>Image.csv` shows that the prefix is one."""


def csv_files(inventory: Inventory) -> list[SourceFile]:
    """Return the files that may be CSV tables, in their order; of several with one stem in a folder only the first."""
    candidates = _candidates(inventory)
    twins = _twins(candidates)
    return [file for file in candidates if file.path not in twins]


def other_copies(inventory: Inventory) -> dict[str, SourceFile]:
    """Return the files with another suffix or compressed beside a table of their stem, by path, with that table.

    An uncompressed `.csv` file is the table, whatever is beside it.
    """
    return _twins(_candidates(inventory))


def _twins(candidates: Iterable[SourceFile]) -> dict[str, SourceFile]:
    folders: dict[tuple[str, str], list[SourceFile]] = defaultdict(list)
    for file in candidates:
        folders[file.folder, file.stem.lower()].append(file)
    return {
        file.path: kept
        for files in folders.values()
        for kept in (min(files, key=_rank),)
        for file in files
        if _rank(file) > _rank(kept)
    }


def _rank(file: SourceFile) -> int:
    return 2 * (file.suffix != CSV_SUFFIX) + file.is_compressed


def _candidates(inventory: Inventory) -> list[SourceFile]:
    tables = [file for file in inventory.files if file.suffix == CSV_SUFFIX]
    texts = [file for file in inventory.files if file.suffix in _TEXT_SUFFIXES]
    prefixes = _prefixes({file.stem.lower() for file in tables}, {file.stem.lower() for file in texts})
    paths = {file.path for file in texts if file.stem.lower().startswith(prefixes)}
    return [file for file in inventory.files if file.suffix == CSV_SUFFIX or file.path in paths]


def _prefixes(tables: Collection[str], texts: Collection[str]) -> tuple[str, ...]:
    """Return the prefixes of an image table and another usual table, at least one of which is a text file."""
    stems = {*tables, *texts}
    images = {stem.removesuffix(IMAGE) for stem in stems if stem.endswith(IMAGE)}
    return tuple(
        prefix
        for prefix in images
        if any(f"{prefix}{name}" in texts for name in (*COMPANIONS, IMAGE))
        and any(f"{prefix}{name}" in stems for name in COMPANIONS)
    )
