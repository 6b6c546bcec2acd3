"""A plate is up to date if its published report has its files, unchanged, and its options."""

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError, StorageError
from cytobatch.pipeline.plate import plan_plate, run_plate
from cytobatch.pipeline.skip_done import find_done
from cytobatch.pipeline.steps import PlateStep
from cytobatch.pipeline.verification.verify import VerifyRequest, verify
from cytobatch.report.model import RunReport
from cytobatch.storage.destination import Destination
from cytobatch.synthetic import write_csv
from proxy import Answer, proxy
from tests.support.plates import site_tables, write_sites

pytestmark = pytest.mark.slow

Upload = Callable[[Path, str], str]


def old_sites(folder: Path, sites: int = 2) -> Path:
    """Site folders of yesterday, because a local file is recognised only if it is older than the run."""
    source = write_sites(folder, sites)
    for path in source.rglob("*"):
        os.utime(path, (time.time() - 86400,) * 2)
    return source


def job_of(source: str | Path, destination: str | Path, **options: Any) -> PlateJob:
    return PlateJob(source=str(source), destination=str(destination), skip_done=True, **options)


def find_report(job: PlateJob, cache: Path) -> RunReport | None:
    _, plan = plan_plate(job, cache)
    return find_done(plan, Destination(job))


@pytest.mark.parametrize("name", ["out", "out/P1.parquet"])
def test_a_second_run_skips_the_plate(name: str, tmp_path: Path) -> None:
    job = job_of(old_sites(tmp_path / "in"), tmp_path / name, well_profiles="median")
    first = run_plate(job)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.joinpath("out").rglob("*")}
    assert run_plate(job) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.joinpath("out").rglob("*")} == before


def test_a_plate_is_skipped_only_if_the_job_has_the_option(tmp_path: Path) -> None:
    job = job_of(old_sites(tmp_path / "in"), tmp_path / "out")
    first = run_plate(job)
    again = run_plate(job.model_copy(update={"skip_done": False}))
    assert again.started > first.started


@pytest.mark.slow
def test_a_plate_in_a_bucket_is_up_to_date_until_an_object_changes(
    upload: Upload, s3: Any, bucket: str, tmp_path: Path
) -> None:
    source = upload(write_sites(tmp_path / "in", 2), "in")
    job = job_of(source, f"s3://{bucket}/out")
    assert find_report(job, tmp_path) is None
    report = run_plate(job)
    assert find_report(job, tmp_path) == report
    s3.put_object(Bucket=bucket, Key="in/P1-A01-1/notes.txt", Body=b"one more")
    assert find_report(job, tmp_path) is None
    s3.delete_object(Bucket=bucket, Key="in/P1-A01-1/notes.txt")
    assert find_report(job, tmp_path) == report
    content = s3.get_object(Bucket=bucket, Key="in/P1-A01-1/Cells.csv")["Body"].read()
    s3.put_object(Bucket=bucket, Key="in/P1-A01-1/Cells.csv", Body=content.replace(b"1", b"2"))
    assert find_report(job, tmp_path) is None


@pytest.mark.slow
def test_an_output_that_is_missing_or_cut_is_written_again(
    upload: Upload, s3: Any, bucket: str, tmp_path: Path
) -> None:
    source = upload(write_sites(tmp_path / "in", 2), "in")
    job = job_of(source, f"s3://{bucket}/out")
    report = run_plate(job)
    s3.put_object(Bucket=bucket, Key="out/single_cells.parquet", Body=b"PAR1")
    assert find_report(job, tmp_path) is None
    s3.delete_object(Bucket=bucket, Key="out/single_cells.parquet")
    assert find_report(job, tmp_path) is None
    assert run_plate(job).outputs == report.outputs
    assert find_report(job, tmp_path) is not None


@pytest.mark.parametrize(
    ("options", "is_up_to_date"),
    [
        ({"preset": "cellprofiler_csv"}, False),
        ({"join": False}, False),
        ({"max_failed_exports": 2}, False),
        ({"workers": 1}, True),
        ({"memory": "1GiB"}, True),
        ({"scratch_dir": "/tmp"}, True),
    ],
)
def test_options_that_decide_the_output_must_be_the_same(
    options: dict[str, Any], is_up_to_date: bool, tmp_path: Path
) -> None:
    source = old_sites(tmp_path / "in")
    run_plate(job_of(source, tmp_path / "out"))
    assert (find_report(job_of(source, tmp_path / "out", **options), tmp_path) is not None) is is_up_to_date


