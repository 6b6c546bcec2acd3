"""`submit`, `status` and `collect` as people use them, against an S3 server. What is submitted: test_batch.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import ExitCode
from cytobatch.pipeline.plate import run_plate
from tests.support.emulator.lab import RunCli
from tests.support.plates import write_sites
from tests.support.submissions import deployment

Upload = Callable[[Path, str], str]


@pytest.fixture
def deployed(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "deployment.json"
    whole = deployment(jobs_uri=f"s3://{bucket}/jobs")
    path.write_text(json.dumps({"deployment": {"value": json.loads(whole.model_dump_json())}}))
    monkeypatch.setenv("CYTOBATCH_DEPLOYMENT", str(path))
    return path


@pytest.fixture
def plates(upload: Upload, bucket: str, tmp_path: Path) -> str:
    for number in range(3):
        upload(write_sites(tmp_path / f"P{number}", 1), f"uploads/P{number}")
    return f"s3://{bucket}/uploads/{{plate}}"


def objects(s3: Any, bucket: str) -> set[str]:
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}


@pytest.mark.usefixtures("deployed")
def test_a_dry_run_shows_the_jobs_and_submits_nothing(s3: Any, bucket: str, plates: str, run_cli: RunCli) -> None:
    before = objects(s3, bucket)
    code, out, _ = run_cli(
        "submit", "--source", plates, "--plate", "*", "--destination", f"s3://{bucket}/out/{{plate}}", "--dry-run"
    )
    assert code == ExitCode.OK
    assert "cytobatch-P0: 3 plates on fargate_spot" in out
    assert "1 vCPU, 4 GiB memory" in out
    assert "3 plates, about $0.0" in out
    assert "nothing was submitted" in out
    assert objects(s3, bucket) == before


@pytest.mark.usefixtures("deployed")
def test_plates_that_look_invalid_stop_a_submission_unless_it_keeps_going(
    bucket: str, plates: str, run_cli: RunCli
) -> None:
    spec = json.dumps(
        {
            "plates": [
                {"source": plates.format(plate="P0"), "destination": f"s3://{bucket}/out/P0"},
                {"source": f"s3://{bucket}/absent/P9", "destination": f"s3://{bucket}/out/P9"},
            ]
        }
    )
    code, out, err = run_cli("submit", "--job-spec", spec, "--dry-run")
    assert code == ExitCode.INPUT_DATA
    assert "invalid: P9: source is missing or empty" in out
    assert "1 of 2 plates look invalid" in err
    code, out, _ = run_cli("submit", "--job-spec", spec, "--dry-run", "--keep-going")
    assert code == ExitCode.OK
    assert "2 plates, about" in out


@pytest.mark.slow
@pytest.mark.usefixtures("deployed")
def test_plates_that_are_done_are_left_out(bucket: str, plates: str, run_cli: RunCli) -> None:
    words = ("submit", "--source", plates, "--plate", "*", "--destination", f"s3://{bucket}/out/{{plate}}")
    for number in range(3):
        source = plates.format(plate=f"P{number}")
        run_plate(PlateJob(source=source, destination=f"s3://{bucket}/out/P{number}", plate=f"P{number}"))
        code, out, _ = run_cli(*words, "--dry-run")
        assert code == ExitCode.OK
        assert f"done already: {number + 1} of 3 plates" in out
        assert ("nothing to submit" if number == 2 else f"{2 - number} plate" + ("s" if number == 0 else "")) in out
    assert "3 plates, about" in run_cli(*words, "--dry-run", "--force")[1]


@pytest.mark.usefixtures("deployed")
def test_prices_of_ones_own_are_used(bucket: str, plates: str, tmp_path: Path, run_cli: RunCli) -> None:
    table = tmp_path / "prices.json"
    dear = {"vcpu_hour": 1e6, "gib_hour": 0, "scratch_gib_hour": 0}
    table.write_text(json.dumps({"what": "a dear table", "compute": {"ec2_spot": dear}}))
    words = ("submit", "--source", plates.format(plate="P0"), "--destination", f"s3://{bucket}/out", "--dry-run")
    _, out, _ = run_cli(*words, "--prices", table, "--compute", "ec2_spot")
    assert "by a dear table" in out
    assert "ec2_spot" in out
    assert "1 plate, about $533,3" in out
    code, _, err = run_cli(*words, "--prices", table)
    assert code == ExitCode.CONFIGURATION
    assert "no price of fargate_spot" in err


def test_without_a_deployment_the_error_shows_how_to_name_one(run_cli: RunCli) -> None:
    for words in (("submit", "--source", "s3://a/b", "--destination", "s3://c/d"), ("status", "job")):
        code, _, err = run_cli(*words)
        assert code == ExitCode.CONFIGURATION
        assert "terraform output -json" in err


@pytest.mark.usefixtures("deployed")
def test_a_plate_on_this_machine_is_not_submitted(run_cli: RunCli) -> None:
    code, _, err = run_cli("submit", "--source", "/data/P1", "--destination", "s3://c/d")
    assert code == ExitCode.CONFIGURATION
    assert "source is on this machine" in err


@pytest.mark.usefixtures("deployed")
def test_status_wants_a_job(run_cli: RunCli) -> None:
    code, _, err = run_cli("status")
    assert code == ExitCode.CONFIGURATION
    assert "no job named" in err


@pytest.mark.slow
def test_collect_gathers_what_is_there_and_names_what_is_not(
    s3: Any, bucket: str, plates: str, tmp_path: Path, run_cli: RunCli
) -> None:
    words = ("collect", "--source", plates, "--plate", "*", "--destination", f"s3://{bucket}/out/{{plate}}")
    for number in range(3):
        source = plates.format(plate=f"P{number}")
        run_plate(PlateJob(source=source, destination=f"s3://{bucket}/out/P{number}", plate=f"P{number}"))
    code, out, _ = run_cli(*words, "--to", tmp_path / "overview")
    assert code == ExitCode.OK
    assert "3 plates: 3 done" in out
    assert {path.name for path in (tmp_path / "overview").iterdir()} == {"batch.parquet", "batch.csv", "index.html"}
    s3.delete_object(Bucket=bucket, Key="out/P1/run-report.json")
    code, out, _ = run_cli(*words, "--to", f"s3://{bucket}/overview")
    assert code == ExitCode.PLATES_FAILED
    assert "2 done, 1 missing" in out
    assert "missing  P1" in out
    assert "overview/index.html" in objects(s3, bucket)
