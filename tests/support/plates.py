"""Small plates for tests, written as CellProfiler and cytominer-database write them."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from cytobatch.config.options import PlateJob
from cytobatch.pipeline.plate import run_plate
from cytobatch.report.model import RunReport
from cytobatch.synthetic import insert, write_csv

Tables = dict[str, pa.Table]


def cells_file(folder: Path, content: bytes) -> Path:
    """Write a `Cells.csv` of these bytes."""
    path = folder / "Cells.csv"
    path.write_bytes(content)
    return path


def site_tables(
    objects: int = 3, *, image: int = 1, offset: float = 0.0, plate: str = "P1", well: str = "A1"
) -> Tables:
    """Return the tables of one site: `objects` cells, one nucleus more, all of image number `image`."""
    numbers = list(range(1, objects + 1))
    nuclei = [*numbers, objects + 1] if objects else []
    return {
        "Image": pa.table(
            {
                "Count_Cells": [float(objects)],
                "Count_Nuclei": [float(len(nuclei))],
                "FileName_OrigDNA": ["dna.tiff"],
                "ImageNumber": [image],
                "Metadata_Plate": [plate],
                "Metadata_Site": [1],
                "Metadata_Well": [well],
            }
        ),
        "Cells": pa.table(
            {
                "ImageNumber": pa.array([image] * objects, pa.int64()),
                "ObjectNumber": pa.array(numbers, pa.int64()),
                "AreaShape_Area": pa.array([offset + n for n in numbers], pa.float64()),
                "Parent_Nuclei": pa.array(numbers, pa.int64()),
            }
        ),
        "Cytoplasm": pa.table(
            {
                "ImageNumber": pa.array([image] * objects, pa.int64()),
                "ObjectNumber": pa.array(numbers, pa.int64()),
                "AreaShape_Area": pa.array([offset + 10 * n for n in numbers], pa.float64()),
                "Parent_Cells": pa.array(numbers, pa.int64()),
                "Parent_Nuclei": pa.array(numbers, pa.int64()),
            }
        ),
        "Nuclei": pa.table(
            {
                "ImageNumber": pa.array([image] * len(nuclei), pa.int64()),
                "ObjectNumber": pa.array(nuclei, pa.int64()),
                "AreaShape_Area": pa.array([offset + 100 * n for n in nuclei], pa.float64()),
            }
        ),
    }


def write_site(folder: Path, tables: Tables) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv")
    return folder


def write_sites(root: Path, count: int, objects: int = 3, *, plate: str = "P1") -> Path:
    """Write site folders P1-A01-1, P1-A01-2, …, all with image number 1 and values of their own.

    Folders of another plate are A01-1, A01-2, …, because its name may be none of a folder.
    """
    for site in range(1, count + 1):
        tables = site_tables(objects, offset=1000.0 * site, plate=plate)
        tables["Image"] = with_column(tables["Image"], "Metadata_Site", pa.array([site]))
        write_site(root / (f"P1-A01-{site}" if plate == "P1" else f"A01-{site}"), tables)
    return root


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def per_tables(tables: Tables) -> Tables:
    """Return the same tables with the table and column names of ExportToDatabase."""
    result = {}
    for name, table in tables.items():
        renamed = {"ImageNumber": "ImageNumber", "ObjectNumber": f"{name}_Number_Object_Number"}
        result[f"Per_{name}"] = table.rename_columns([renamed.get(c, f"{name}_{c}") for c in table.column_names])
    return result


def cytominer_tables(tables: Tables, number: object) -> Tables:
    """Return the same tables with the table and column names of cytominer-database, and a TableNumber."""
    result = {}
    for name, table in tables.items():
        keys = ("ImageNumber", "ObjectNumber")
        renamed = table.rename_columns([c if c in keys else f"{name}_{c}" for c in table.column_names])
        result[name] = renamed.add_column(0, "TableNumber", pa.array([number] * table.num_rows))
    return result


def write_sqlite(path: Path, *exports: Tables) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        for tables in exports:
            for name, table in tables.items():
                insert(connection, name, table)
        connection.commit()
    return path


def write_layout(root: Path, tables: Tables, *, sqlite: bool) -> Path:
    """Write a site as a folder of CSV files, or as a SQLite file of ExportToDatabase."""
    return write_sqlite(root / "in.sqlite", per_tables(tables)) if sqlite else write_site(root / "in", tables)


def incarta_table(wells: tuple[str, ...] = ("C - 3", "D - 4"), fields: int = 2, objects: int = 3) -> pa.Table:
    """Return IN Carta's table of a plate: spaces in column names, empty class columns, a mean count with fractions."""
    places = [(well, fov, number) for well in wells for fov in range(1, fields + 1) for number in range(1, objects + 1)]
    count = len(places)
    rows = list(range(count))
    return pa.table(
        {
            "OBJECT ID": [number for _, _, number in places],
            "Row": [well[0] for well, _, _ in places],
            "Column": [int(well.rpartition(" ")[2]) for well, _, _ in places],
            "FOV": [fov for _, fov, _ in places],
            "WELL LABEL": [well for well, _, _ in places],
            "Z": [1] * count,
            "T": [1] * count,
            "Class Name": pa.nulls(count, pa.string()),
            "Class Color": pa.nulls(count, pa.string()),
            "Ancestry Path": pa.nulls(count, pa.string()),
            "Primary Target Area wv1": [10.5 + row for row in rows],
            "Primary Target Max Intensity wv1": [100 + row for row in rows],
            "Primary Target Neighbor Count (SOI) wv1": [row % 4 for row in rows],
            "Cells Area wv3": [7.25 * row for row in rows],
            "F Actin Intensity/Global Bckg wv2": [row / 8 for row in rows],
            "F Actin Neighbor Count wv2": [row / 2 for row in rows],
            "Slice Algorithm": ["CurrentSlice"] * count,
            "Slice Indicator": ["Yes"] * count,
            "Acquisition Time Stamp": [13.33 * row for row in rows],
            "Plate ID": ["2023 DAY0"] * count,
        }
    )


