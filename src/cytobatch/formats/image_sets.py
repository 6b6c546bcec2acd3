"""Image sets of a plate: their keys, their image columns, and their locations (plate, well and site)."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from cytobatch.config.wells import SiteLocation, site_number
from cytobatch.errors import InvalidTableError
from cytobatch.planning.columns import PLATE, SITE, WELL
from cytobatch.planning.key_columns import EXPORT, IMAGE, IMAGE_SET, ROW, TABLE

_KEYS = (EXPORT, TABLE, IMAGE, IMAGE_SET)


@dataclass(frozen=True, slots=True)
class ImageSets:
    """All image sets of a plate, and the locations of the image sets and of the plate's exports.

    `table` has one row for each image set: the keys EXPORT, TABLE (TableNumber as text, where the source has one) and
    IMAGE, or IMAGE_SET (a text key) where a source does not number images; then the preset's image columns under their
    profile names. `locations` has the columns Metadata_Plate, Metadata_Well and Metadata_Site that are known. Its rows
    are the image sets, followed by the exports, which stand for objects without an image set. Columns of a platemap may
    follow; those in `of_wells` are constant within a well.
    """

    table: pa.Table
    locations: pa.Table
    of_wells: tuple[str, ...] = ()

    @property
    def keys(self) -> pa.Table:
        """The key table for joining: the keys, and ROW."""
        names = [name for name in _KEYS if name in self.table.column_names]
        return self.table.select(names).append_column(ROW, pa.array(range(self.table.num_rows), pa.int64()))

    @property
    def columns(self) -> tuple[str, ...]:
        """The profile names of the image columns."""
        return tuple(name for name in self.table.column_names if name not in _KEYS)


def no_image_sets() -> pa.Table:
    """Return the table of a plate whose files name no image sets."""
    return pa.table({EXPORT: pa.array([], pa.int64())})


def location_table(locations: Sequence[SiteLocation]) -> pa.Table:
    """Return the columns Metadata_Plate, Metadata_Well and Metadata_Site; unknown ones are left out.

    The site is an integer if every site of the plate is one, else text.
    """
    columns = {
        PLATE: pa.array([location.plate for location in locations], pa.string()),
        WELL: pa.array([location.well for location in locations], pa.string()),
        SITE: _sites([location.site for location in locations]),
    }
    return pa.table({name: column for name, column in columns.items() if column.null_count < len(column)})


def _sites(sites: Sequence[str | None]) -> pa.Array:
    numbers = [None if site is None else site_number(site) for site in sites]
    if any(number is None and site is not None for number, site in zip(numbers, sites, strict=True)):
        return pa.array(sites, pa.string())
    return pa.array(numbers, pa.int64())


def check_image_numbers(numbers: pa.ChunkedArray, where: str) -> None:
    """Raise InvalidTableError if an image table has rows without ImageNumber."""
    if numbers.null_count:
        raise InvalidTableError("rows without ImageNumber", where=where, why=f"{numbers.null_count} of them")
