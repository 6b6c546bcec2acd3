"""Questions of tests to a Prefect server."""

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from tests.support.subprocesses import run_python

_BUSY = 503


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, HTTPError) and error.code == _BUSY


@retry(retry=retry_if_exception(_is_busy), stop=stop_after_delay(60), wait=wait_fixed(0.5), reraise=True)
def api(url: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Return the answer to a GET, or to a POST of a body.

    Tests share a server on SQLite, which has one writer: while it is busy, it is asked again.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


_DEPLOY = """
import sys
from importlib import import_module
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType
module, _, flow = sys.argv[1].rpartition(".")
flow = getattr(import_module("cytobatch.batch.flows." + module), flow)
print(RunnerDeployment.from_flow(flow, name=sys.argv[2], entrypoint_type=EntrypointType.MODULE_PATH).apply())
"""


def deploy(flow: str, name: str) -> str:
    """Deploy a flow of the package at PREFECT_API_URL, for any process to execute its runs. Return the deployment's id.

    `flow` is its module in `batch.flows` and its name there.
    """
    return run_python(_DEPLOY, flow, name).strip()
