"""`cytobatch collect` as a user calls it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import ExitCode
from tests.support.batches import converted, job_of, with_report

Run = Callable[..., subprocess.CompletedProcess[str]]


def spec_of(jobs: list[PlateJob]) -> str:
    plates = [{"plate": job.plate, "source": job.source, "destination": job.destination} for job in jobs]
    return json.dumps({"version": 1, "plates": plates})


@pytest.mark.parametrize("place", ["local", "bucket"])
def test_a_batch_is_collected(place: str, cytobatch: Run, s3: Any, bucket: str, tmp_path: Path) -> None:
    to = f"s3://{bucket}/overview" if place == "bucket" else str(tmp_path / "overview")
    answer = cytobatch("collect", "--job-spec", spec_of([converted(tmp_path, "P1")]), "--to", to)
    assert answer.returncode == ExitCode.OK, answer.stderr
    assert answer.stdout.splitlines()[0].endswith(": 1 done")
    assert f"{to}/index.html" in answer.stdout
    if place == "bucket":
        assert s3.head_object(Bucket=bucket, Key="overview/index.html")["ContentLength"] > 0
    else:
        assert pq.read_table(tmp_path / "overview" / "batch.parquet")["plate"].to_pylist() == ["P1"]


def test_plates_without_a_report_are_named_and_set_the_exit_code(cytobatch: Run, tmp_path: Path) -> None:
    jobs = [converted(tmp_path, "P1"), job_of(tmp_path, "P2"), with_report(tmp_path, "P3", "{}")]
    answer = cytobatch("collect", "--job-spec", spec_of(jobs), "--to", "overview")
    assert answer.returncode == ExitCode.PLATES_FAILED, answer.stderr
    assert "3 plates: 1 done, 1 missing, 1 unreadable" in answer.stdout
    assert "missing  P2: no report is there" in answer.stdout
    assert "unreadable  P3: it is no run report: format_version: Field required" in answer.stdout
    assert (tmp_path / "overview" / "index.html").is_file()
    assert answer.stderr == ""
    answer = cytobatch("collect", "--job-spec", spec_of(jobs[1:]), "--to", "overview")
    assert answer.returncode == ExitCode.PLATES_FAILED
    assert "no plate has a report: give the source, destination and plates of the run" in answer.stderr
