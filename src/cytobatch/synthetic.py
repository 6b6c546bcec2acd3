"""Synthetic plates in the forms of CellProfiler, IN Carta and DeepProfiler: for a first try, tests and benchmarks.

The same arguments give the same bytes. As on AWS, each site is an analysis of its own, so that the number of its only
image is 1. As with real cells, each site has a nucleus without a cell, and one site may be empty.
"""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from pydantic import BaseModel, ConfigDict, Field

COMPARTMENTS = ("Cells", "Cytoplasm", "Nuclei")
_CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")
_SHAPES = (
    "Area",
    "Compactness",
    "Eccentricity",
    "Extent",
    "FormFactor",
    "MajorAxisLength",
    "Perimeter",
    "Solidity",
)
_INTENSITIES = ("IntegratedIntensity", "MeanIntensity", "MaxIntensity", "StdIntensity", "MassDisplacement")
_TEXTURES = ("Contrast", "Correlation", "Entropy", "Variance", "InverseDifferenceMoment", "SumAverage", "Gabor")
_PARENTS = {"Cells": ("Nuclei",), "Cytoplasm": ("Cells", "Nuclei"), "Nuclei": ()}
_INCARTA = (
    ("Nuclei", "Area"),
    ("Nuclei", "Intensity"),
    ("Cells", "Area"),
    ("Cells", "Form Factor"),
    ("Cells", "Intensity"),
)
_ROLES, _WELLS_A_ROLE = {0: "negcon", 1: "poscon"}, 6
"""The wells of each six that are controls."""
_ROWS = "ABCDEFGHIJKLMNOP"
_COLUMNS = 24


class PlateFormat(StrEnum):
    """The form of a plate's files."""

    CSV = "csv"
    """Site folders of CSV files, as CellProfiler's ExportToSpreadsheet."""
    SQLITE = "sqlite"
    """One SQLite file, as cytominer-database."""
    IN_CARTA = "in-carta"
    """One CSV file of whole rows, as IN Carta."""
    DEEPPROFILER = "deepprofiler"
    """An NPZ file for each site, as DeepProfiler."""


class ImageNumbers(StrEnum):
    """The scope of image numbers: a site, so that each is 1, or the plate."""

    SITE = "site"
    PLATE = "plate"


class ParentNumbers(StrEnum):
    """The number of an object: that of its parent, or another one, so that only the parent column links the two."""

    SAME = "same"
    CROSSED = "crossed"


class RowOrder(StrEnum):
    """The order of rows in the tables of a whole plate."""

    BY_IMAGE = "by_image"
    SHUFFLED = "shuffled"


class SyntheticPlate(BaseModel):
    """The parameters of a synthetic plate."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = "BR00117035"
    """The plate's name."""
    wells: int = Field(6, ge=1, le=384)
    """Wells of a 384-well plate."""
    sites: int = Field(3, ge=1)
    """Sites in each well."""
    cells: int = Field(25, ge=1)
    """Cells in a site, more or less."""
    features: int = Field(100, ge=1)
    """Features of each compartment."""
    seed: int = 0
    """Another number, another plate."""
    empty_site: bool = True
    """Leave the last site without cells."""
    image_numbers: ImageNumbers = ImageNumbers.SITE
    """site or plate: whether every site's image is number 1, or images are counted through the plate."""
    parent_numbers: ParentNumbers = ParentNumbers.SAME
    """same or crossed: whether an object has its parent's number or any."""

    def site_list(self) -> list["SyntheticSite"]:
        """Return all sites, in order."""
        dice = random.Random(self.seed)
        sites: list[SyntheticSite] = []
        for well in range(self.wells):
            for site in range(1, self.sites + 1):
                count = max(1, round(dice.gauss(self.cells, self.cells / 8)))
                empty = self.empty_site and (well, site) == (self.wells - 1, self.sites)
                name = f"{_ROWS[well // _COLUMNS]}{well % _COLUMNS + 1:02d}"
                sites.append(SyntheticSite(self, len(sites), name, site, 0 if empty else count))
        return sites

    def cell_count(self) -> int:
        """Return the number of cells on the plate, which is that of its profile's rows."""
        return sum(site.cells for site in self.site_list())


