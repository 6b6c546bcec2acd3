"""Whole runs from bucket to bucket, without Prefect."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.engine.resources import machine_limits
from cytobatch.errors import CytobatchError, StorageError, TooManyFailedExportsError
from cytobatch.pipeline.folders import folders_for
from cytobatch.pipeline.plate import open_resources, plan_plate, run_plate
from cytobatch.readers.inputs import BEGINNING
from cytobatch.report.model import RunReport
from cytobatch.report.plate_page import plate_page
from tests.support.plates import cytominer_tables, site_tables, write_sites, write_sqlite

Upload = Callable[[Path, str], str]


def keys(s3: Any, bucket: str, prefix: str) -> set[str]:
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])}


def test_csv_from_bucket_to_bucket(upload: Upload, s3: Any, bucket: str, tmp_path: Path) -> None:
    uri = upload(write_sites(tmp_path / "in", 3, 4), "in/P1")
    report = run_plate(PlateJob(source=uri, destination=f"s3://{bucket}/out/P1"))
    assert keys(s3, bucket, "out") == {
        f"out/P1/{name}" for name in ("single_cells.parquet", "columns.json", "run-report.json", "report.html")
    }
    page = s3.get_object(Bucket=bucket, Key="out/P1/report.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
    assert page["Body"].read().decode() == plate_page(report)
    content = s3.get_object(Bucket=bucket, Key="out/P1/single_cells.parquet")["Body"].read()
    assert pq.read_table(io.BytesIO(content)).num_rows == 12
    read = RunReport.model_validate_json(s3.get_object(Bucket=bucket, Key="out/P1/run-report.json")["Body"].read())
    assert read == report
    assert read.outputs[0].bytes == len(content)
    assert all(entry.etag for entry in read.ledger)


def test_a_record_of_the_analysis_is_fetched_from_a_bucket(upload: Upload, tmp_path: Path) -> None:
    pipeline = "".join(f"    Setting {number}:1\n" for number in range(20_000))
    source = write_sites(tmp_path / "in", 3, 4)
    for folder in source.iterdir():
        (folder / "Experiment.csv").write_text(f'Key,Value\nPipeline_Pipeline,"{pipeline}"\n')
    job = PlateJob(source=upload(source, "in/P1"), destination=str(tmp_path / "out"), cache_dir=tmp_path / "cache")
    report = run_plate(job)
    table = pq.read_table(tmp_path / "out" / "experiment.parquet")
    assert table["value"].to_pylist() == [pipeline] * 3
    assert len(pipeline) > BEGINNING
    assert list((tmp_path / "cache").iterdir()) == []
    assert report.counts.rows == 12


def test_sqlite_from_a_bucket_to_one_object(upload: Upload, s3: Any, bucket: str, tmp_path: Path) -> None:
    write_sqlite(tmp_path / "in" / "BR1.sqlite", cytominer_tables(site_tables(5), "t"))
    upload(tmp_path / "in", "in")
    run_plate(PlateJob(source=f"s3://{bucket}/in/BR1.sqlite", destination=f"s3://{bucket}/out/BR1.parquet"))
    names = (".parquet", ".columns.json", ".run-report.json", ".report.html")
    assert keys(s3, bucket, "out") == {f"out/BR1{name}" for name in names}


def test_fetched_files_are_dropped_when_the_run_ends(upload: Upload, tmp_path: Path) -> None:
    uri = upload(write_sites(tmp_path / "in", 3, 4), "in/P1")
    run_plate(PlateJob(source=uri, destination=str(tmp_path / "out"), cache_dir=tmp_path / "cache"))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_persistent_cache_outlives_the_run(upload: Upload, tmp_path: Path) -> None:
    uri = upload(write_sites(tmp_path / "in", 1, 4), "in/P1")
    cache = tmp_path / "cache"
    run_plate(PlateJob(source=uri, destination=str(tmp_path / "out"), cache_dir=cache, cache_mode="persistent"))
    assert len([path for path in cache.rglob("*") if path.is_file()]) == 4


def test_a_failed_job_leaves_nothing_at_the_destination(upload: Upload, s3: Any, bucket: str, tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 3, 4)
    (source / "P1-A01-2" / "Cells.csv").write_bytes(b"")
    uri = upload(source, "in/P1")
    with pytest.raises(TooManyFailedExportsError):
        run_plate(PlateJob(source=uri, destination=f"s3://{bucket}/out/P1"))
    assert keys(s3, bucket, "out") == set()


def test_a_missing_destination_bucket_stops_the_job_before_it_reads(tmp_path: Path, aws: str) -> None:  # noqa: ARG001
    with pytest.raises(StorageError, match="s3://no-such-bucket-at-all/x"):
        run_plate(PlateJob(source=str(tmp_path / "nowhere"), destination="s3://no-such-bucket-at-all/x"))


def test_scratch_is_left_clean(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 4)
    scratch = tmp_path / "scratch"
    run_plate(PlateJob(source=str(source), destination=str(tmp_path / "out"), scratch_dir=scratch))
    (source / "P1-A01-2" / "Cells.csv").write_bytes(b"")
    with pytest.raises(CytobatchError):
        run_plate(PlateJob(source=str(source), destination=str(tmp_path / "out2"), scratch_dir=scratch))
    assert list(scratch.iterdir()) == []


def test_the_report_accounts_for_the_run(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 4)
    run_plate(PlateJob(source=str(source), destination=str(tmp_path / "out")))
    report = json.loads((tmp_path / "out" / "run-report.json").read_text())
    assert report["format_version"] == 1
    assert report["counts"] == {
        "exports": 2,
        "failed_exports": 0,
        "objects": {"cells": 8, "cytoplasm": 8, "nuclei": 10},
        "rows": 8,
        "rows_dropped_as_null": 0,
        "columns": 15,
        "plates": 1,
        "wells": 1,
        "sites": 2,
        "features": 3,
    }
    assert set(report["seconds"]) == {"plan", "survey", "convert", "publish"}
    assert report["peak_memory_bytes"] > 0
    limits = machine_limits()
    assert report["limits"] == {"workers": limits.workers, "memory_bytes": limits.memory}
    assert report["started"] <= report["finished"]
    assert report["layout"] == "csv"


def test_cells_of_a_sqlite_source_are_read_under_any_suffix(tmp_path: Path) -> None:
    write_sqlite(tmp_path / "in" / "plate.db", cytominer_tables(site_tables(2), "t"))
    report = run_plate(PlateJob(source=str(tmp_path / "in"), destination=str(tmp_path / "out")))
    assert report.counts.rows == 2


def test_a_run_keeps_within_the_limits_of_the_job(tmp_path: Path) -> None:
    job = PlateJob(source=str(write_sites(tmp_path / "in", 2, 4)), destination="/out", workers=3, memory=2**30)
    before = pa.cpu_count()
    try:
        report = run_plate(job.model_copy(update={"destination": str(tmp_path / "out")}))
        assert pa.cpu_count() == 3
    finally:
        pa.set_cpu_count(before)
    assert (report.limits.workers, report.limits.memory_bytes) == (3, 2**30)
    with folders_for(job) as folders:
        source, plan = plan_plate(job, folders.cache)
        with open_resources(plan, source, folders) as resources, resources.engine.tables({}) as session:
            assert resources.executor.count == 3
            text = "SELECT current_setting('threads') AS threads, current_setting('memory_limit') AS memory"
            settings = session.query(text).to_pylist()
    assert settings == [{"threads": 3, "memory": "256.0 MiB"}]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"join": False}, {"concat": False}, {"well_profiles": "median"}])
def test_the_same_input_gives_the_same_bytes_with_any_number_of_threads(
    options: dict[str, Any], tmp_path: Path
) -> None:
    source = write_sites(tmp_path / "in", 12, 7)
    reports = [
        run_plate(PlateJob(source=str(source), destination=str(tmp_path / str(workers)), workers=workers, **options))
        for workers in (1, 2, 2, 7)
    ]
    outputs = [
        {path.name: path.read_bytes() for path in (tmp_path / str(workers)).rglob("*.parquet")} for workers in (1, 2, 7)
    ]
    assert outputs[0] == outputs[1] == outputs[2] != {}
    accounts = [
        report.model_dump(include={"counts", "ledger", "warnings", "repairs", "odd_values"}) for report in reports
    ]
    assert all(account == accounts[0] for account in accounts)


@pytest.mark.parametrize("workers", [1, 4])
def test_an_invalid_file_among_valid_ones_gets_the_reason_that_it_gets_alone(workers: int, tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 6, 4)
    cells = source / "P1-A01-4" / "Cells.csv"
    lines = cells.read_text().splitlines()
    cells.write_text("\n".join([*lines[:2], lines[2][: len(lines[2]) // 2], *lines[3:]]) + "\n")
    report = run_plate(
        PlateJob(source=str(source), destination=str(tmp_path / "out"), max_failed_exports=1, workers=workers)
    )
    failed = [entry for entry in report.ledger if entry.outcome == "failed"]
    assert [(entry.path, entry.table) for entry in failed] == [("P1-A01-4/Cells.csv", "cells")]
    assert "cut short" in (failed[0].reason or "")
    assert report.counts.rows == 5 * 4
