"""Fixtures of a lab that has a deployment: its environment, its uploads, its jobs' image. A plugin."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cytobatch.cli.app import main
from tests.support.containers import Image
from tests.support.emulator.server import credentials
from tests.support.emulator.start import Applied

RunCli = Callable[..., tuple[int, str, str]]
"""The type of the fixture `run_cli`: arguments in; exit code, standard output and standard error out."""
Put = Callable[[Path, str], None]


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str]) -> RunCli:
    """Runs the command line in this process."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def lab(applied: Applied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Applied:
    """The applied deployment as a lab has it: its account's environment, and the output of Terraform in a file."""
    for name, value in credentials(applied.emulator.url).items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "deployment.json"
    path.write_text(json.dumps(applied.output))
    monkeypatch.setenv("CYTOBATCH_DEPLOYMENT", str(path))
    return applied


@pytest.fixture
def put(lab: Applied) -> Put:
    """Uploads a folder, or a file, below a URI."""
    s3 = lab.emulator.client("s3")

    def upload(local: Path, uri: str) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if local.is_file():
            s3.put_object(Bucket=bucket, Key=key, Body=local.read_bytes())
            return
        for path in sorted(local.rglob("*")):
            if path.is_file():
                name = f"{key.rstrip('/')}/{path.relative_to(local).as_posix()}"
                s3.put_object(Bucket=bucket, Key=name, Body=path.read_bytes())

    return upload


def keys_below(s3: Any, uri: str) -> set[str]:
    """Return the keys of the objects below a URI, relative to it."""
    bucket, _, prefix = uri.rstrip("/").removeprefix("s3://").partition("/")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    return {entry["Key"].removeprefix(f"{prefix}/") for page in pages for entry in page.get("Contents", [])}


@pytest.fixture
def jobs_image(lab: Applied, image: Image) -> Image:
    """The tested image, under the name that the deployment's jobs have for it.

    Skips where jobs cannot run as containers.
    """
    if lab.emulator.docker_host is None:
        pytest.skip("no engine for containers answers to Docker's API, podman's or Docker's own")
    subprocess.run([image.engine, "tag", image.name, lab.image], check=True)
    return image
