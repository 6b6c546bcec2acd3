"""Prefect's API in memory: beside a real server of Prefect, and under real runs by each task runner."""

import json
import os
import subprocess
import sys
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
    from prefect import flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL
    from prefect.states import Completed, Failed, Running

    @flow(name=f"asked-{uuid4()}", version="1")
    def asked(plate):
        return plate

    def shown(run):
        state = run.state
        return [run.name, run.parameters, sorted(run.tags), run.flow_version, run.state_type, run.state_name,
                state.type, state.name, state.message, state.state_details.flow_run_id == run.id]

    def set_to(run, state):
        result = client.set_flow_run_state(run.id, state)
        return [result.status, result.details.type, result.state.type, result.state.name, result.state.message,
                result.state.id == client.read_flow_run(run.id).state.id]

    client = stack.enter_context(SyncPrefectClient(PREFECT_API_URL.value()))
    health = client.api_healthcheck()
    first, second = client.create_flow(asked), client.create_flow(asked)
    named = client.create_flow_run(asked, name="BR1", parameters={"plate": "BR1"}, tags=["a", "b"])
    unnamed = client.create_flow_run(asked, parameters={"plate": None})
    bad = client.create_flow_run(asked, name="bad")
    steps = [set_to(named, Running()), set_to(named, Completed(message="12 rows")), set_to(bad, Running())]
    steps += [set_to(bad, Failed(message="no source"))]
    client.update_flow_run(unnamed.id, name="convert BR2")
    try:
        missing = client.read_flow_run(uuid4())
    except ObjectNotFound as error:
        missing = type(error).__name__
    print(json.dumps({
        "health": repr(health),
        "one flow of a name": first == second,
        "flow": client.read_flow(first).name == asked.name,
        "runs": [shown(client.read_flow_run(run.id)) for run in (named, unnamed, bad)],
        "has a name": bool(unnamed.name),
        "states": steps,
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
    assert [run[0] for run in found["runs"]] == ["BR1", "convert BR2", "bad"]
    assert [run[6] for run in found["runs"]] == ["COMPLETED", "PENDING", "FAILED"]


WATCHED = """
import json, runpy, sys
from cytobatch.batch.flows import memory_api, server

made, answers, states = memory_api.memory_api, [], []

def watched():
    application = made()

    async def watch(scope, receive, send):
        async def read():
            message = await receive()
            if scope["path"].endswith("/set_state") and message.get("body"):
                states.append(json.loads(message["body"])["state"]["type"])
            return message

        async def note(message):
            if message["type"] == "http.response.start":
                answers.append([scope["method"], scope["path"].split("/")[2], message["status"]])
            await send(message)
        await application(scope, read, note)

    return watch

if __name__ == "__main__":
    server.memory_api = watched
    try:
        runpy.run_module("cytobatch", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        with open("answers.json", "w") as file:
            json.dump({"code": end.code, "answers": answers, "states": states}, file)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    # Dask's workers are processes, too; and test_task_runners has a run of a pool of processes.
    "runner",
    ["sequential", "threads:2", pytest.param("processes:2", marks=pytest.mark.long), "dask:2"],
)
def test_it_knows_all_that_a_run_asks(runner: str, tmp_path: Path) -> None:
    if runner.startswith("dask"):
        pytest.importorskip("prefect_dask")
    plates = [{"source": str(write_sites(tmp_path / name, 1)), "destination": f"out/{name}.parquet"} for name in "ab"]
    plates.append({"source": str(tmp_path / "none"), "destination": "out/none.parquet"})
    (tmp_path / "spec.json").write_text(json.dumps({"plates": plates}))
    (tmp_path / "watched.py").write_text(WATCHED)
    command = [sys.executable, "watched.py", "run", "--job-spec", "spec.json", "--task-runner", runner]
    # A proxy of the environment, which knows nothing of this machine, is not asked.
    environment = {**os.environ, "HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    found = json.loads((tmp_path / "answers.json").read_text())
    assert found["code"] == 3, done.stderr
    assert "warning" not in done.stderr
    assert {status for _, _, status in found["answers"]} <= {200, 201, 204}
    ended = [state for state in found["states"] if state != "RUNNING"]
    # Plates at once are one run, which fails with the worst of them.
    assert ended == (["COMPLETED", "COMPLETED", "FAILED"] if runner == "sequential" else ["FAILED"])
