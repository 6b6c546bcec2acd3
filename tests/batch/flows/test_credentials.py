"""Credentials by the name of a Prefect block: stores are asked with them, and nothing keeps the secret."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy import proxy
from servers import free_port
from tests.support.plates import write_sites
from tests.support.prefect_api import api, deploy
from tests.support.program import Run
from tests.support.subprocesses import run_python

pytestmark = pytest.mark.slow
Upload = Callable[[Path, str], str]

SAVE = """
import json, sys
from prefect_aws import AwsCredentials, MinIOCredentials
endpoint, name, secret = sys.argv[1:]
client = {"endpoint_url": endpoint, "verify": True, "use_ssl": True, "config": {}}
MinIOCredentials(
    minio_root_user="reader", minio_root_password=secret, region_name="us-east-1", aws_client_parameters=client
).save(name)
AwsCredentials(
    aws_access_key_id="writer", aws_secret_access_key=secret, region_name="us-east-1", aws_client_parameters=client
).save(name)
AwsCredentials(aws_access_key_id="writer", aws_client_parameters={"use_ssl": False}).save(name + "-odd")
"""
NO_CREDENTIALS = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}


@pytest.fixture
def plates(upload: Upload, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two plates in a bucket. The environment has no credentials any more."""
    for name in ("P1", "P2"):
        upload(write_sites(tmp_path / "in" / name, 1), f"in/{name}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    return f"s3://{bucket}"


def kept_by_the_server(url: str) -> str:
    """Return what the server's API shows of the last runs, blocks and events."""
    newest = {"flow_runs": "START_TIME_DESC", "task_runs": "END_TIME_DESC", "logs": "TIMESTAMP_DESC"}
    answers = [api(url, f"/{kind}/filter", {"sort": order, "limit": 200}) for kind, order in newest.items()]
    return json.dumps([*answers, api(url, "/artifacts/filter", {}), api(url, "/block_documents/filter", {})])


def access_keys(asked: list[Any], method: str) -> set[str]:
    """Return the access keys that requests of objects were signed with."""
    signed = [one.headers.get("authorization", "") for one in asked if one.method == method and one.key]
    return {header.partition("Credential=")[2].partition("/")[0] for header in signed}


@dataclass(frozen=True)
class Lab:
    """Two plates in a bucket behind a proxy, and a Prefect server with blocks that have a secret."""

    plates: str
    name: str
    secret: str
    requests: list[Any]

    @property
    def blocks(self) -> dict[str, str]:
        """The blocks of source and destination."""
        return {
            "credentials": f"minio-credentials/{self.name}",
            "destination_credentials": f"aws-credentials/{self.name}",
        }


@pytest.fixture
def lab(plates: str, s3_url: str, prefect_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    name, secret = f"lab-{uuid.uuid4().hex[:8]}", f"secret-{uuid.uuid4().hex}"
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    with proxy(s3_url) as (endpoint, requests):
        run_python(SAVE, endpoint, name, secret)
        yield Lab(plates, name, secret, requests)


def run_all(cytobatch: Run, lab: Lab, *words: str) -> str:
    """Convert both plates, and return what is printed."""
    paths = ["--source", f"{lab.plates}/in/{{plate}}", "--plate", "*", "--destination", f"{lab.plates}/out/{{plate}}"]
    blocks = [word for name, block in lab.blocks.items() for word in (f"--{name.replace('_', '-')}", block)]
    done = cytobatch("run", *paths, *blocks, *words, env=NO_CREDENTIALS)
    assert done.returncode == 0, done.stderr
    assert access_keys(lab.requests, "PUT") == {"writer"}
    assert access_keys(lab.requests, "GET") == {"reader", "writer"}
    return done.stdout + done.stderr


def run_by_server(cytobatch: Run, lab: Lab, url: str) -> str:
    """Convert a plate by a run that the server starts, with the names of blocks as parameters."""
    job = {"source": f"{lab.plates}/in/P1", "destination": f"{lab.plates}/served", "plate": "P1", **lab.blocks}
    deployment = deploy("plate.convert_plate", lab.name)
    run = api(url, f"/deployments/{deployment}/create_flow_run", {"parameters": {"job": job}})["id"]
    done = cytobatch("prefect", "flow-run", "execute", env={"PREFECT__FLOW_RUN_ID": run, **NO_CREDENTIALS})
    assert api(url, f"/flow_runs/{run}")["state_type"] == "COMPLETED", done.stdout + done.stderr
    return done.stdout + done.stderr


def test_stores_are_asked_with_the_credentials_of_blocks_and_nothing_keeps_the_secret(
    lab: Lab, s3: Any, bucket: str, prefect_url: str, cytobatch: Run
) -> None:
    shown = run_all(cytobatch, lab, "--debug") + run_by_server(cytobatch, lab, prefect_url)
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"] if entry["Key"].endswith(".json")]
    assert len(keys) == 6
    shown += b"".join(s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys).decode()
    shown += kept_by_the_server(prefect_url)
    assert lab.blocks["credentials"] in shown
    assert lab.secret not in shown


@pytest.mark.long
def test_a_process_of_a_pool_loads_the_block_by_its_name(lab: Lab, prefect_url: str, cytobatch: Run) -> None:
    shown = run_all(cytobatch, lab, "--task-runner", "processes:2", "--debug") + kept_by_the_server(prefect_url)
    assert lab.secret not in shown


def refusal(cytobatch: Run, *words: str, **env: str) -> str:
    done = cytobatch("run", "--source", "s3://in/P1", "--destination", "s3://out/P1", *words, env=env)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.long
def test_a_block_that_cannot_be_used_is_one_error(
    s3_url: str, prefect_url: str, cytobatch: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = ("--credentials", "aws-credentials/absent")
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    missing = refusal(cytobatch, *block)
    assert missing.startswith("error: no such Prefect block: aws-credentials/absent\n  why: the server at http://")
    run_python(SAVE, s3_url, name := f"lab-{uuid.uuid4().hex[:8]}", "secret")
    unused = refusal(cytobatch, "--credentials", f"aws-credentials/{name}-odd")
    assert "block has parameters of clients that cytobatch does not use: use_ssl" in unused
    absent = cytobatch(
        *("run", "--source", "s3://in/P1", "--destination", "s3://out/P1", *block),
        env={"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"},
    )
    assert (absent.returncode, "Prefect's server does not give a block" in absent.stderr) == (5, True), absent.stderr
