"""A deployment and its jobs on AWS itself, by `make smoke-aws` alone: some ten minutes and some cents.

The minimal example is applied under a name of its own, with the usual credentials, and destroyed at the end.
"""

import base64
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from cytobatch.errors import ExitCode
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.batch.aws.test_batch import ended, job_ids
from tests.support.containers import Image
from tests.support.emulator.lab import RunCli, keys_below
from tests.support.emulator.terraform import Terraform, copied

# Tests run without these variables.
ACCOUNT = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
TIMEOUT = 1800

pytestmark = pytest.mark.skipif(not os.environ.get("SMOKE_AWS"), reason="it costs money: run make smoke-aws")


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The outputs of a deployment that exists for this test."""
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    example = copied(tmp_path / "terraform") / "examples/minimal"
    arguments = {"name": f"smoke-{secrets.token_hex(3)}", "force_destroy": True}
    (example / "smoke_override.tf.json").write_text(json.dumps({"module": {"cytobatch": arguments}}))
    terraform = Terraform(example, dict(os.environ))
    terraform.run("init", "-input=false")
    try:
        terraform.apply()
        path = tmp_path / "deployment.json"
        path.write_text(json.dumps(terraform.output()))
        monkeypatch.setenv("CYTOBATCH_DEPLOYMENT", str(path))
        yield {name: one["value"] for name, one in terraform.output().items()}
    finally:
        terraform.run("destroy", "-auto-approve", "-input=false")


def push(image: Image, repository: str, region: str) -> None:
    """Push the image to the deployment's registry."""
    token = boto3.client("ecr", region_name=region).get_authorization_token()["authorizationData"][0][
        "authorizationToken"
    ]
    user, _, password = base64.b64decode(token).decode().partition(":")
    login = [image.engine, "login", "--username", user, "--password-stdin", repository.partition("/")[0]]
    subprocess.run(login, input=password, text=True, check=True)
    subprocess.run([image.engine, "tag", image.name, f"{repository}:latest"], check=True)
    subprocess.run([image.engine, "push", f"{repository}:latest"], check=True)


def put(local: Path, uri: str) -> None:
    """Upload a folder below a URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    for path in sorted(local.rglob("*")):
        if path.is_file():
            boto3.client("s3").upload_file(str(path), bucket, f"{key}/{path.relative_to(local).as_posix()}")


def test_plates_are_converted_as_an_array_and_by_an_upload(
    outputs: dict[str, Any], image: Image, run_cli: RunCli, tmp_path: Path
) -> None:
    region = outputs["deployment"]["region"]
    push(image, outputs["repository_url"], region)
    source, destination = (outputs["deployment"][name] for name in ("source_uri", "destination_uri"))
    for plate in ("P1", "P2"):
        write_plate(SyntheticPlate(), tmp_path / "array" / plate)
    write_plate(SyntheticPlate(), tmp_path / "upload", PlateFormat.SQLITE)
    put(tmp_path / "array", f"{source}/array")
    code, out, err = run_cli(
        "submit", "--source", f"{source}/array/{{plate}}", "--plate", "*", "--destination", f"{destination}/{{plate}}"
    )
    assert code == ExitCode.OK, err
    put(tmp_path / "upload", f"{source}/upload")
    (job,) = job_ids(out)
    assert ended(boto3.client("batch", region_name=region), job, TIMEOUT)["status"] == "SUCCEEDED", run_cli(
        "status", job
    )[1]
    (file,) = (tmp_path / "upload").rglob("*.sqlite")
    end = time.monotonic() + TIMEOUT
    while not keys_below(boto3.client("s3"), f"{destination}/{file.stem}") and time.monotonic() < end:
        time.sleep(10)
    for plate in ("P1", "P2", file.stem):
        assert "single_cells.parquet" in keys_below(boto3.client("s3"), f"{destination}/{plate}")
