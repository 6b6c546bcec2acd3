"""Small plates for tests, written as CellProfiler and cytominer-database write them."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cytobatch.jobspec import PlateJob
from cytobatch.pipeline import run_plate
from cytobatch.report import RunReport
from cytobatch.synthetic import insert, write_csv

Tables = dict[str, pa.Table]


def site_tables(
    objects: int = 3, *, image: int = 1, offset: float = 0.0, plate: str = "P1", well: str = "A1"
) -> Tables:
    """The tables of one site: `objects` cells, one nucleus more, all of image number `image`."""
    numbers = list(range(1, objects + 1))
    nuclei = [*numbers, objects + 1] if objects else []
    return {
        "Image": pa.table(
            {
                "Count_Cells": [float(objects)], "Count_Nuclei": [float(len(nuclei))], "FileName_OrigDNA": ["dna.tiff"],
                "ImageNumber": [image], "Metadata_Plate": [plate], "Metadata_Site": [1], "Metadata_Well": [well],
            }
        ),
        "Cells": pa.table(
            {
                "ImageNumber": pa.array([image] * objects, pa.int64()), "ObjectNumber": pa.array(numbers, pa.int64()),
                "AreaShape_Area": pa.array([offset + n for n in numbers], pa.float64()),
                "Parent_Nuclei": pa.array(numbers, pa.int64()),
            }
        ),
        "Cytoplasm": pa.table(
            {
                "ImageNumber": pa.array([image] * objects, pa.int64()), "ObjectNumber": pa.array(numbers, pa.int64()),
                "AreaShape_Area": pa.array([offset + 10 * n for n in numbers], pa.float64()),
                "Parent_Cells": pa.array(numbers, pa.int64()), "Parent_Nuclei": pa.array(numbers, pa.int64()),
            }
        ),
        "Nuclei": pa.table(
            {
                "ImageNumber": pa.array([image] * len(nuclei), pa.int64()),
                "ObjectNumber": pa.array(nuclei, pa.int64()),
                "AreaShape_Area": pa.array([offset + 100 * n for n in nuclei], pa.float64()),
            }
        ),
    }  # fmt: skip


def write_site(folder: Path, tables: Tables) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv")
    return folder


def write_sites(root: Path, count: int, objects: int = 3) -> Path:
    """Site folders P1-A01-1, P1-A01-2, …, all with image number 1 and values of their own."""
    for site in range(1, count + 1):
        tables = site_tables(objects, offset=1000.0 * site)
        tables["Image"] = with_column(tables["Image"], "Metadata_Site", pa.array([site]))
        write_site(root / f"P1-A01-{site}", tables)
    return root


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def per_tables(tables: Tables) -> Tables:
    """The same tables as ExportToDatabase names them and their columns."""
    result = {}
    for name, table in tables.items():
        renamed = {"ImageNumber": "ImageNumber", "ObjectNumber": f"{name}_Number_Object_Number"}
        result[f"Per_{name}"] = table.rename_columns([renamed.get(c, f"{name}_{c}") for c in table.column_names])
    return result


def cytominer_tables(tables: Tables, number: object) -> Tables:
    """The same tables as cytominer-database names them and their columns, with a TableNumber."""
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


def convert(source: Path, destination: Path, **options: Any) -> tuple[pa.Table, RunReport]:
    """Converts into one file, and reads it back."""
    target = destination if destination.suffix == ".parquet" else destination / "out.parquet"
    report = run_plate(PlateJob(source=str(source), destination=str(target), **options))
    return pq.read_table(target), report


def convert_to_folder(source: Path, destination: Path, **options: Any) -> tuple[dict[str, pa.Table], RunReport]:
    """Converts into a folder, and reads all Parquet files back, by their path below it."""
    report = run_plate(PlateJob(source=str(source), destination=str(destination), **options))
    files = sorted(destination.rglob("*.parquet"))
    return {str(path.relative_to(destination)): pq.read_table(path) for path in files}, report