def test_a_local_file_that_is_not_older_than_the_run_is_taken_for_changed(tmp_path: Path) -> None:
    source = old_sites(tmp_path / "in")
    job = job_of(source, tmp_path / "out")
    run_plate(job)
    assert find_report(job, tmp_path) is not None
    (source / "P1-A01-1" / "Cells.csv").touch()
    assert find_report(job, tmp_path) is None


@pytest.mark.parametrize("path", ["{folder}/other.txt", "{folder}/maps/../other.txt", "http://127.0.0.1:9/map.txt"])
def test_a_report_that_names_another_file_is_not_of_this_plate(path: str, tmp_path: Path) -> None:
    (tmp_path / "maps" / "platemap").mkdir(parents=True)
    (tmp_path / "maps" / "barcode_platemap.csv").write_text("Assay_Plate_Barcode,Plate_Map_Name\nP1,M1\n")
    (tmp_path / "maps" / "platemap" / "M1.txt").write_text("well_position\tgene\nA01\tABC\n")
    job = job_of(old_sites(tmp_path / "in"), tmp_path / "out", platemap=str(tmp_path / "maps"))
    assert find_report(job, tmp_path) is None
    run_plate(job)
    assert find_report(job, tmp_path) is not None
    report = tmp_path / "out" / "run-report.json"
    changed = json.loads(report.read_text())
    changed["annotations"][0]["path"] = path.format(folder=tmp_path)
    report.write_text(json.dumps(changed))
    # A folder in its place would make reading fail.
    (tmp_path / "other.txt").mkdir()
    assert find_report(job, tmp_path) is None


def test_a_platemap_that_changed_is_joined_again(tmp_path: Path) -> None:
    source, platemap = old_sites(tmp_path / "in"), tmp_path / "map.txt"
    platemap.write_text("well_position\tgene\nA01\tABC\n")
    job = job_of(source, tmp_path / "out", platemap=str(platemap))
    report = run_plate(job)
    assert [file.path for file in report.annotations] == [str(platemap)]
    assert find_report(job, tmp_path) is not None
    platemap.write_text("well_position\tgene\nA01\tXYZ\n")
    assert find_report(job, tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"format_version": 2}'])
def test_a_text_that_is_no_report_is_ignored(text: str, tmp_path: Path) -> None:
    job = job_of(old_sites(tmp_path / "in"), tmp_path / "out")
    run_plate(job)
    (tmp_path / "out" / "run-report.json").write_text(text)
    assert find_report(job, tmp_path) is None


def test_a_report_without_options_is_never_up_to_date(tmp_path: Path) -> None:
    job = job_of(old_sites(tmp_path / "in"), tmp_path / "out")
    run_plate(job)
    path = tmp_path / "out" / "run-report.json"
    report = json.loads(path.read_text())
    del report["options"]
    path.write_text(json.dumps(report))
    assert find_report(job, tmp_path) is None


def test_failed_exports_that_the_job_allows_are_no_change(tmp_path: Path) -> None:
    source = old_sites(tmp_path / "in", 3)
    broken = source / "P1-A01-2" / "Cells.csv"
    broken.write_bytes(b"")
    os.utime(broken, (time.time() - 86400,) * 2)
    job = job_of(source, tmp_path / "out", max_failed_exports=1)
    run_plate(job)
    assert find_report(job, tmp_path) is not None


def test_a_new_file_that_is_ignored_is_a_change(tmp_path: Path) -> None:
    source = old_sites(tmp_path / "in")
    job = job_of(source, tmp_path / "out")
    run_plate(job)
    write_csv(site_tables(1)["Cells"], source / "P1-A01-1" / "More.csv")
    assert find_report(job, tmp_path) is None


def test_the_profile_of_another_source_is_replaced_unless_the_job_forbids_it(tmp_path: Path) -> None:
    first, second = old_sites(tmp_path / "a" / "P1"), old_sites(tmp_path / "b" / "P1", 3)
    destination = tmp_path / "out" / "P1"
    run_plate(job_of(first, destination))
    before = (destination / "single_cells.parquet").read_bytes()
    with pytest.raises(ConfigurationError, match="the profile of another source") as caught:
        run_plate(job_of(second, destination, replace=False))
    assert str(first) in caught.value.why
    assert (destination / "single_cells.parquet").read_bytes() == before
    run_plate(job_of(f"{first}/", destination, replace=False, max_failed_exports=1))
    run_plate(job_of(second, destination))
    assert (destination / "single_cells.parquet").read_bytes() != before


