"""One measured piece of work: `convert` a plate, or the `floor` under it. Prints its figures as one line of JSON."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from cytobatch.engine import Engine
from cytobatch.jobspec import PlateJob
from cytobatch.parquet import ParquetFile
from cytobatch.pipeline import run_plate
from cytobatch.readers import csv
from cytobatch.schema import csv_schema
from cytobatch.synthetic import COMPARTMENTS

ROWS_OF_A_BATCH = 4096


def job(plate: Path, folder: Path) -> PlateJob:
    return PlateJob(source=str(plate), destination=str(folder / "out.parquet"))


def convert(plate: Path, _kind: str, folder: Path) -> Callable[[], None]:
    def work() -> None:
        run_plate(job(plate, folder))

    return work


def floor(plate: Path, kind: str, folder: Path) -> Callable[[], None]:
    """Reading, then writing what the conversion before it wrote."""
    read = read_csv(plate) if kind == "csv" else read_sqlite(plate, folder)
    profile = pq.read_table(folder / "out.parquet")
    rows = job(plate, folder).row_group_rows(profile.num_columns)

    def work() -> None:
        read()
        with ParquetFile(folder / "floor.parquet", profile.schema, rows, {}) as file:
            file.write(profile)

    return work


def read_csv(plate: Path) -> Callable[[], None]:
    paths = [path for name in COMPARTMENTS for path in sorted(plate.rglob(f"{name}.csv"))]
    columns = {name: csv.read_head(next(plate.rglob(f"{name}.csv"))).shape.columns for name in COMPARTMENTS}
    options = {
        name: pacsv.ConvertOptions(column_types=csv_schema(found, {}), null_values=[""])
        for name, found in columns.items()
    }

    def read() -> None:
        for path in paths:
            pacsv.read_csv(path, convert_options=options[path.stem])

    return read


def read_sqlite(plate: Path, folder: Path) -> Callable[[], None]:
    path = next(plate.glob("*.sqlite"))
    engine = Engine(spill=folder, memory=2**30, workers=pa.cpu_count())
    schemas: dict[str, pa.Schema] = {name: engine.sqlite_schema(path, name) for name in COMPARTMENTS}

    def read() -> None:
        for name, schema in schemas.items():
            for _ in engine.scan_sqlite(path, name, schema.names, ROWS_OF_A_BATCH):
                pass

    return read


def main() -> None:
    name, plate, kind, folder = sys.argv[1:]
    work = {"convert": convert, "floor": floor}[name](Path(plate), kind, Path(folder))
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = after.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak}))


if __name__ == "__main__":
    main()
