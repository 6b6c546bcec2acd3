"""The flow of many plates, as a Prefect server records it, and as it starts it."""

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from servers import free_port
from tests.support.plates import write_sites
from tests.support.prefect_api import api
from tests.support.program import run_program

pytestmark = pytest.mark.slow

STARTED = """
import json, sys
from cytobatch.batch.flows.plates import convert
from cytobatch.config.job_spec import JobSpec
convert(JobSpec.model_validate(json.loads(sys.argv[1])))
"""


def listed(url: str, kind: str, **filters: Any) -> list[dict[str, Any]]:
    """The runs, or logs, that a server lists."""
    return list(api(url, f"/{kind}/filter", filters))


def parent_of(url: str, out: Path | str) -> dict[str, Any]:
    """The one flow run of many plates whose parameters name a folder of outputs."""
    runs = listed(url, "flow_runs", flow_runs={"name": {"any_": ["convert plates"]}})
    (run,) = [run for run in runs if str(out) in json.dumps(run["parameters"])]
    return run


def spec_of(folder: Path, out: Path, *names: str, **defaults: Any) -> str:
    plates = [{"plate": name, "source": str(folder / name)} for name in names]
    return json.dumps({"defaults": {"destination": str(out / "{plate}"), **defaults}, "plates": plates})


def test_a_run_is_a_flow_run_with_a_task_for_each_plate_and_without_secrets(prefect_url: str, tmp_path: Path) -> None:
    for name in ("P1", "P2"):
        write_sites(tmp_path / name, 2)
    spec = spec_of(tmp_path, tmp_path / "out", "P1", "P2", extra_args={"SSECustomerKey": "secret"})
    flags = ["run", "--job-spec", spec, "--task-runner", "threads:2"]
    done = run_program(*flags, folder=tmp_path, env={"PREFECT_API_URL": prefect_url})
    assert done.returncode == 0, done.stderr
    run = parent_of(prefect_url, tmp_path / "out")
    assert run["state_type"] == "COMPLETED"
    assert "secret" not in json.dumps(run)
    tasks = listed(prefect_url, "task_runs", flow_runs={"id": {"any_": [run["id"]]}})
    assert {"P1", "P2"} <= {task["name"] for task in tasks}


def test_a_server_can_start_the_flow_with_a_spec(
    prefect_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    write_sites(tmp_path / "P1", 2)
    write_sites(tmp_path / "P2", 2)
    next((tmp_path / "P2").rglob("Cells.csv")).write_bytes(b"")
    spec = spec_of(tmp_path, tmp_path / "out", "P1", "P2", task_runner="threads:2")
    done = subprocess.run([sys.executable, "-c", STARTED, spec], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "TooManyFailedExportsError" in done.stderr
    assert {path.parent.name for path in (tmp_path / "out").rglob("*.parquet")} == {"P1"}
    run = parent_of(prefect_url, tmp_path / "out")
    assert run["state_type"] == "FAILED"
    logs = listed(prefect_url, "logs", logs={"flow_run_id": {"any_": [run["id"]]}})
    messages = [log["message"] for log in logs]
    assert "P1: convert" in messages
    assert any(message.startswith("P1: 6 rows, report ") for message in messages)
    assert any(message.startswith("P2: at least 1 of 2 exports failed") for message in messages)


@pytest.mark.parametrize(("variables", "attempts"), [({}, 3), ({"AWS_BATCH_JOB_ID": "a:1"}, 1)])
def test_a_store_that_fails_is_tried_again_but_not_in_a_job_of_aws_batch(
    variables: dict[str, str], attempts: int, prefect_url: str, tmp_path: Path
) -> None:
    write_sites(tmp_path / "P1", 1)
    nowhere = f"s3://{uuid.uuid4().hex}"
    spec = spec_of(
        tmp_path, tmp_path, "P1", destination=nowhere, endpoint_url=f"http://127.0.0.1:{free_port()}", store_timeout=1
    )
    flags = ["run", "--job-spec", spec, "--task-runner", "threads:1"]
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    done = run_program(*flags, folder=tmp_path, env={"PREFECT_API_URL": prefect_url, **keys, **variables})
    assert done.returncode == 4, done.stderr
    assert done.stderr.count("error: ") == 1
    assert done.stderr.count("P1: is tried again, because of: ") == attempts - 1
    run = parent_of(prefect_url, nowhere)
    tasks = listed(prefect_url, "task_runs", flow_runs={"id": {"any_": [run["id"]]}})
    plates = [(task["run_count"], task["state_type"]) for task in tasks if task["name"] == "P1"]
    assert plates == [(attempts, "FAILED")]
