"""Real servers for the tests, and an environment without the developer's own settings."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"the server for {url} stopped"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {url}")


@contextmanager
def running(command: list[str], environment: Mapping[str, str], log: Path, url: str) -> Iterator[None]:
    """Within it, a server process answers at the URL."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_for(url, process)
            yield
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 API over HTTP."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    environment = {**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    log = tmp_path_factory.mktemp("ministack") / "log"
    with running([str(Path(sys.executable).parent / "ministack")], environment, log, f"{url}/"):
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
    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    environment |= {"PREFECT_HOME": str(home), "DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ui",
    ]
    url = f"http://127.0.0.1:{port}/api"
    with running(command, environment, home / "log", f"{url}/health"):
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
