"""Plate, well and site: how labs write them, and the one way a profile does.

Wells are normalised to a letter row and a two-digit column (`A01`; 1536-well plates go on with `AA01`), which is what
pycytominer and the Cell Painting Gallery's platemaps use. Site folders follow the Gallery's `<plate>-<well>-<site>`.
"""

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

ROWS_OF_1536 = 32
COLUMNS_OF_1536 = 48

_WELL = re.compile(r"([A-Za-z]{1,2})\s*[-_]?\s*0*([0-9]{1,2})")
_SITE = re.compile(r"(?:s|f|site|field|fov)?[-_ ]?0*([0-9]{1,9})", re.IGNORECASE)
_WITH_SITE = re.compile(
    r"(?:(?P<plate>.+)[-_])?(?P<well>[A-Za-z]{1,2}[0-9]{1,2})[-_](?:s|f|site)?(?P<site>[0-9]{1,9})", re.IGNORECASE
)
# Without a site the column must have two digits: `A01` is a well, the `v2` of `export-v2` is not.
_WITHOUT_SITE = re.compile(r"(?:(?P<plate>.+)[-_])?(?P<well>[A-Za-z]{1,2}[0-9]{2})")


@dataclass(frozen=True, slots=True)
class SiteLocation:
    """Where an image was taken, as far as it is known."""

    plate: str | None = None
    well: str | None = None
    site: str | None = None

    def or_else(self, other: "SiteLocation") -> "SiteLocation":
        """This place, its gaps filled from another."""
        return SiteLocation(self.plate or other.plate, self.well or other.well, self.site or other.site)


def row_letters(row: int) -> str:
    """The letters of a 1-based plate row: 1 is A, 26 is Z, 27 is AA. Raises ValueError beyond a 1536-well plate."""
    if not 1 <= row <= ROWS_OF_1536:
        raise ValueError(f"a plate has rows 1 to {ROWS_OF_1536}, not {row}")
    letter = chr(ord("A") + (row - 1) % 26)
    return letter if row <= 26 else "A" + letter


def _row_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _well(text: str) -> str | None:
    match = _WELL.fullmatch(text)
    if match is None:
        return None
    row, column = _row_number(match[1]), int(match[2])
    inside = 1 <= row <= ROWS_OF_1536 and 1 <= column <= COLUMNS_OF_1536
    return f"{row_letters(row)}{column:02d}" if inside else None


def normalise_well(text: str) -> str | None:
    """`a1`, `A - 01` and `A001` as `A01`; text that is no well of a 1536-well plate as it is; blank text as None."""
    text = text.strip()
    return _well(text) or text or None


def well_of_row_and_column(row: str, column: str) -> str | None:
    """A well from a plate row (a letter or a 1-based number) and a 1-based column; None if they are not that."""
    row, column = row.strip(), column.strip()
    if not column.isdecimal():
        return None
    if row.isdecimal():
        if not 1 <= int(row) <= ROWS_OF_1536:
            return None
        row = row_letters(int(row))
    return _well(f"{row}{int(column)}")


def site_number(text: str) -> int | None:
    """The number in `3`, `s3`, `site_03`; None for any other text."""
    match = _SITE.fullmatch(text.strip())
    return int(match[1]) if match else None


def location_of_file(path: str) -> SiteLocation:
    """Plate, well and site from where a file of one image set lies, as far as its path tells.

    `<plate>/<well>_<site>.npz` and `<plate>/<well>/<site>.npz` are DeepProfiler's own; `<plate>/<well>/<site>/<any>`
    and `<plate>/<well>-<site>/<any>` the Cell Painting Gallery's; `<plate>-<well>-<site>` is known everywhere.
    """
    parts = PurePosixPath(path).with_suffix("").parts
    for end in (len(parts), len(parts) - 1):
        own = location_of_folder(parts[end - 1]) if end > 0 else SiteLocation()
        above = parts[: end - 1]
        if own.site is None and end > 1 and parts[end - 1].isdecimal():
            own = replace(location_of_folder(parts[end - 2]), site=str(int(parts[end - 1])))
            above = parts[: end - 2]
        if own.well is not None and own.site is not None:
            return own.or_else(SiteLocation(plate=above[-1] if above else None))
    return SiteLocation()


def location_of_folder(name: str) -> SiteLocation:
    """Plate, well and site from a folder's name: `P-A01-1`, `P-A01`, `A01-1`, `A01`; an empty Place for others."""
    match = _WITH_SITE.fullmatch(name) or _WITHOUT_SITE.fullmatch(name)
    well = _well(match["well"]) if match else None
    if match is None or well is None:
        return SiteLocation()
    site = match.groupdict().get("site")
    return SiteLocation(match["plate"], well, str(int(site)) if site else None)
