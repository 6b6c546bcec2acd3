"""The emulator as a process of its own, and the container engine that its jobs run in."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from servers import free_port, wait_for

REGION = "us-east-1"
ACCOUNT = "123456789012"
_HERE = Path(__file__).parent
_TIMEOUT = 120


def missing_modules() -> str | None:
    """Return why the emulator cannot run in this Python: the modules that are missing. None if there are all."""
    missing = [name for name in ("moto", "docker", "flask") if importlib.util.find_spec(name) is None]
    return f"the emulator needs {', '.join(missing)}" if missing else None


def credentials(url: str) -> dict[str, str]:
    """Return the environment of a process whose AWS is the emulator."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }


@contextmanager
def aws_emulator(
    folder: Path, docker_host: str | None = None, job_environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run the emulator, and yield its URL.

    Its log is `emulator.log` in the folder. With a Docker API its jobs run as containers in the host's network; without
    one they fail. The emulator is the AWS of jobs. `job_environment` is added to their environment.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "MOTO_", "DOCKER_"))}
    environment |= {
        "MOTO_DOCKER_NETWORK_MODE": "host",
        "MOTO_STOP_SECONDS": "5",
        "MOTO_JOB_ENV": json.dumps({**credentials(url), **(job_environment or {})}),
        # An address where nothing answers, if no engine is given: jobs must not use one that this machine has.
        "DOCKER_HOST": docker_host or f"unix://{folder / 'no-engine'}",
    }
    command = [sys.executable, str(_HERE / "moto_aws.py"), "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, environment, folder / "emulator.log") as process:
        wait_for(f"{url}/moto-api/", process, folder / "emulator.log")
        yield url


@contextmanager
def docker_api(folder: Path) -> Iterator[str | None]:
    """Yield the address of a Docker API, None if there is no engine.

    Podman's is started. Without podman it is DOCKER_HOST or Docker's own socket, if it answers.
    """
    podman = shutil.which("podman")
    if podman is None:
        address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        yield address if _answers(address) else None
        return
    address = f"unix://{folder / 'podman.sock'}"
    command = [podman, "system", "service", "--time", "0", address]
    with _running(command, dict(os.environ), folder / "podman.log") as process:
        end = time.monotonic() + _TIMEOUT
        while not _answers(address) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        yield address if _answers(address) else None


def _answers(address: str) -> bool:
    """Decide whether a process listens at a unix:// or tcp:// address."""
    kind, _, location = address.partition("://")
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    host, _, port = location.rpartition(":")
    with socket.socket(family) as connection:
        connection.settimeout(5)
        try:
            connection.connect(location if kind == "unix" else (host, int(port)))
        except OSError:
            return False
    return True


@contextmanager
def _running(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                # Threads of jobs may wait for their containers.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)
