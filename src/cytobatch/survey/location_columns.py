"""The columns of an image table or LoadData file that contain a plate, well or site, under the names that labs use.

Names are compared without case and punctuation: `Metadata_CPD_WELL_POSITION`, `Image_Metadata_well`, `Plate_Barcode`.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from cytobatch.config.wells import (
    SiteLocation,
    is_phenix_well,
    known_text,
    normalise_well,
    phenix_site,
    well_of_row_and_column,
    whole_numbers,
)
from cytobatch.planning.columns import HEADERS, PLATE, SITE, WELL, ColumnKind, kind_of
from cytobatch.report.lines import shortened

# The names that users of CellProfiler's Metadata and LoadData modules commonly choose, the most specific first.
_NAMES = {
    PLATE: ("plate", "plateid", "platename", "barcode", "platebarcode", "assayplatebarcode", "platenumber"),
    WELL: ("well", "wellid", "wellposition", "cpdwellposition", "assaywellposition", "wellname", "welllabel"),
    SITE: (
        *("site", "field", "fieldid", "fov", "siteid", "sitenumber", "fieldnumber", "fieldindex", "fieldofview"),
        *("fovid", "fovnumber"),
    ),
}
_EXACT = {
    PLATE: (PLATE, "Metadata_PlateID", "Metadata_Plate_Name", "Metadata_Barcode"),
    WELL: (WELL, "Metadata_WellID", "Metadata_Well_Position"),
    SITE: (SITE, "Metadata_Field", "Metadata_FieldID", "Metadata_FOV"),
}
"""Spellings that are taken before all others."""
_ROWS = ("wellrow", "row", "platerow", "rowid")
_COLUMNS = {
    "wellrow": ("wellcolumn", "wellcol"),
    "row": ("col", "column"),
    "platerow": ("platecolumn", "platecol"),
    "rowid": ("columnid", "colid"),
}
# Without Metadata_ in front these names may mean something else.
_ONLY_METADATA = frozenset({"barcode", "field", "fieldid", "fieldindex", "fov", "row", "col", "column", "rowid"})
_PREFIX = re.compile(r"(?:image_)?(metadata_)?(.+)", re.IGNORECASE)
_CANDIDATES = {
    PLATE: re.compile(r"plate|barcode", re.IGNORECASE),
    WELL: re.compile(r"well|(?<![a-z])(row|col|column)(?![a-z])", re.IGNORECASE),
    SITE: re.compile(r"site|(?<!bright)(?<!dark)(?<!flat)field|fov", re.IGNORECASE),
}
_SHOWN = 5

Texts = Sequence[str | None]
"""A column as text, a value for each row; unknown values are None."""


def _plain(column: str) -> tuple[str, bool]:
    """Return a column's name in lower-case letters and digits, without prefixes, and whether it had `Metadata_`."""
    match = _PREFIX.fullmatch(column)
    name, metadata = (match[2], bool(match[1])) if match else (column, False)
    return re.sub(r"[^a-z0-9]", "", name.lower()), metadata


def _is_one_of(column: str, names: Iterable[str]) -> bool:
    name, metadata = _plain(column)
    return name in names and (metadata or name not in _ONLY_METADATA)


def columns_of(part: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that contain one part of a location, the most trusted one first.

    Parameters
    ----------
    part
        Metadata_Plate, Metadata_Well or Metadata_Site.
    columns
        Names of columns at the source.
    """
    exact = [spelling for name in _EXACT[part] for spelling in (name, f"Image_{name}") if spelling in columns]
    others = [column for column in columns if column not in exact and _is_one_of(column, _NAMES[part])]
    names = _NAMES[part]
    return [*exact, *sorted(others, key=lambda column: (not _plain(column)[1], names.index(_plain(column)[0])))]


def _rows_and_columns(columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of columns that contain a well's row and column, the most trusted one first."""
    for row_name in _ROWS:
        for column_name in _COLUMNS[row_name]:
            rows = [column for column in columns if _is_one_of(column, (row_name,))]
            others = [column for column in columns if _is_one_of(column, (column_name,))]
            yield from zip(rows, others, strict=False)


def location_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of an image table that contain a plate, well or site."""
    return _location_columns(tuple(columns))


@functools.lru_cache(maxsize=HEADERS)
def _location_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that contain a location. Cached, because thousands of exports have the same few headers."""
    pairs = {column for pair in _rows_and_columns(names) for column in pair}
    known = pairs.union(*(columns_of(part, names) for part in _NAMES))
    return tuple(column for column in names if column in known)


def locations(table: pa.Table, fallback: Sequence[SiteLocation]) -> list[SiteLocation]:
    """Return plate, well and site of each row.

    Parameters
    ----------
    table
        Rows under their source names. A row's value is that of the first known column in which it is not missing.
    fallback
        A location for each row, of its export's folder or of the job. It fills what the row's columns lack.
    """
    plates, wells, sites = (_first_known(table, columns_of(part, table.column_names)) for part in _NAMES)
    pairs = _wells_by_row_and_column(table)
    rows = zip(plates, wells, pairs, sites, fallback, strict=True)
    return [_location(plate, well, pair, site).or_else(other) for plate, well, pair, site, other in rows]


def _location(plate: str | None, well: str | None, pair: str | None, site: str | None) -> SiteLocation:
    if well is None:
        return SiteLocation(plate, pair, site)
    return SiteLocation(plate, normalise_well(well), site or phenix_site(well))


def _text(table: pa.Table, column: str) -> Texts:
    return whole_numbers([known_text(value) for value in table[column].to_pylist()])


def _first_known(table: pa.Table, columns: Sequence[str]) -> Texts:
    values: Texts = [None] * table.num_rows
    for column in columns:
        if all(value is not None for value in values):
            break
        values = [value or other for value, other in zip(values, _text(table, column), strict=True)]
    return values


def _wells_by_row_and_column(table: pa.Table) -> Texts:
    wells: Texts = [None] * table.num_rows
    for row_name, column_name in _rows_and_columns(table.column_names):
        rows = zip(wells, _text(table, row_name), _text(table, column_name), strict=True)
        wells = [
            well or (well_of_row_and_column(row, column) if row and column else None) for well, row, column in rows
        ]
    return wells


def candidates(part: str, columns: Iterable[str]) -> list[str]:
    """Return the columns whose names resemble one part of a location, though its values are unknown."""
    pattern = _CANDIDATES[part]
    return [column for column in columns if _may_be_location(column) and pattern.search(_PREFIX.sub(r"\2", column))]


def _may_be_location(column: str) -> bool:
    name, metadata = _plain(column)
    return metadata or (kind_of(column) is ColumnKind.MEASUREMENT and name.startswith(("plate", "well", "site")))


def unknown_parts(known: Iterable[str], columns: Sequence[str]) -> list[str]:
    """Return a warning for each part of a location that is unknown though a column's name resembles it.

    Parameters
    ----------
    known
        The parts that are known: Metadata_Plate, Metadata_Well, Metadata_Site.
    columns
        The names of all columns of the image tables.
    """
    warnings = []
    for part in set(_NAMES) - set(known):
        names = candidates(part, columns)
        if names:
            what = part.removeprefix("Metadata_").lower()
            shown = shortened(names, _SHOWN)
            warnings.append(f"the {what} is unknown, but the image table has {shown}; {part} is not written")
    return sorted(warnings)


def phenix_wells(table: pa.Table) -> int:
    """Return the number of rows whose well has the notation of Opera Phenix, by the first known column."""
    values = _first_known(table, columns_of(WELL, table.column_names))
    return sum(value is not None and is_phenix_well(value) for value in values)
