"""The plates that are measured, by name."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cytobatch.synthetic import ParentNumbers, PlateFormat, RowOrder, SyntheticPlate, write_plate, write_whole_plate

_WELLS = 384


class PlateName(StrEnum):
    """What there is to convert."""

    CSV = "csv40"
    CSV_LARGE = "csv400"
    SQLITE = "sqlite40"
    TALL = "tall"
    TALL_SHUFFLED = "tall-shuffled"
    TINY = "tiny"


@dataclass(frozen=True, slots=True)
class Scale:
    """How large plates are: JUMP's features, cells and 40 or 400 sites, but for tests.

    SQLite has fewer features because its tables end at 2,000 columns.
    """

    sites: int = 40
    large_sites: int = 400
    cells: int = 109
    csv_features: int = 2000
    sqlite_features: int = 1900
    tall_objects: int = 100_000
    tall_features: int = 100


@dataclass(frozen=True, slots=True)
class BenchPlate:
    """A plate and how it is stored: a folder a site, one file, or (with an order of rows) one folder for all."""

    kind: PlateFormat
    made: SyntheticPlate
    order: RowOrder | None = None

    def write(self, folder: Path) -> None:
        if self.order is None:
            write_plate(self.made, folder, self.kind)
        else:
            write_whole_plate(self.made, folder, self.order)

    def describe(self) -> str:
        sites = self.made.wells * self.made.sites
        return f"{sites:,} sites, {self.made.cell_count():,} cells, {self.made.features:,} features a compartment"


def _sites_a_well(sites: int) -> int:
    """The most sites in a well, up to nine, that fill all wells alike."""
    return max(number for number in range(1, 10) if sites % number == 0)


def sites_plate(sites: int, cells: int, features: int) -> SyntheticPlate:
    """A plate of so many sites, each of which has about as many cells."""
    each = _sites_a_well(sites)
    return SyntheticPlate(wells=sites // each, sites=each, cells=cells, features=features, empty_site=False)


def _tall(scale: Scale) -> SyntheticPlate:
    sites = max(1, round(scale.tall_objects / scale.cells))
    each = 9 if sites >= 9 else 1
    plate = sites_plate(min(sites // each, _WELLS) * each, scale.cells, scale.tall_features)
    return plate.model_copy(update={"parent_numbers": ParentNumbers.CROSSED})


def bench_plate(name: PlateName, scale: Scale) -> BenchPlate:
    """What a plate is made of. In the tall ones parents have numbers of their own, so that only keys join them."""
    match name:
        case PlateName.CSV:
            return BenchPlate(PlateFormat.CSV, sites_plate(scale.sites, scale.cells, scale.csv_features))
        case PlateName.CSV_LARGE:
            return BenchPlate(PlateFormat.CSV, sites_plate(scale.large_sites, scale.cells, scale.csv_features))
        case PlateName.SQLITE:
            return BenchPlate(PlateFormat.SQLITE, sites_plate(scale.sites, scale.cells, scale.sqlite_features))
        case PlateName.TALL:
            return BenchPlate(PlateFormat.CSV, _tall(scale), RowOrder.BY_IMAGE)
        case PlateName.TALL_SHUFFLED:
            return BenchPlate(PlateFormat.CSV, _tall(scale), RowOrder.SHUFFLED)
        case PlateName.TINY:
            return BenchPlate(PlateFormat.CSV, SyntheticPlate())


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
