"""Batches of small plates, converted for real, for tests that collect their reports."""

from pathlib import Path
from typing import Any

from cytobatch.config.options import PlateJob
from cytobatch.pipeline.plate import run_plate
from tests.support.plates import write_sites

HOSTILE = """<script>alert("1")</script> & 'ü'"""


def converted(root: Path, plate: str, sites: int = 2, *, broken: int = 0, **options: Any) -> PlateJob:
    """Convert a plate, and return its job. The cells of the first `broken` sites are truncated."""
    # A CSV file of the tests has no quotes.
    name = "".join(filter(str.isalnum, plate))
    source = write_sites(root / "in" / str(len(list(root.glob("in/*")))), sites, plate=name)
    for site in range(1, broken + 1):
        cells = next(source.glob(f"*A01-{site}")) / "Cells.csv"
        cells.write_text(cells.read_text().rstrip()[:-3])
    job = job_of(root, plate, source=source, max_failed_exports=broken, **options)
    run_plate(job)
    return job


def job_of(root: Path, plate: str, **options: Any) -> PlateJob:
    """Return a job that has not been run."""
    options = {"source": root / "in" / "none", "destination": root / "out" / plate.replace("/", "-"), **options}
    texts = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    return PlateJob(plate=plate, **texts)


def with_report(root: Path, plate: str, content: str | bytes) -> PlateJob:
    """Return the job of a plate whose report has this content."""
    job = job_of(root, plate)
    folder = Path(job.destination)
    folder.mkdir(parents=True)
    (folder / "run-report.json").write_bytes(content.encode() if isinstance(content, str) else content)
    return job


def report_of(job: PlateJob) -> Path:
    """Return the path of a local plate's report."""
    return Path(job.destination) / "run-report.json"
