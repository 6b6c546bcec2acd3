"""The real program with Prefect: with its own private server, and with a server that is already there."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from plates import write_sites

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_run_needs_no_server_and_is_quiet(cytobatch: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYTOBATCH_SOURCE", str(write_sites(tmp_path / "in", 3, 4)))
    monkeypatch.setenv("CYTOBATCH_DESTINATION", str(tmp_path / "out"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    done = cytobatch("run")
    assert done.returncode == 0, done.stderr
    assert "in: 12 rows x 15 columns, 1 wells, 3 sites, from 3 export(s)" in done.stdout
    assert done.stderr.splitlines() == [f"in: {step}" for step in ("plan", "survey", "convert", "publish", "report")]
    assert pq.read_table(tmp_path / "out" / "single_cells.parquet").num_rows == 12
    assert not (tmp_path / "home").exists()


def api(url: str, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(f"{url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_a_server_hears_of_flow_and_tasks_by_the_plates_name(
    cytobatch: Run, prefect_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    source = write_sites(tmp_path / "in", 2)
    done = cytobatch("run", "--source", str(source), "--destination", str(tmp_path / "out"), "--plate", "BR77")
    assert done.returncode == 0, done.stderr
    runs = api(prefect_url, "/flow_runs/filter", {"flow_runs": {"name": {"any_": ["convert BR77"]}}})
    assert [(run["state"]["type"], run["parameters"]["source"]) for run in runs] == [("COMPLETED", str(source))]
    tasks = api(prefect_url, "/task_runs/filter", {"flow_runs": {"id": {"any_": [runs[0]["id"]]}}})
    steps = ("plan", "survey", "convert", "publish", "report")
    assert {task["name"] for task in tasks} == {f"{step} BR77" for step in steps}


def test_every_plate_of_a_spec_is_converted_and_a_bad_one_fails_alone(
    cytobatch: Run, prefect_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    write_sites(tmp_path / "P1", 2)
    write_sites(tmp_path / "P3", 1)
    plates = [{"plate": name, "source": str(tmp_path / name)} for name in ("P1", "P2", "P3")]
    spec = {"defaults": {"destination": str(tmp_path / "out" / "{plate}")}, "plates": plates}
    done = cytobatch("run", "--job-spec", json.dumps(spec))
    assert done.returncode == 3
    assert "error: P2: source is missing or empty" in done.stderr
    assert "1 of 3 plates failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.parent.name for path in (tmp_path / "out").rglob("*.parquet")} == {"P1", "P3"}


def test_the_array_index_chooses_a_plate_of_a_spec_in_a_bucket(
    cytobatch: Run, prefect_url: str, upload: Callable[[Path, str], str], s3: Any, bucket: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    plates = []
    for number in (1, 2, 3):
        uri = upload(write_sites(tmp_path / f"P{number}", number, 5), f"in/P{number}")
        plates.append({"plate": f"P{number}", "source": uri, "destination": f"s3://{bucket}/out/P{number}"})
    s3.put_object(Bucket=bucket, Key="spec.json", Body=json.dumps({"plates": plates}).encode())
    environment = {
        "CYTOBATCH_JOB_SPEC": f"s3://{bucket}/spec.json",
        "AWS_BATCH_JOB_ARRAY_INDEX": "1",
        "AWS_BATCH_JOB_ID": "a:1",
    }
    done = cytobatch("run", env=environment)
    assert done.returncode == 0, done.stderr
    found = {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix="out")["Contents"]}
    assert found == {"out/P2/single_cells.parquet", "out/P2/run-report.json"}
    report = json.loads(s3.get_object(Bucket=bucket, Key="out/P2/run-report.json")["Body"].read())
    assert report["counts"]["rows"] == 10


def test_an_error_is_one_message_and_debug_shows_the_traceback(
    cytobatch: Run, prefect_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    source = write_sites(tmp_path / "in", 2)
    (source / "P1-A01-1" / "Cells.csv").write_bytes(b"")
    flags = ["run", "--source", str(source), "--destination", str(tmp_path / "out")]
    done = cytobatch(*flags)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stderr.count("error: ") == 1
    assert "P1-A01-1/Cells.csv (cells): empty file" in done.stderr
    assert not (tmp_path / "out").exists()
    assert "Traceback" in cytobatch(*flags, "--debug").stderr


def test_sigterm_ends_a_run_with_its_own_exit_code_and_a_clean_scratch(tmp_path: Path, prefect_url: str) -> None:
    source = write_sites(tmp_path / "in", 400, 20)
    environment = {**os.environ, "PREFECT_API_URL": prefect_url, "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    command = [
        sys.executable,
        "-m",
        "cytobatch",
        "run",
        "--source",
        str(source),
        "--destination",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip() == "in: convert":
            break
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    process.stderr.close()
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "tmp").glob("cytobatch-*"))
