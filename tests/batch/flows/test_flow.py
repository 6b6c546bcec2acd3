"""The real program with Prefect: with its own ephemeral server, and with a server of the user."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.plates import write_sites
from tests.support.prefect_api import api

pytestmark = pytest.mark.slow
Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_run_needs_no_server_and_is_quiet(cytobatch: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYTOBATCH_SOURCE", str(write_sites(tmp_path / "in", 3, 4)))
    monkeypatch.setenv("CYTOBATCH_DESTINATION", str(tmp_path / "out"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    done = cytobatch("run")
    assert done.returncode == 0, done.stderr
    assert "in: 12 rows x 15 columns, 1 well, 3 sites, from 3 exports" in done.stdout
    assert done.stderr.splitlines() == [f"in: {step}" for step in ("plan", "survey", "convert", "publish", "report")]
    assert pq.read_table(tmp_path / "out" / "single_cells.parquet").num_rows == 12
    assert not (tmp_path / "home").exists()


def test_a_server_records_flow_and_tasks_by_the_plates_name(
    cytobatch: Run, prefect_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    source = write_sites(tmp_path / "in", 2)
    done = cytobatch("run", "--source", str(source), "--destination", str(tmp_path / "out"), "--plate", "BR77")
    assert done.returncode == 0, done.stderr
    runs = api(prefect_url, "/flow_runs/filter", {"flow_runs": {"name": {"any_": ["convert BR77"]}}})
    assert [(run["state"]["type"], run["parameters"]["job"]["source"]) for run in runs] == [("COMPLETED", str(source))]
    tasks = api(prefect_url, "/task_runs/filter", {"flow_runs": {"id": {"any_": [runs[0]["id"]]}}})
    steps = ("plan", "survey", "convert", "publish", "report")
    assert {task["name"] for task in tasks} == {f"{step} BR77" for step in steps}
    assert {task["task_key"].partition("-")[0] for task in tasks} == set(steps)
    assert re.fullmatch("6 rows x [0-9]+ columns, 1 well, 2 sites, from 2 exports", runs[0]["state"]["message"])
    lines = messages(prefect_url, runs[0]["id"])
    assert runs[0]["state"]["message"] in lines
    assert f"{tmp_path}/out/single_cells.parquet (5" in "\n".join(lines)
    (artifact,) = artifacts(prefect_url, runs[0]["id"])
    assert artifact["key"] == "cytobatch-br77"
    assert f"Report: `{tmp_path}/out/run-report.json`" in artifact["data"]
    event = published(prefect_url, (tmp_path / "out").as_uri())
    assert event["payload"]["rows"] == 6
    assert f"prefect.flow-run.{runs[0]['id']}" in {related["prefect.resource.id"] for related in event["related"]}


def messages(url: str, run: str) -> list[str]:
    """Return the messages of a run's log, in their order."""
    logs = api(url, "/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"})
    return [log["message"] for log in logs]


def artifacts(url: str, run: str) -> list[Any]:
    return api(url, "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}, "sort": "KEY_ASC"})


def published(url: str, destination: str) -> Any:
    """Return the one event of a plate that was published at a destination, when the server has stored it."""
    names = {"event": {"name": ["cytobatch.plate.published"]}, "resource": {"id": [destination]}}
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if events := api(url, "/events/filter", {"filter": names})["events"]:
            assert len(events) == 1
            return events[0]
        time.sleep(0.1)
    raise AssertionError("the server has no event of the plate")


def test_the_log_of_a_failed_plate_has_its_own_message_and_no_traceback(
    cytobatch: Run, prefect_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    source = write_sites(tmp_path / "in", 2)
    (source / "P1-A01-1" / "Cells.csv").write_bytes(b"")
    flags = ["--source", str(source), "--destination", str(tmp_path / "out"), "--max-failed-exports"]
    assert cytobatch("run", *flags, "0", "--plate", "BAD").returncode == 3
    assert cytobatch("run", *flags, "1", "--plate", "HALF").returncode == 0
    bad, half = (
        api(prefect_url, "/flow_runs/filter", {"flow_runs": {"name": {"any_": [f"convert {name}"]}}})[0]
        for name in ("BAD", "HALF")
    )
    assert bad["state"]["type"] == "FAILED"
    assert "why: P1-A01-1/Cells.csv (cells): empty file" in bad["state"]["message"]
    lines = messages(prefect_url, bad["id"])
    assert bad["state"]["message"] in lines
    assert "Finished in state Failed('convert: at least 1 of 2 exports failed')" in lines
    assert "Traceback" not in "\n".join(lines)
    assert "NoneType" not in "\n".join(lines)
    page, table = artifacts(prefect_url, half["id"])
    assert (page["key"], table["key"]) == ("cytobatch-half", "cytobatch-half-failed")
    rows = {(row["path"], row["outcome"], row["reason"]) for row in json.loads(table["data"])}
    assert ("P1-A01-1/Cells.csv", "failed", "empty file: it has 0 bytes") in rows


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
    cytobatch: Run,
    prefect_url: str,
    upload: Callable[[Path, str], str],
    s3: Any,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    assert found == {
        f"out/P2/{name}" for name in ("single_cells.parquet", "columns.json", "run-report.json", "report.html")
    }
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


@pytest.mark.parametrize("given", [pytest.param(True, marks=pytest.mark.long), False])
def test_sigterm_ends_a_run_with_its_own_exit_code_and_a_clean_scratch(
    given: bool, tmp_path: Path, prefect_url: str
) -> None:
    source = write_sites(tmp_path / "in", 400, 20)
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")} | ({"PREFECT_API_URL": prefect_url} if given else {})
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
        "--plate",
        "TERM",
    ]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.strip() == "TERM: convert":
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        assert process.stderr.read() == ""
    if given:
        (run,) = api(prefect_url, "/flow_runs/filter", {"flow_runs": {"name": {"any_": ["convert TERM"]}}})
        assert run["state_type"] == "CRASHED"
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "tmp").iterdir())


def test_a_run_with_its_own_server_touches_no_database_of_the_user(
    cytobatch: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{tmp_path / 'mine.db'}")
    done = cytobatch("run", "--source", str(write_sites(tmp_path / "in", 1)), "--destination", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "mine.db").exists()


def test_a_run_with_a_server_imports_none(prefect_url: str, tmp_path: Path) -> None:
    source, environment = write_sites(tmp_path / "in", 1), {**os.environ, "PREFECT_API_URL": prefect_url}
    flags = ["run", "--source", str(source), "--destination", str(tmp_path / "out")]
    command = [sys.executable, "-X", "importtime", "-m", "cytobatch", *flags]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "prefect" in imported
    assert "prefect.server" not in imported
