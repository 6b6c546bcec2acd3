"""Servers that some cases need, as processes of their own: MiniStack for S3, and Prefect's server."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from measure import environment_of

_TIMEOUT_SECONDS = 120


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers. Raises RuntimeError with the end of its log if it does not."""
    end = time.monotonic() + _TIMEOUT_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"no server answers at {url}:\n{log.read_text(errors='replace')[-2000:]}")


@contextmanager
def _running(command: list[str], environment: Mapping[str, str], log: Path, url: str) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_for(url, process, log)
            yield
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Run a server with the S3 API; yield its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = environment_of((("BIND_HOST", "127.0.0.1"), ("GATEWAY_PORT", str(port))))
    command = [str(Path(sys.executable).parent / "ministack")]
    with _running(command, environment, folder / "ministack.log", f"{url}/"):
        yield url


@contextmanager
def prefect_server(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a Prefect server in the configuration of a user, with further settings; yield its API's URL."""
    port = free_port()
    variables = {
        "PREFECT_HOME": str(folder / "prefect"),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        **(settings or {}),
    }
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
    with _running(command, environment_of(tuple(variables.items())), folder / "prefect.log", f"{url}/health"):
        yield url