def write_incarta(path: Path, table: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pacsv.write_csv(table, path, pacsv.WriteOptions(quoting_style="needed"))
    return path


def write_incarta_plate(root: Path, days: int = 3) -> Path:
    for day in range(days):
        write_incarta(root / f"Test {day} Day{day}_2024.csv", incarta_table())
    return root


def npz_members(objects: int = 3, features: int = 4, **metadata: object) -> dict[str, Any]:
    """Return the arrays of DeepProfiler's file of a site."""
    defaults = {"Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": 1, "Treatment": "DMSO@NA"}
    return {
        "features": np.arange(objects * features, dtype=np.float32).reshape(objects, features) / 8,
        "metadata": np.array({**defaults, "Metadata_Model": "net", **metadata}, dtype=object),
        "locations": np.arange(objects * 2, dtype=np.float64).reshape(objects, 2),
    }


def write_npz(path: Path, members: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **members)
    return path


def write_npz_plate(root: Path, sites: int = 3) -> Path:
    for site in range(1, sites + 1):
        write_npz(root / "P1" / f"A01_{site}.npz", npz_members(2 + site, Metadata_Site=site))
    return root


def write_combined(folder: Path, tables: Tables) -> Path:
    """Write a site as ExportToSpreadsheet does with combined objects: image.csv, and object.csv with one number."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(tables["Image"], folder / "image.csv")
    compartments = {name: table for name, table in tables.items() if name != "Image"}
    own = [
        (name, column)
        for name, table in compartments.items()
        for column in table.column_names
        if column not in ("ImageNumber", "ObjectNumber")
    ]
    image = tables["Image"]["ImageNumber"][0].as_py()
    first = next(iter(compartments))
    lines = [["Image", first, *(name for name, _ in own)], ["ImageNumber", "ObjectNumber", *(name for _, name in own)]]
    for row in range(max(table.num_rows for table in compartments.values())):
        cells = [
            compartments[name][column][row].as_py() if row < compartments[name].num_rows else "nan"
            for name, column in own
        ]
        lines.append([str(image), str(row + 1), *map(str, cells)])
    (folder / "object.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    return folder


def convert(source: Path, destination: Path, **options: Any) -> tuple[pa.Table, RunReport]:
    """Convert into one file, and return its table and the report."""
    target = destination if destination.suffix == ".parquet" else destination / "out.parquet"
    report = run_plate(PlateJob(source=str(source), destination=str(target), **options))
    return pq.read_table(target), report


def convert_to_folder(source: Path, destination: Path, **options: Any) -> tuple[dict[str, pa.Table], RunReport]:
    """Convert into a folder, and return the tables of its Parquet files by their paths, and the report."""
    report = run_plate(PlateJob(source=str(source), destination=str(destination), **options))
    files = sorted(destination.rglob("*.parquet"))
    return {str(path.relative_to(destination)): pq.read_table(path) for path in files}, report
