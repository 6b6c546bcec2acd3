"""Fixtures of all tests, and an environment without the developer's own settings."""

import os
import subprocess
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from cytobatch.pipeline import early_checks
from tests.support.examples import import_whole_package, register_profiles
from tests.support.program import Run, run_program

# Each behind those that it imports, because pytest rewrites the assertions of a plugin when it imports it first.
pytest_plugins = [
    "tests.support.controller",
    "tests.support.shared",
    "tests.support.resources",
    "tests.support.recorder",
    "tests.support.selection",
    "tests.support.workers",
    "tests.support.emulator.fixtures",
    "tests.support.emulator.lab",
]

register_profiles()


def pytest_collection_finish() -> None:
    import_whole_package()


_OURS = ("CYTOBATCH_", "AWS_", "PREFECT_")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)


@pytest.fixture
def any_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small plates are converted with the smallest shares of memory, which no run is begun with."""
    monkeypatch.setattr(early_checks, "least_memory", lambda _plan: 0)


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


@pytest.fixture
def cytobatch(tmp_path: Path) -> Run:
    """Runs the real program as a process of its own, in the test's folder and environment."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return run_program(*arguments, folder=tmp_path, env=env)

    return run
