"""Plate, well and site: their spellings in names of files, folders and columns, and their form in a profile.

Wells are normalised to row letters and a two-digit column (`A01`; 1536-well plates go on with `AA01`), because
pycytominer and the Cell Painting Gallery's platemaps have this form. Site folders follow the Gallery's
`<plate>-<well>-<site>`; Distributed-CellProfiler adds the number of a crop. Opera Phenix names a well by the numbers of
its row and column, and a field after them: `r02c03f01`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

ROWS_OF_1536 = 32
COLUMNS_OF_1536 = 48

_WELL = re.compile(r"([A-Za-z]{1,2})\s*[-_]?\s*0*([0-9]{1,2})")
_SITE = re.compile(r"(?:s|f|site|field|fov)?[-_ ]?0*([0-9]{1,9})(?:\.0+)?", re.IGNORECASE)
_PHENIX = re.compile(r"r(?P<row>[0-9]{2})c(?P<column>[0-9]{2})(?:f(?P<site>[0-9]{2,4}))?", re.IGNORECASE)
_WITH_SITE = re.compile(
    r"(?:(?P<plate>.+)[-_])?(?P<well>[A-Za-z]{1,2}[0-9]{1,2})[-_](?:s|f|site)?(?P<site>[0-9]{1,9})", re.IGNORECASE
)
# Two digits, as below: `v2-1-0` is a version.
_WITH_CROP = re.compile(
    r"(?P<plate>.+)[-_](?P<well>[A-Za-z]{1,2}[0-9]{2})[-_](?:s|f|site)?(?P<site>[0-9]{1,9})[-_][0-9]{1,9}",
    re.IGNORECASE,
)
_PHENIX_FOLDER = re.compile(
    r"(?:(?P<plate>.+)[-_])?(?P<well>r[0-9]{2}c[0-9]{2})(?:[-_]?(?:s|f|site)?(?P<site>[0-9]{1,9}))?", re.IGNORECASE
)
# Without a site the column must have two digits: `A01` is a well, the `v2` of `export-v2` is not.
_WITHOUT_SITE = re.compile(r"(?:(?P<plate>.+)[-_])?(?P<well>[A-Za-z]{1,2}[0-9]{2})")
_MISSING = frozenset({"", "na", "n/a", "#n/a", "<na>", "null", "none", "nil", "nat"})
_NOT_A_NUMBER = re.compile(r"[+-]?nan(\(.*\))?|-?1\.#(ind|qnan|snan)0*", re.IGNORECASE)
_WHOLE = re.compile(r"([0-9]+)\.0+")
_FRACTION = re.compile(r"[0-9]+\.[0-9]*[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class SiteLocation:
    """Plate, well and site of an image; those that are unknown are None."""

    plate: str | None = None
    well: str | None = None
    site: str | None = None

    def or_else(self, other: "SiteLocation") -> "SiteLocation":
        """Return this location, its unknown parts taken from another one."""
        return SiteLocation(self.plate or other.plate, self.well or other.well, self.site or other.site)


def row_letters(row: int) -> str:
    """Return the letters of a 1-based plate row: 1 is A, 26 is Z, 27 is AA. Raises ValueError beyond row 32."""
    if not 1 <= row <= ROWS_OF_1536:
        raise ValueError(f"a plate has rows 1 to {ROWS_OF_1536}, not {row}")
    letter = chr(ord("A") + (row - 1) % 26)
    return letter if row <= 26 else "A" + letter


def _row_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def well_position(well: str) -> tuple[int, int] | None:
    """Return the 1-based row and column of a normalised well, `(1, 1)` of `A01`; None for any other text."""
    match = _WELL.fullmatch(well)
    return (_row_number(match[1]), int(match[2])) if match and _well(well) == well else None


def _well(text: str) -> str | None:
    match = _WELL.fullmatch(text)
    if match is None:
        return None
    row, column = _row_number(match[1]), int(match[2])
    inside = 1 <= row <= ROWS_OF_1536 and 1 <= column <= COLUMNS_OF_1536
    return f"{row_letters(row)}{column:02d}" if inside else None


def known_text(value: object) -> str | None:
    """Return a plate, well or site as text without outer blanks; None for missing values such as `nan` and `None`."""
    text = "" if value is None else str(value).strip()
    return None if text.lower() in _MISSING or _NOT_A_NUMBER.fullmatch(text) else text


def without_decimals(text: str) -> str:
    """Return `24512` for `24512.0`, as which pandas saves it beside missing values; other text is returned as it is."""
    match = _WHOLE.fullmatch(text)
    return match[1] if match else text


def whole_numbers(texts: Sequence[str | None]) -> list[str | None]:
    """Return a column's texts, each `1.0` as `1`. If the column has a fraction (`1.5`), its texts are no integers."""
    if any(text and _FRACTION.fullmatch(text) for text in texts):
        return list(texts)
    return [text and without_decimals(text) for text in texts]


