"""Runs that a Prefect server starts: by `cytobatch serve`, with a job as the parameter of a deployment's run."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from servers import free_port
from tests.support.plates import write_sites
from tests.support.prefect_api import api

pytestmark = pytest.mark.slow
Run = Callable[..., subprocess.CompletedProcess[str]]


def wait_for(what: str, found: Callable[[], Any], seconds: float = 120) -> Any:
    """Return what a function finds as soon as it finds something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.2)
    raise AssertionError(f"{what} did not happen within {seconds} s")


@pytest.fixture
def served(prefect_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "cytobatch", "serve", "--name", tmp_path.name]
    environment = {**os.environ, "PREFECT_API_URL": prefect_url, "CYTOBATCH_WELL_PROFILES": "mean"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_run_of_the_server_converts_a_plate_with_the_machines_own_options(
    served: subprocess.Popen[str], prefect_url: str, tmp_path: Path
) -> None:
    def deployment() -> Any:
        try:
            return api(prefect_url, f"/deployments/name/cytobatch-plate/{tmp_path.name}")
        except urllib.error.HTTPError:
            return None

    offered = wait_for("a deployment", deployment)
    assert offered["parameter_openapi_schema"]["required"] == ["job"]
    jobs = {
        "good": {"source": str(write_sites(tmp_path / "in", 2)), "destination": f"{tmp_path}/{{plate}}", "plate": "S1"},
        "bad": {"source": str(tmp_path / "nowhere"), "destination": str(tmp_path / "bad")},
    }
    path = f"/deployments/{offered['id']}/create_flow_run"
    runs = {name: api(prefect_url, path, {"parameters": {"job": job}})["id"] for name, job in jobs.items()}

    def ended(name: str) -> Any:
        run = api(prefect_url, f"/flow_runs/{runs[name]}")
        return run if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED") else None

    good, bad = (wait_for(f"the run of the {name} plate", lambda name=name: ended(name)) for name in jobs)
    assert (good["name"], good["state_type"]) == ("convert S1", "COMPLETED"), good["state"]
    assert good["state"]["message"].startswith("6 rows x ")
    assert pq.read_table(tmp_path / "S1" / "single_cells.parquet").num_rows == 6
    # An option that the parameters leave open is that of the machine's environment.
    assert pq.read_table(tmp_path / "S1" / "profiles.parquet").num_rows == 1
    assert bad["state_type"] == "FAILED"
    assert bad["state"]["message"].startswith("source is missing or empty: ")
    tasks = api(prefect_url, "/task_runs/filter", {"flow_runs": {"id": {"any_": [good["id"]]}}})
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}
    assert len(tasks) == 5
    served.send_signal(signal.SIGTERM)
    assert served.wait(10) in (0, 143)
    assert served.stderr is not None
    assert [line for line in served.stderr.read().splitlines() if not line.startswith("serving ")] == []


def test_serving_needs_a_server_and_one_that_is_up(cytobatch: Run) -> None:
    unnamed = cytobatch("serve")
    assert unnamed.returncode == 2
    assert "no Prefect server named" in unnamed.stderr
    url = f"http://127.0.0.1:{free_port()}/api"
    absent = cytobatch("serve", env={"PREFECT_API_URL": url})
    assert absent.returncode == 5
    assert f"Prefect's server does not take the deployment: {url}\n  why: {url} cannot be reached" in absent.stderr
    assert "Traceback" not in absent.stderr


def test_prefects_own_command_line_is_reached(cytobatch: Run) -> None:
    done = cytobatch("prefect", "flow-run", "execute")
    assert done.returncode == 1
    assert "Could not determine the ID of the flow run to execute" in done.stdout + done.stderr
    assert cytobatch("prefect", "version").stdout.startswith("Version:")