def test_a_wrong_key_is_an_error_and_not_a_plate_to_convert(
    upload: Upload, s3_url: str, bucket: str, tmp_path: Path
) -> None:
    refusal = Answer(403, b"<Error><Code>InvalidAccessKeyId</Code></Error>")
    job = job_of(upload(write_sites(tmp_path / "in", 1), "in"), f"s3://{bucket}/out")
    with proxy(s3_url, lambda one: refusal if one.key.endswith("run-report.json") else None) as (address, _):
        refused = job.model_copy(update={"destination_endpoint_url": address})
        with pytest.raises(StorageError, match="no permission"):
            find_report(refused, tmp_path)


def test_generations_lie_beside_each_other_and_the_report_names_the_newest(tmp_path: Path) -> None:
    source, out = old_sites(tmp_path / "in"), tmp_path / "out"
    run_plate(job_of(source, out))
    first = run_plate(job_of(source, out, generations=True))
    assert not (out / "single_cells.parquet").exists()
    second = run_plate(job_of(source, out, generations=True, well_profiles="median"))
    assert find_report(job_of(source, out, generations=True, well_profiles="median"), tmp_path) == second
    assert find_report(job_of(source, out, generations=True), tmp_path) is None
    folders = {Path(report.outputs[0].path).parent for report in (first, second)}
    assert {folder.name for folder in folders} == {first.digest[:16], second.digest[:16]}
    assert sorted(path for path in out.iterdir() if path.is_dir()) == sorted(folders)
    assert all(Path(output.path).exists() for report in (first, second) for output in report.outputs)
    again = run_plate(job_of(source, out, generations=True))
    assert again.outputs == first.outputs
    run_plate(job_of(source, out))
    assert {folder for folder in folders if folder.exists()} == {Path(second.outputs[0].path).parent}


def test_a_result_of_generations_is_verified(tmp_path: Path) -> None:
    source, out = old_sites(tmp_path / "in"), tmp_path / "out"
    job = job_of(source, out, generations=True)
    run_plate(job)
    checked = verify(VerifyRequest(job, with_source=True, cells=None))
    assert checked.differences == ()
    assert checked.cells > 0


class Ended(Exception):
    """A run that ends before its report."""


def steps_of(job: PlateJob, *, until: PlateStep | None = None) -> list[PlateStep]:
    """Convert a plate and return its steps; it ends before one of them."""
    steps = list[PlateStep]()

    def run_step(step: PlateStep, function: Callable[[], Any]) -> Any:
        if step is until:
            raise Ended
        steps.append(step)
        return function()

    with contextlib.suppress(Ended):
        run_plate(job, run_step)
    return steps


def test_a_run_that_was_ended_while_it_published_is_completed_without_a_conversion(tmp_path: Path) -> None:
    job = job_of(old_sites(tmp_path / "in"), tmp_path / "out", well_profiles="median")
    steps_of(job, until=PlateStep.REPORT)
    assert find_report(job, tmp_path) is None
    assert steps_of(job) == [PlateStep.PLAN]
    report = find_report(job, tmp_path)
    assert report is not None
    assert {Path(output.path).name for output in report.outputs} >= {"single_cells.parquet", "profiles.parquet"}


@pytest.mark.parametrize("change", ["output", "option", "source", "force"])
def test_a_journal_of_other_inputs_or_without_its_files_is_replaced(change: str, tmp_path: Path) -> None:
    source = old_sites(tmp_path / "in")
    job = job_of(source, tmp_path / "out", well_profiles="median")
    steps_of(job, until=PlateStep.REPORT)
    if change == "output":
        (tmp_path / "out" / "profiles.parquet").unlink()
    elif change == "option":
        job = job.model_copy(update={"well_profiles": None})
    elif change == "source":
        (source / "notes.txt").write_text("one more")
    else:
        job = job.model_copy(update={"skip_done": False})
    assert steps_of(job) == list(PlateStep)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert ("profiles.parquet" in files) is (change != "option")
    report = RunReport.model_validate_json((tmp_path / "out" / "run-report.json").read_text())
    assert {Path(output.path).name for output in report.outputs} == files - {"run-report.json", "report.html"}
