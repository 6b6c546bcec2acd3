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

    `table` has one row for each image set. Its keys are EXPORT (int64), TABLE (string, if the source has TableNumbers)
    and IMAGE (int64), or IMAGE_SET (string) if the source does not number images. The preset's image columns follow
    under their profile names.
    `locations` has the columns Metadata_Plate, Metadata_Well (string) and Metadata_Site (int64 or string) that are
    known. Its rows are the image sets, followed by the exports, for objects without an image set. Columns of a platemap
    may follow; those in `of_wells` are constant within a well. Those in `carried` are further metadata of image sets.
    """

    table: pa.Table
    locations: pa.Table
    of_wells: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()

    @property
    def keys(self) -> pa.Table:
        """The key table for joining: the keys, and ROW (int64), the index of the image set."""
        names = [name for name in _KEYS if name in self.table.column_names]
        return self.table.select(names).append_column(ROW, pa.array(range(self.table.num_rows), pa.int64()))

    @property
    def columns(self) -> tuple[str, ...]:
        """The profile names of the image columns."""
        return tuple(name for name in self.table.column_names if name not in _KEYS)


def no_image_sets() -> pa.Table:
    """Return the `table` of a plate whose files name no image sets: EXPORT, without rows."""
    return pa.table({EXPORT: pa.array([], pa.int64())})


def location_table(locations: Sequence[SiteLocation]) -> pa.Table:
    """Return locations as a table.

    Parameters
    ----------
    locations
        A location for each row.

    Returns
    -------
    Metadata_Plate (string), Metadata_Well (string) and Metadata_Site: int64 if every site contains one number, such as
    `s01`, else string. A column without values is left out.
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
    """Check that each row of an image table has an ImageNumber. Raises InvalidTableError."""
    if numbers.null_count:
        raise InvalidTableError("rows without ImageNumber", where=where, why=f"{numbers.null_count} of them")
