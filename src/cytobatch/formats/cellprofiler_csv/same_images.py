"""Sets of tables in one folder that describe the same images: the outputs of two runs, of which one is wanted."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from cytobatch.config.presets.catalog import Preset
from cytobatch.config.wells import SiteLocation
from cytobatch.errors import InvalidTableError, LayoutError
from cytobatch.formats.base import ExportScan
from cytobatch.formats.cellprofiler_csv.prefixes import prefix_flag
from cytobatch.formats.csv_files import CsvTable, csv_table
from cytobatch.planning.columns import IMAGE_NUMBER
from cytobatch.readers.csv import read as csv
from cytobatch.readers.inputs import Inputs

_IDENTITY = re.compile(r"(?:Image_)?(?:(?:FileName|URL|Frame|Series)_.+|Metadata_.+)")
_PATH = re.compile(r"(?:Image_)?PathName_.+")
_LOCATING = re.compile(r"(?:Image_)?Metadata_.*(?:well|site|field|fov|position).*", re.IGNORECASE)


def check_same_images(root: str, preset: Preset, scans: Sequence[ExportScan], inputs: Inputs) -> None:
    """Check that no two sets of tables in one folder describe the same images. Raises LayoutError, which names both."""
    folders: dict[tuple[str, SiteLocation], list[CsvTable]] = defaultdict(list)
    for scan in scans:
        tables = (csv_table(scan, name) for name in preset.metadata)
        image = next((table for table in tables if table is not None and table.has_rows), None)
        if image is not None:
            # The prefixes may be those of sites, which are different images.
            folders[str(PurePosixPath(image.source).parent), scan.export.location].append(image)
    for (folder, _), sets in folders.items():
        if len(sets) > 1:
            _check_folder(f"{root}, folder {folder}", sets, inputs)


def _check_folder(where: str, sets: Sequence[CsvTable], inputs: Inputs) -> None:
    columns = _identity_columns(sets)
    owners: dict[tuple[str, ...], CsvTable] = {}
    for table in sets:
        for image in _images(table, columns, inputs):
            other = owners.setdefault(image, table)
            if other is not table:
                raise LayoutError(
                    "two sets of tables over the same images",
                    where=where,
                    why=f"the sets of {other.source} and {table.source} differ in the prefix of their files, and both "
                    f"have the image {', '.join(f'{n}={v}' for n, v in zip(columns, image, strict=True))}",
                    remedy=f"take one of the two with {_flag(other)} or {_flag(table)}, or move its files elsewhere",
                )


def _flag(image: CsvTable) -> str:
    """Return the flag that takes the set of an image table."""
    return prefix_flag(PurePosixPath(image.source.removesuffix(".gz")).stem, image.name)


def _identity_columns(tables: Sequence[CsvTable]) -> tuple[str, ...]:
    """Return the columns of all tables that identify an image.

    They are the names of its files and its metadata. Folders count where metadata do not locate the image: two runs may
    have read one image from two folders. Without any of these an image has its number alone.
    """
    first, *others = (set(table.schema.names) for table in tables)
    shared = [name for name in tables[0].schema.names if name in first.intersection(*others)]
    names = [name for name in shared if _IDENTITY.fullmatch(name)]
    if not any(_LOCATING.fullmatch(name) for name in names):
        names += [name for name in shared if _PATH.fullmatch(name)]
    return tuple(names) or (IMAGE_NUMBER,)


def _images(table: CsvTable, columns: Sequence[str], inputs: Inputs) -> Iterator[tuple[str, ...]]:
    """Yield the values that identify each image of a table; nothing if the table cannot be read."""
    try:
        rows = csv.read_text(inputs.whole(table.source), table.shape, tuple(columns))
    except InvalidTableError:
        return
    for values in zip(*(rows[name].to_pylist() for name in columns), strict=True):
        image = tuple((value or "").strip() for value in values)
        if any(image):
            yield image