def is_phenix_well(text: str) -> bool:
    """Return True for a well as Opera Phenix writes it, with or without a field: `r02c03`, `r02c03f01`."""
    return _phenix_well(text.strip()) is not None


def phenix_site(text: str) -> str | None:
    """Return the field that follows a well as Opera Phenix writes it: `1` of `r02c03f01`."""
    match = _PHENIX.fullmatch(text.strip())
    return str(int(match["site"])) if match and match["site"] else None


def _phenix_well(text: str) -> str | None:
    match = _PHENIX.fullmatch(text)
    return well_of_row_and_column(match["row"], match["column"]) if match else None


def normalise_well(text: str) -> str | None:
    """Return `A01` for `a1`, `A - 01`, `A001` and `r01c01`, and None for missing values.

    Text that is not a well of a 1536-well plate is returned without its outer blanks.
    """
    known = known_text(text)
    return None if known is None else _well(known) or _phenix_well(known) or known


def well_of_row_and_column(row: str, column: str) -> str | None:
    """Return the well of a plate row (letters or a 1-based number) and a 1-based column, if there is one."""
    row, column = without_decimals(row.strip()), without_decimals(column.strip())
    if not column.isdecimal():
        return None
    if row.isdecimal():
        if not 1 <= int(row) <= ROWS_OF_1536:
            return None
        row = row_letters(int(row))
    return _well(f"{row}{int(column)}")


def site_number(text: str) -> int | None:
    """Return the number in `3`, `s3`, `site_03` and `3.0`; None for any other text."""
    match = _SITE.fullmatch(text.strip())
    return int(match[1]) if match else None


def location_of_file(path: str) -> SiteLocation:
    """Return plate, well and site from the path of a file of one image set, as far as its names contain them.

    `<plate>/<well>_<site>.<suffix>` and `<plate>/<well>/<site>.<suffix>` are names that programs give such files;
    `<plate>/<well>/<site>/<any>` and `<plate>/<well>-<site>/<any>` are the Cell Painting Gallery's;
    `<plate>-<well>-<site>` is a common name of a folder or a file.
    """
    parts = PurePosixPath(path).with_suffix("").parts
    for end in (len(parts), len(parts) - 1):
        location = location_of_folder(parts[end - 1]) if end > 0 else SiteLocation()
        above = parts[: end - 1]
        if location.site is None and end > 1 and parts[end - 1].isdecimal():
            location = replace(location_of_folder(parts[end - 2]), site=str(int(parts[end - 1])))
            above = parts[: end - 2]
        if location.well is not None and location.site is not None:
            return location.or_else(SiteLocation(plate=above[-1] if above else None))
    return SiteLocation()


def location_of_folder(name: str) -> SiteLocation:
    """Return plate, well and site from a folder's name, as far as it has them.

    Names are `P-A01-1`, `P-A01-1-2` (with a crop), `P-A01`, `A01-1`, `A01`, `P-r01c01f01` and `r01c01`.
    """
    for pattern in (_WITH_CROP, _WITH_SITE, _WITHOUT_SITE, _PHENIX_FOLDER):
        match = pattern.fullmatch(name)
        well = (_well(match["well"]) or _phenix_well(match["well"])) if match else None
        if match is not None and well is not None:
            site = match.groupdict().get("site")
            return SiteLocation(match["plate"], well, str(int(site)) if site else None)
    return SiteLocation()
