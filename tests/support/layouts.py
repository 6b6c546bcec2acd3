"""One small plate in every layout that cytobatch reads, with enough values for the programs that read profiles."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.plates import (
    Tables,
    incarta_table,
    npz_members,
    per_tables,
    site_tables,
    write_combined,
    write_incarta,
    write_npz,
    write_sqlite,
)

PLATE = SyntheticPlate(wells=4, sites=1, cells=6, features=20)


def _sites() -> Iterator[tuple[str, Tables]]:
    """Yield the tables of a site for each well, with image numbers of their own."""
    values = np.random.default_rng(0)
    for number, well in enumerate(("A1", "A2", "B1", "B2"), 1):
        tables = site_tables(6, well=well, image=number)
        for label in ("Cells", "Nuclei", "Cytoplasm"):
            numbers = pa.array(values.normal(size=tables[label].num_rows))
            tables[label] = tables[label].append_column("Intensity_MeanIntensity_DNA", numbers)
        yield well, tables


def _combined(root: Path) -> None:
    for well, tables in _sites():
        write_combined(root / f"P1-{well}", tables)


def _database(root: Path) -> None:
    write_sqlite(root / "plate.sqlite", *(per_tables(tables) for _, tables in _sites()))


def _incarta(root: Path) -> None:
    table = incarta_table(("A - 1", "A - 2", "B - 1", "B - 2"))
    values = np.random.default_rng(0)
    for name in ("Nuclei Area wv1", "Cytoplasm Form Factor wv2", "Cells\u00a0Entropy wv3", "Mitochondria cg X wv3"):
        table = table.append_column(name, pa.array(values.normal(size=table.num_rows)))
    table = table.append_column("Mitochondria cg Y wv3", table["Mitochondria cg X wv3"])
    write_incarta(root / "plate.csv", table.append_column("Cells Class", pa.array(["a"] * table.num_rows)))


def _npz(root: Path) -> None:
    values = np.random.default_rng(0)
    for well in ("A01", "A02", "B01", "B02"):
        members = npz_members(6, 5, Metadata_Well=well, Cells_Line="U2OS", Dose=0.5)
        write_npz(root / "P1" / f"{well}_1.npz", {**members, "features": values.normal(size=(6, 5))})


LAYOUTS: dict[str, Callable[[Path], object]] = {
    **{kind.value: lambda root, kind=kind: write_plate(PLATE, root, kind) for kind in PlateFormat},
    "combined": _combined,
    "database": _database,
    "incarta": _incarta,
    "npz": _npz,
}


def write_layout_named(name: str, root: Path) -> Path:
    """Write the plate in one of the layouts, and return its folder."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    LAYOUTS[name](root)
    return root
