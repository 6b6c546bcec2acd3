"""A wave of plates on AWS Batch as a run of Prefect's server: real jobs on the emulator, in containers of the image."""

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.pipeline.plate import run_plate
from tests.support.emulator.lab import Put, keys_below
from tests.support.emulator.start import Applied
from tests.support.plates import write_sites
from tests.support.prefect_api import api, deploy
from tests.support.program import Run

pytestmark = pytest.mark.slow
EVERY = {"every": 1}


def run_of_server(
    cytobatch: Run, url: str, spec: dict[str, Any], overview: str | None = None, **options: Any
) -> tuple[dict[str, Any], str]:
    """Start a wave by `prefect deployment run`, execute it, and return its run and the lines of its log."""
    name = f"submit-{uuid.uuid4().hex[:8]}"
    deploy("submit_plates.submit_plates", name)
    parameters = {"spec": spec, "overview": overview, "options": EVERY | options}
    words = [word for key, value in parameters.items() for word in ("--param", f"{key}={json.dumps(value)}")]
    started = cytobatch("prefect", "deployment", "run", f"cytobatch-submit/{name}", *words)
    assert started.returncode == 0, started.stdout + started.stderr
    (run,) = re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", started.stdout)[:1]
    done = cytobatch("prefect", "flow-run", "execute", run)
    assert "Traceback" not in done.stdout + done.stderr
    logs = api(url, "/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"})
    return api(url, f"/flow_runs/{run}"), "\n".join(line["message"] for line in logs)


def artifacts(url: str, run: dict[str, Any]) -> dict[str, Any]:
    """Return what is shown of a run, by kind."""
    found = api(url, "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    return {one["type"]: json.loads(one["data"]) if one["type"] == "table" else one["data"] for one in found}


@pytest.fixture(autouse=True)
def server(prefect_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)


@pytest.mark.long
@pytest.mark.usefixtures("jobs_image")
def test_a_bad_plate_fails_the_run_and_the_others_are_collected(
    lab: Applied, put: Put, prefect_url: str, cytobatch: Run, tmp_path: Path
) -> None:
    source, destination = (lab.deployment[name] for name in ("source_uri", "destination_uri"))
    for name in ("W1", "W2", "W3"):
        write_sites(tmp_path / name, 1)
    (tmp_path / "W2" / "P1-A01-1" / "Cells.csv").write_bytes(b"")
    for name in ("W1", "W2", "W3"):
        put(tmp_path / name, f"{source}/wave/{name}")
    paths = {"source": f"{source}/wave/{{plate}}", "destination": f"{destination}/wave/{{plate}}"}
    spec = {"plates": [{"plate": "*", **paths}]}
    run, log = run_of_server(cytobatch, prefect_url, spec, name="w")
    assert run["state_type"] == "FAILED", log
    assert run["state"]["message"].startswith("3 plates: 1 failed, 2 done; W2: exit code 3 (input data)")
    shown = artifacts(prefect_url, run)
    rows = [(row["plate"], row["state"], row["exit code"]) for row in shown["table"]]
    assert rows == [("W2", "failed", "3"), ("W1", "done", "0"), ("W3", "done", "0")]
    assert shown["table"][1]["report"].endswith("profiles%2Fwave%2FW1%2Frun-report.json>)")
    assert "- **W2**: exit code 3" in shown["markdown"]
    for text in ("cytobatch-w: 3 plates on fargate_spot", "1 failed", "| error: ", "overview: s3://"):
        assert text in log
    tasks = api(prefect_url, "/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert {(task["name"], task["state_type"]) for task in tasks} == {
        ("inspect w", "COMPLETED"),
        ("submit w", "COMPLETED"),
        ("wait for w", "COMPLETED"),
        ("collect w", "COMPLETED"),
    }
    (page,) = [line.partition(": ")[2] for line in log.splitlines() if line.endswith("overview/index.html")]
    folder = page.removesuffix("/index.html")
    assert keys_below(lab.emulator.client("s3"), folder) == {"batch.parquet", "batch.csv", "index.html"}


@pytest.mark.long
def test_plates_that_are_done_are_collected_without_a_job(
    lab: Applied, put: Put, prefect_url: str, cytobatch: Run, tmp_path: Path
) -> None:
    source, destination = (lab.deployment[name] for name in ("source_uri", "destination_uri"))
    put(write_sites(tmp_path / "D1", 1), f"{source}/done/D1")
    plate = {"source": f"{source}/done/D1", "destination": f"{destination}/done/D1", "plate": "D1"}
    run_plate(PlateJob(**plate))
    overview = f"{destination}/overview"
    run, log = run_of_server(cytobatch, prefect_url, {"plates": [{**plate, "skip_done": True}]}, overview)
    assert run["state_type"] == "COMPLETED", log
    assert run["state"]["message"] == "1 plate: 1 done before"
    assert "nothing to submit" in log
    shown = artifacts(prefect_url, run)
    assert [(row["plate"], row["state"]) for row in shown["table"]] == [("D1", "done before")]
    assert "[index.html](<https://" in shown["markdown"]
    assert keys_below(lab.emulator.client("s3"), overview) == {"batch.parquet", "batch.csv", "index.html"}


def test_what_stops_a_submission_is_the_runs_message(
    lab: Applied, put: Put, prefect_url: str, cytobatch: Run, tmp_path: Path
) -> None:
    source, destination = (lab.deployment[name] for name in ("source_uri", "destination_uri"))
    put(write_sites(tmp_path / "X1", 1), f"{source}/stop/X1")
    plate = {"source": f"{source}/stop/X1", "destination": f"{destination}/stop/X1", "joins": "SELECT * FROM ghosts"}
    run, log = run_of_server(cytobatch, prefect_url, {"plates": [plate]})
    assert run["state_type"] == "FAILED", log
    assert run["state"]["message"].startswith("1 of 1 plates look invalid")
    assert "invalid: X1: joins names ghosts, which is no table" in log
    assert artifacts(prefect_url, run) == {}
