"""Prefect's API in memory: beside a real server of Prefect, and under real runs by each task runner."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.plates import write_sites

ASK = """
import json
from contextlib import ExitStack
from uuid import uuid4
from cytobatch.batch.flows.settings import prefect_settings

with ExitStack() as stack:
    own = stack.enter_context(prefect_settings(debug=False))
    from cytobatch.batch.flows.server import run_ephemeral_server
    if own:
        stack.enter_context(run_ephemeral_server(own))
    from prefect import flow, task
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import ArtifactCreate
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentTaskRunId
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL
    from prefect.states import Completed, Failed, Pending, Running

    @flow(name=f"asked-{uuid4()}", version="1")
    def asked(plate):
        return plate

    @task(name="asked")
    def inner():
        pass

    def shown(run):
        state = run.state
        return [run.name, run.parameters, sorted(run.tags), run.flow_version, run.state_type, run.state_name,
                state.type, state.name, state.message, state.state_details.flow_run_id == run.id]

    def within(parent):
        only = FlowRunFilter(parent_task_run_id=FlowRunFilterParentTaskRunId(any_=[parent]))
        return [shown(run) for run in client.read_flow_runs(flow_run_filter=only)]

    def set_to(run, state):
        result = client.set_flow_run_state(run.id, state)
        return [result.status, result.details.type, result.state.type, result.state.name, result.state.message,
                result.state.id == client.read_flow_run(run.id).state.id]

    client = stack.enter_context(SyncPrefectClient(PREFECT_API_URL.value()))
    health = client.api_healthcheck()
    first, second = client.create_flow(asked), client.create_flow(asked)
    named = client.create_flow_run(asked, name="BR1", parameters={"plate": "BR1"}, tags=["a", "b"])
    unnamed = client.create_flow_run(asked, parameters={"plate": None})
    parent = client.create_task_run(inner, named.id, "0", state=Pending())
    child = client.create_flow_run(asked, name="child", parent_task_run_id=parent.id)
    steps = [set_to(named, Running()), set_to(named, Completed(message="12 rows")), set_to(child, Running())]
    steps += [set_to(child, Failed(message="no source"))]
    client.update_flow_run(unnamed.id, name="convert BR2")
    artifact = client.create_artifact(ArtifactCreate(key="br1", type="markdown", data="# BR1", flow_run_id=named.id))
    try:
        missing = client.read_flow_run(uuid4())
    except ObjectNotFound as error:
        missing = type(error).__name__
    print(json.dumps({
        "health": repr(health),
        "one flow of a name": first == second,
        "flow": client.read_flow(first).name == asked.name,
        "runs": [shown(client.read_flow_run(run.id)) for run in (named, unnamed, child)],
        "has a name": bool(unnamed.name),
        "task run": [parent.task_key, parent.dynamic_key, parent.flow_run_id == named.id, parent.state.type],
        "within": within(parent.id),
        "within none": within(uuid4()),
        "states": steps,
        "artifact": [artifact.key, artifact.data],
        "missing": missing,
    }, default=str))
"""


def answers(folder: Path, **environment: str) -> dict[str, Any]:
    """What Prefect's client gets from the server that the environment names, or else from the API in memory."""
    command, env = [sys.executable, "-c", ASK], {**os.environ, **environment}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_answers_prefects_client_as_a_server_of_prefect_does(prefect_url: str, tmp_path: Path) -> None:
    found = answers(tmp_path)
    assert found == answers(tmp_path, PREFECT_API_URL=prefect_url)
    assert [run[0] for run in found["runs"]] == ["BR1", "convert BR2", "child"]
    assert [run[6] for run in found["runs"]] == ["COMPLETED", "PENDING", "FAILED"]


WATCHED = """
import json, runpy, sys
from cytobatch.batch.flows import memory_api, server

made, answers = memory_api.memory_api, []

def watched():
    application = made()

    async def watch(scope, receive, send):
        async def note(message):
            if message["type"] == "http.response.start":
                answers.append([scope["method"], scope["path"].split("/")[2], message["status"]])
            await send(message)
        await application(scope, receive, note)

    return watch

if __name__ == "__main__":
    server.memory_api = watched
    try:
        runpy.run_module("cytobatch", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        with open("answers.json", "w") as file:
            json.dump({"code": end.code, "answers": answers}, file)
"""


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["sequential", "threads:2", "processes:2", "dask:2"])
def test_it_knows_all_that_a_run_asks(runner: str, tmp_path: Path) -> None:
    if runner.startswith("dask"):
        pytest.importorskip("prefect_dask")
    plates = [{"source": str(write_sites(tmp_path / name, 1)), "destination": f"out/{name}.parquet"} for name in "ab"]
    plates.append({"source": str(tmp_path / "none"), "destination": "out/none.parquet"})
    (tmp_path / "spec.json").write_text(json.dumps({"plates": plates}))
    (tmp_path / "watched.py").write_text(WATCHED)
    command = [sys.executable, "watched.py", "run", "--job-spec", "spec.json", "--task-runner", runner]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    found = json.loads((tmp_path / "answers.json").read_text())
    assert found["code"] == 3, done.stderr
    assert "warning" not in done.stderr
    assert {status for _, _, status in found["answers"]} <= {200, 201, 204}
    runs = 3 if runner == "sequential" else 4
    asked = Counter((method, kind) for method, kind, _ in found["answers"])
    # A run is created, begins and ends.
    assert asked["POST", "flows"] >= runs
    assert asked["POST", "flow_runs"] >= 3 * runs


EPHEMERAL_RUN = """
import json, sys, urllib.request
from cytobatch.errors import CytobatchError
from cytobatch.batch.flows import settings as environment
from cytobatch.config.expand import plate_jobs
from cytobatch.config.options import PlateOptions

def listed():
    url = f"{PREFECT_API_URL.value()}/flow_runs/filter"
    request = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"})
    return [(run["name"], run["state_type"]) for run in json.load(urllib.request.urlopen(request, timeout=30))]

def job(name):
    return plate_jobs(None, PlateOptions(source=name, destination=f"out-{name}"), None, "here", list)[0]

with environment.prefect_settings(debug=False) as ephemeral:
    from cytobatch.batch.flows import plate, server, services
    from prefect.settings import PREFECT_API_URL
    with server.run_ephemeral_server(ephemeral):
        for name in sys.argv[1:]:
            try:
                plate.convert(job(name), lambda *_: None)
            except CytobatchError:
                pass
        assert services.close_services(10)
        answer = listed()
print(json.dumps(answer))
"""


@pytest.mark.slow
def test_an_ephemeral_server_has_the_flow_runs_of_its_process(tmp_path: Path) -> None:
    write_sites(tmp_path / "good", 1)
    done = subprocess.run(
        [sys.executable, "-c", EPHEMERAL_RUN, "good", "bad"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert dict(json.loads(done.stdout)) == {"convert good": "COMPLETED", "convert bad": "FAILED"}