@dataclass(frozen=True, slots=True)
class SyntheticSite:
    """One field of view."""

    plate: SyntheticPlate
    index: int
    well: str
    number: int
    cells: int

    @property
    def folder(self) -> str:
        """The name of its folder, in the form of the Cell Painting Gallery."""
        return f"{self.plate.name}-{self.well}-{self.number}"

    @property
    def image_number(self) -> int:
        """The number of its only image."""
        return self.index + 1 if self.plate.image_numbers is ImageNumbers.PLATE else 1

    def image(self) -> pa.Table:
        """Return its image table of one row."""
        row = {
            "Count_Cells": float(self.cells),
            "Count_Cytoplasm": float(self.cells),
            "Count_Nuclei": float(self.cells and self.cells + 1),
            "ImageNumber": self.image_number,
            "Metadata_Plate": self.plate.name,
            "Metadata_Site": self.number,
            "Metadata_Well": self.well,
            "ImageQuality_PowerLogLogSlope_DNA": -2.0 - self.index / 1000,
        }
        for channel in _CHANNELS:
            row[f"FileName_Orig{channel}"] = f"r{self.well}f{self.number:02d}-{channel}.tiff"
            row[f"PathName_Orig{channel}"] = f"/images/{self.plate.name}"
        return pa.Table.from_pylist([dict(sorted(row.items()))])

    def compartment(self, name: str) -> pa.Table:
        """Return a compartment table with keys, features (float64) and parents (int64), one row for each object."""
        count = self.cells + 1 if name == "Nuclei" and self.cells else self.cells
        numbers = pa.array(range(1, count + 1), pa.int64())
        columns: dict[str, pa.Array] = {
            "ImageNumber": pa.repeat(pa.scalar(self.image_number, pa.int64()), count),
            "ObjectNumber": numbers,
        }
        for position, feature in enumerate(feature_names(self.plate.features)):
            seed = hash((self.plate.seed, self.index, COMPARTMENTS.index(name), position)) & 0x7FFFFFFF
            columns[feature] = pc.multiply(pc.random(count, initializer=seed), 100.0 * (1 + position % 7))
        columns["Number_Object_Number"] = numbers
        parents = self._parents(name, numbers)
        return pa.table(columns | {f"Parent_{parent}": parents[parent] for parent in _PARENTS[name]})

    def _parents(self, name: str, numbers: pa.Array) -> dict[str, pa.Array]:
        """Return the parents' numbers by parent compartment: int64, one for each object of compartment `name`."""
        if self.plate.parent_numbers is ParentNumbers.SAME:
            return dict.fromkeys(COMPARTMENTS, numbers)
        dice = random.Random(f"{self.plate.seed} {self.index}")
        nuclei = dice.sample(range(1, self.cells + 2), self.cells)
        cells = dice.sample(range(1, self.cells + 1), self.cells)
        of_cell = nuclei if name == "Cells" else [nuclei[cell - 1] for cell in cells]
        return {"Cells": pa.array(cells, pa.int64()), "Nuclei": pa.array(of_cell, pa.int64())}


def feature_names(count: int) -> list[str]:
    """Return `count` feature names in the form of CellProfiler, sorted."""
    endless = chain.from_iterable(_features_at(scale) for scale in range(1, count + 2))
    return sorted({name for name, _ in zip(endless, range(count), strict=False)})


def _features_at(scale: int) -> Iterator[str]:
    if scale == 1:
        yield from (f"AreaShape_{shape}" for shape in _SHAPES)
        yield from (f"Intensity_{kind}_{channel}" for kind in _INTENSITIES for channel in _CHANNELS)
    for channel in _CHANNELS:
        yield from (f"Texture_{kind}_{channel}_{scale}_00_256" for kind in _TEXTURES)
        yield f"Granularity_{scale}_{channel}"


def write_plate(plate: SyntheticPlate, folder: Path, kind: PlateFormat = PlateFormat.CSV) -> None:
    """Write a plate into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind is not PlateFormat.CSV:
        _WRITERS[kind](plate, folder)
        return
    for site in plate.site_list():
        site_folder = folder / site.folder
        site_folder.mkdir(exist_ok=True)
        write_csv(site.image(), site_folder / "Image.csv")
        for name in COMPARTMENTS:
            write_csv(site.compartment(name), site_folder / f"{name}.csv")
        (site_folder / "Experiment.csv").write_text("Key,Value\nCellProfiler_Version,4.2.4\n", encoding="utf-8")


def write_platemap(plate: SyntheticPlate, path: Path) -> None:
    """Write the plate's platemap: tab-separated, with a compound, its concentration and controls for each well."""
    wells = dict.fromkeys(site.well for site in plate.site_list())
    rows = ["\t".join(("well_position", "compound", "concentration_um", "control_type"))]
    for number, well in enumerate(wells):
        role = _ROLES.get(number % _WELLS_A_ROLE, "")
        compound = "DMSO" if role == "negcon" else f"compound-{number // _WELLS_A_ROLE if role else number:03d}"
        rows.append("\t".join((well, compound, "0" if role == "negcon" else "10", role)))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_whole_plate(plate: SyntheticPlate, folder: Path, order: RowOrder = RowOrder.BY_IMAGE) -> None:
    """Write a plate as one analysis of all its images: a single folder, with the rows of all sites in its tables."""
    folder.mkdir(parents=True, exist_ok=True)
    sites = plate.model_copy(update={"image_numbers": ImageNumbers.PLATE}).site_list()
    write_csv(pa.concat_tables([site.image() for site in sites]), folder / "Image.csv")
    for name in COMPARTMENTS:
        rows = pa.concat_tables([site.compartment(name) for site in sites])
        if order is RowOrder.SHUFFLED:
            order_of_rows = random.Random(f"{plate.seed} {name}").sample(range(rows.num_rows), rows.num_rows)
            rows = rows.combine_chunks().take(pa.array(order_of_rows, pa.int64()))
        write_csv(rows, folder / f"{name}.csv")


