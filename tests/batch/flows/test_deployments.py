"""The deployments and the automation that the project ships, on a real server."""

import contextlib
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.support.plates import write_sites
from tests.support.prefect_api import api
from tests.support.program import run_program
from tests.support.subprocesses import run_python

# One worker deploys for all tests.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deployments")]
ROOT = Path(__file__).parents[3]
DEPLOYMENTS = {one["name"]: one for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
AUTOMATION = ROOT / "automations" / "silent-runs.yaml"
IMAGE = "registry/cytobatch:1"
FLOWS = {
    "process-plates": ("cytobatch-plates", "plates.convert"),
    "submit": ("cytobatch-submit", "submit_plates.submit_plates"),
}
OF_ONE_PLATE = ("cytobatch-plate", "plate.convert_plate")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def deployed(prefect_url: str) -> dict[str, Any]:
    """The deployments of `prefect.yaml` by name, as the server has them."""
    for pool in {one["work_pool"]["name"] for one in DEPLOYMENTS.values()}:
        # Workers that run tests share the server: another one may have made the pool.
        with contextlib.suppress(urllib.error.HTTPError):
            api(prefect_url, "/work_pools/", {"name": pool, "type": pool.removeprefix("cytobatch-")})
    variables = {"IMAGE": IMAGE, "PREFECT_API_URL": prefect_url}
    done = run_program("prefect", "--no-prompt", "deploy", "--all", folder=ROOT, env=variables)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {name: FLOWS.get(name, OF_ONE_PLATE)[0] for name in DEPLOYMENTS}
    return {name: api(prefect_url, f"/deployments/name/{flow}/{name}") for name, flow in names.items()}


def test_every_deployment_runs_the_installed_package(deployed: dict[str, Any]) -> None:
    pools = {name: name for name in ("process", "docker", "ecs")} | dict.fromkeys(FLOWS, "process")
    assert set(deployed) == set(pools)
    for name, one in deployed.items():
        assert one["work_pool_name"] == f"cytobatch-{pools[name]}"
        assert one["entrypoint"] == f"cytobatch.batch.flows.{FLOWS.get(name, OF_ONE_PLATE)[1]}"
        assert one["pull_steps"] == []
        assert one["parameter_openapi_schema"]["required"] == ["spec" if name in FLOWS else "job"]
    assert deployed["docker"]["job_variables"]["image"] == IMAGE


def test_a_container_of_the_image_executes_a_run(deployed: dict[str, Any], prefect_url: str, tmp_path: Path) -> None:
    """A worker starts the image with the words `prefect flow-run execute`, which follow the entrypoint cytobatch."""
    job = {"source": str(write_sites(tmp_path / "in", 2)), "destination": str(tmp_path / "out"), "plate": "D1"}
    path = f"/deployments/{deployed['docker']['id']}/create_flow_run"
    run = api(prefect_url, path, {"parameters": {"job": job}})
    variables = {"PREFECT_API_URL": prefect_url, "PREFECT__FLOW_RUN_ID": run["id"], "HOME": str(tmp_path)}
    done = run_program("prefect", "flow-run", "execute", folder=tmp_path, env=variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert pq.read_table(tmp_path / "out" / "single_cells.parquet").num_rows == 6
    state = api(prefect_url, f"/flow_runs/{run['id']}")
    assert (state["name"], state["state_type"]) == ("convert D1", "COMPLETED")


HEARTBEAT = """
from cytobatch.batch.flows.plate import convert_plate
from prefect.settings import get_current_settings
print(convert_plate.name, get_current_settings().flows.heartbeat_frequency)
"""


def test_the_automation_takes_three_missing_heartbeats_for_the_end(cytobatch: Run, prefect_url: str) -> None:
    created = cytobatch(
        "prefect", "automation", "create", "--from-file", str(AUTOMATION), env={"PREFECT_API_URL": prefect_url}
    )
    assert created.returncode == 0, created.stdout + created.stderr
    name = yaml.safe_load(AUTOMATION.read_text())["name"]
    (automation,) = api(prefect_url, "/automations/filter", {"automations": {"name": {"any_": [name]}}})
    trigger = automation["trigger"]
    flow, seconds = run_python(HEARTBEAT).split()
    assert trigger["within"] == 3 * int(seconds)
    assert flow.startswith(trigger["match_related"]["prefect.resource.name"].rstrip("*"))
    assert automation["actions"][0]["state"] == "CRASHED"
