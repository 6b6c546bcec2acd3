"""Sets of tables under names that no rule reads: a suffix in place of a prefix, or a prefix without an image table."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from cytobatch.config.presets.catalog import USUAL_TABLES
from cytobatch.errors import LayoutError
from cytobatch.formats.base import Listing
from cytobatch.formats.csv_files import headers_by_stem
from cytobatch.formats.csv_names import table_files
from cytobatch.formats.csv_suffixes import IMAGE
from cytobatch.planning.inventory import SourceFile
from cytobatch.report.lines import shortened

_COMPARTMENTS = USUAL_TABLES - {IMAGE}
_PARENT = "parent_"
_SHOWN = 4

Stems = Mapping[str, SourceFile]
"""The CSV files of a folder without a known prefix, by their lower-case names without suffix."""


def check_known_sets(listing: Listing) -> None:
    """Check that tables have no names by which the tables of one export would not be found to be one.

    A job that names its tables takes any name. Raises LayoutError.
    """
    if listing.job.compartments or listing.job.metadata:
        return
    folders: dict[str, dict[str, SourceFile]] = defaultdict(dict)
    for each in table_files(listing.inventory).values():
        if not each.prefix:
            folders[each.file.folder][each.stem] = each.file
    for folder, stems in folders.items():
        if USUAL_TABLES.isdisjoint(stems):
            where = listing.inventory.root if folder == "." else f"{listing.inventory.root.rstrip('/')}/{folder}"
            _check_suffixes(where, stems)
            _check_prefixes(where, stems, listing)


def _check_suffixes(where: str, stems: Stems) -> None:
    """Check that no image table and compartment end alike: `Image_1.csv` and `Cells_1.csv`."""
    for suffix in [stem.removeprefix(IMAGE) for stem in stems if stem.startswith(IMAGE)]:
        tables = [stems[name] for table in sorted(USUAL_TABLES) if (name := f"{table}{suffix}") in stems]
        if len(tables) > 1:
            end = stems[f"{IMAGE}{suffix}"].stem[len(IMAGE) :]
            raise LayoutError(
                "a set of tables with a suffix in their names",
                where=where,
                why=f"{_shown(tables)} end in {end!r}; the tables of an export are known by their folder, or by the "
                "beginning of their names",
                remedy=f"move each set to a folder of its own as Image.csv, Cells.csv, …, or name them "
                f"{end.strip('_- ')}_Image.csv, {end.strip('_- ')}_Cells.csv, …",
            )


def _check_prefixes(where: str, stems: Stems, listing: Listing) -> None:
    """Check that no parent is a table with a prefix: without an image table nothing shows that this is one."""
    prefixes = dict.fromkeys(_prefixes(stems))
    if not prefixes or any(stem.endswith(IMAGE) for stem in stems):
        return
    headers = headers_by_stem(listing)
    for prefix in prefixes:
        tables = {name: stems[f"{prefix}{name}"] for name in sorted(_COMPARTMENTS) if f"{prefix}{name}" in stems}
        columns = {column.lower() for name in tables for column in headers.get(f"{prefix}{name}", ())}
        if any(f"{_PARENT}{name}" in columns for name in tables):
            shown = next(iter(tables.values())).stem[: len(prefix)]
            raise LayoutError(
                "a prefix without an image table",
                where=where,
                why=f"{_shown(tables.values())} begin with {shown!r}, and {shown}Image.csv is not there, which shows "
                "what part of their names is a prefix",
                remedy=f"add {shown}Image.csv, or name the files Cells.csv, Nuclei.csv, …",
            )


def _prefixes(stems: Iterable[str]) -> Iterator[str]:
    for stem in stems:
        yield from (stem.removesuffix(name) for name in _COMPARTMENTS if stem.endswith(name) and stem != name)


def _shown(files: Iterable[SourceFile]) -> str:
    return shortened([file.path.rpartition("/")[2] for file in files], _SHOWN)
