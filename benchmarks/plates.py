"""The plates that are measured, by name."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from cytobatch.synthetic import (
    COMPARTMENTS,
    ParentNumbers,
    PlateFormat,
    RowOrder,
    SyntheticPlate,
    write_csv,
    write_plate,
    write_whole_plate,
)

_WELLS = 384


class PlateName(StrEnum):
    """The plates that can be converted."""

    CSV = "csv40"
    CSV_LARGE = "csv400"
    CSV_WHOLE = "csv3456"
    SQLITE = "sqlite40"
    SQLITE_LARGE = "sqlite400"
    TALL = "tall"
    TALL_SHUFFLED = "tall-shuffled"
    TINY = "tiny"
    MANY = "plates64"


@dataclass(frozen=True, slots=True)
class Scale:
    """The sizes of plates. By default they have JUMP's features and cells, and 40, 400 or all sites of a plate.

    SQLite has fewer features because its tables end at 2,000 columns.
    """

    sites: int = 40
    large_sites: int = 400
    whole_sites: int = 3456
    cells: int = 109
    csv_features: int = 2000
    sqlite_features: int = 1900
    tall_objects: int = 100_000
    tall_features: int = 100
    many_plates: int = 64
    many_sites: int = 12
    many_features: int = 100


@dataclass(frozen=True, slots=True)
class BenchPlate:
    """A plate and its storage: a folder for each site, one file, or (with an order of rows) one folder for all.

    With `distinct`, that number of sites have tables of their own, and the others link to these: a whole plate fits the
    disk.
    """

    kind: PlateFormat
    made: SyntheticPlate
    order: RowOrder | None = None
    distinct: int | None = None

    def write(self, folder: Path) -> None:
        if self.distinct is not None:
            self._write_repeated(folder, self.distinct)
        elif self.order is None:
            write_plate(self.made, folder, self.kind)
        else:
            write_whole_plate(self.made, folder, self.order)

    def _write_repeated(self, folder: Path, distinct: int) -> None:
        sites = self.made.site_list()
        for site in sites:
            target, other = folder / site.folder, sites[site.index % distinct]
            target.mkdir(parents=True)
            write_csv(replace(site, cells=other.cells).image(), target / "Image.csv")
            for name in COMPARTMENTS:
                if other is site:
                    write_csv(site.compartment(name), target / f"{name}.csv")
                else:
                    (target / f"{name}.csv").hardlink_to(folder / other.folder / f"{name}.csv")

    def _cells(self) -> int:
        sites = self.made.site_list()
        return sum(sites[site.index % (self.distinct or len(sites))].cells for site in sites)

    def describe(self) -> str:
        sites = self.made.wells * self.made.sites
        return f"{sites:,} sites, {self._cells():,} cells, {self.made.features:,} features a compartment"


def _sites_a_well(sites: int) -> int:
    """Return the largest number of sites in a well, up to nine, that fills all wells equally."""
    return max(number for number in range(1, 10) if sites % number == 0)


def sites_plate(sites: int, cells: int, features: int) -> SyntheticPlate:
    """Return a plate with a number of sites, each of which has about `cells` cells."""
    each = _sites_a_well(sites)
    return SyntheticPlate(wells=sites // each, sites=each, cells=cells, features=features, empty_site=False)


def _tall(scale: Scale) -> SyntheticPlate:
    sites = max(1, round(scale.tall_objects / scale.cells))
    each = 9 if sites >= 9 else 1
    plate = sites_plate(min(sites // each, _WELLS) * each, scale.cells, scale.tall_features)
    return plate.model_copy(update={"parent_numbers": ParentNumbers.CROSSED})


def bench_plate(name: PlateName, scale: Scale) -> BenchPlate:
    """Return a plate by its name. In tall plates parents have numbers of their own, so that only keys join them."""
    match name:
        case PlateName.CSV | PlateName.CSV_LARGE | PlateName.CSV_WHOLE:
            plate = sites_plate(_sites(name, scale), scale.cells, scale.csv_features)
            distinct = scale.large_sites if name is PlateName.CSV_WHOLE else None
            return BenchPlate(PlateFormat.CSV, plate, distinct=distinct)
        case PlateName.SQLITE | PlateName.SQLITE_LARGE:
            plate = sites_plate(_sites(name, scale), scale.cells, scale.sqlite_features)
            return BenchPlate(PlateFormat.SQLITE, plate)
        case PlateName.TALL:
            return BenchPlate(PlateFormat.CSV, _tall(scale), RowOrder.BY_IMAGE)
        case PlateName.TALL_SHUFFLED:
            return BenchPlate(PlateFormat.CSV, _tall(scale), RowOrder.SHUFFLED)
        case PlateName.MANY:
            return BenchPlate(PlateFormat.CSV, sites_plate(scale.many_sites, scale.cells, scale.many_features))
        case PlateName.TINY:
            return BenchPlate(PlateFormat.CSV, SyntheticPlate())


def _sites(name: PlateName, scale: Scale) -> int:
    if name is PlateName.CSV_WHOLE:
        return scale.whole_sites
    return scale.large_sites if name in (PlateName.CSV_LARGE, PlateName.SQLITE_LARGE) else scale.sites


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