def write_csv(table: pa.Table, path: Path) -> None:
    """Write a table as CSV in the form of CellProfiler, without quotes."""
    pacsv.write_csv(table, path, pacsv.WriteOptions(quoting_style="none", quoting_header="none"))


def _write_sqlite(plate: SyntheticPlate, folder: Path) -> None:
    path = folder / f"{plate.name}.sqlite"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        for site in plate.site_list():
            insert(connection, "Image", _as_in_database("Image", site.image(), site))
            for name in COMPARTMENTS:
                insert(connection, name, _as_in_database(name, site.compartment(name), site))
        connection.commit()


def _write_incarta(plate: SyntheticPlate, folder: Path) -> None:
    measures = [
        f"{target} {measure} wv{number}" for number in range(1, plate.features + 1) for target, measure in _INCARTA
    ]
    tables: list[pa.Table] = []
    for site in plate.site_list():
        cells = site.compartment("Cells")
        row, column = site.well[0], int(site.well[1:])
        location = {"Row": row, "Column": column, "FOV": site.number, "WELL LABEL": f"{row} - {column}", "Z": 1, "T": 1}
        columns = {"OBJECT ID": cells["ObjectNumber"]}
        columns |= {name: pa.repeat(pa.scalar(value), cells.num_rows) for name, value in location.items()}
        features = zip(measures, feature_names(plate.features), strict=False)
        columns |= {measure: cells[feature] for measure, feature in features}
        tables.append(pa.table({**columns, "Plate ID": pa.repeat(pa.scalar(plate.name), cells.num_rows)}))
    write_csv(pa.concat_tables(tables), folder / f"{plate.name}.csv")


def _write_deepprofiler(plate: SyntheticPlate, folder: Path) -> None:
    for site in plate.site_list():
        cells = site.compartment("Cells").select(feature_names(plate.features))
        path = folder / plate.name / f"{site.well}_{site.number}.npz"
        path.parent.mkdir(exist_ok=True)
        metadata = {"Metadata_Plate": plate.name, "Metadata_Well": site.well, "Metadata_Site": site.number}
        np.savez_compressed(
            path,
            features=np.column_stack([column.to_numpy() for column in cells.columns]).astype(np.float32),
            locations=np.arange(2.0 * cells.num_rows).reshape(-1, 2),
            metadata=np.array(metadata, dtype=object),
        )


_WRITERS = {
    PlateFormat.SQLITE: _write_sqlite,
    PlateFormat.IN_CARTA: _write_incarta,
    PlateFormat.DEEPPROFILER: _write_deepprofiler,
}


def _as_in_database(label: str, table: pa.Table, site: SyntheticSite) -> pa.Table:
    """Return the table in the form of cytominer-database: its name before each feature, and a TableNumber."""
    keys = ("ImageNumber", "ObjectNumber")
    named = table.rename_columns([name if name in keys else f"{label}_{name}" for name in table.column_names])
    number = pa.repeat(pa.scalar(f"{site.index + 1:032x}"), table.num_rows)
    return named.add_column(0, "TableNumber", number)


def insert(connection: sqlite3.Connection, name: str, table: pa.Table) -> None:
    """Append rows to a SQLite table, which is created if it does not exist."""
    kinds = [
        "BIGINT" if pa.types.is_integer(field.type) else "FLOAT" if pa.types.is_floating(field.type) else "TEXT"
        for field in table.schema
    ]
    columns = ", ".join(f'"{column}" {kind}' for column, kind in zip(table.column_names, kinds, strict=True))
    connection.execute(f'CREATE TABLE IF NOT EXISTS "{name}" ({columns})')
    marks = ", ".join("?" * len(kinds))
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)  # noqa: S608  fixed names
