"""One measured piece of work, in a process of its own. The figures are printed as one line of JSON.

Imports and preparations are not timed.
"""

import resource
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from cyclopts import App

from cytobatch.config.options import PlateJob
from cytobatch.engine.gc_tuning import gc_frozen
from cytobatch.formats.registry import source_formats
from cytobatch.pipeline.plate import plan_plate, run_plate
from cytobatch.synthetic import PlateFormat
from floor import csv_reading, sqlite_reading, write_again
from stopwatch import Stopwatch

app = App(name="work", help=__doc__)

# As in the program, the garbage collector does not scan imported objects again and again.
with gc_frozen():
    # Arrow imports pandas, if it is installed, when it first makes an array of Python values.
    pa.array([0])
    # Formats are imported at their first use.
    source_formats()


@app.command
def convert(
    source: str, out: Path, *, scratch: Path, workers: int | None = None, data_limit: int | None = None
) -> None:
    """Run the whole pipeline from listing to report, without Prefect; `data_limit` bounds the data segment in bytes."""
    if data_limit:
        resource.setrlimit(resource.RLIMIT_DATA, (data_limit, data_limit))
    job = PlateJob(source=source, destination=str(out), workers=workers, scratch_dir=scratch, skip_done=False)
    # As for the floor, there is no file to replace.
    out.unlink(missing_ok=True)
    watch = Stopwatch()
    with watch.running():
        run_plate(job)
    watch.print_figures()


@app.command
def many(folder: Path, out: Path, count: int, *, scratch: Path, workers: int) -> None:
    """Run the whole pipeline on the plates 1 to `count` of a folder, one after the other, without Prefect."""
    for number in range(1, count + 1):
        source, destination = str(folder / str(number)), str(out / f"{number}.parquet")
        report = run_plate(
            PlateJob(source=source, destination=destination, workers=workers, scratch_dir=scratch, skip_done=False)
        )
        print(f"{number}: {report.counts.rows} rows x {report.counts.columns} columns", flush=True)


@app.command
def floor(plate: Path, kind: PlateFormat, out: Path, *, scratch: Path, again: Path | None = None) -> None:
    """Read the plate, then write the profile in `out` again, to `again` or to a temporary file."""
    read = csv_reading(plate) if kind is PlateFormat.CSV else sqlite_reading(plate)
    watch = Stopwatch()
    with watch.running():
        read()
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        write_again(out, again or Path(folder) / "floor.parquet", watch)
    watch.print_figures()


@app.command
def fetch(source: str, out: Path, *, scratch: Path, workers: int | None = None) -> None:
    """List a source and fetch its files."""
    job = PlateJob(source=source, destination=str(out), workers=workers)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(dir=scratch) as folder, watch.running():
        located, plan = plan_plate(job, Path(folder))
        files = {file.path: file for export in plan.exports for file in export.files}
        with located.inputs(files.values(), plan.size) as inputs:
            inputs.prepare(files, files)
            for path in files:
                inputs.whole(path)
    watch.print_figures()


@app.command
def rewrite(out: Path, target: Path, *, scratch: Path) -> None:  # noqa: ARG001  every piece gets a scratch folder
    """Write the same table by pyarrow, with zstd and its other defaults."""
    table = pq.read_table(out)
    watch = Stopwatch()
    with watch.running():
        pq.write_table(table, target, compression="zstd", compression_level=3)
    watch.print_figures()


if __name__ == "__main__":
    app()
