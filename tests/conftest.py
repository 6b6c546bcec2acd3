"""Real servers for the tests, and an environment without the developer's own settings."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import settings

from servers import prefect_server, s3_server

pytest_plugins = [
    "tests.support.recorder",
    "tests.support.containers",
    "tests.support.emulator.fixtures",
    "tests.support.emulator.configuration",
    "tests.support.emulator.lab",
]

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
# How long an example takes says more of the machine than of the program.
settings.register_profile("cytobatch", deadline=None)
settings.load_profile("cytobatch")

_OURS = ("CYTOBATCH_", "AWS_", "PREFECT_")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 API over HTTP."""
    with s3_server(tmp_path_factory.mktemp("ministack")) as url:
        yield url


@pytest.fixture
def aws(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of a job whose AWS is the server of these tests."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return s3_url


@pytest.fixture
def s3(aws: str) -> Any:
    return boto3.client("s3", endpoint_url=aws)


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"plates-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def upload(s3: Any, bucket: str) -> Callable[[Path, str], str]:
    """Uploads a folder below a prefix, and returns its URI."""

    def put(folder: Path, prefix: str) -> str:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                s3.upload_file(str(path), bucket, f"{prefix}/{path.relative_to(folder).as_posix()}")
        return f"s3://{bucket}/{prefix}"

    return put


@pytest.fixture(scope="session")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server as a user would have one."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as url:
        yield url


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cytobatch(tmp_path: Path) -> Run:
    """Runs the real program as a process of its own, configured as the test's environment is."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **(env or {}), "COLUMNS": "200"}
        command = [sys.executable, "-m", "cytobatch", *arguments]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )

    return run
