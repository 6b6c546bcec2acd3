"""The emulator with the complete example applied to it, as they are started once in a run."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.support.emulator.server import REGION, aws_emulator, docker_api, missing_modules
from tests.support.emulator.terraform import Terraform, copied, point_at

_LOG_TAIL = 4000
_JOBS = {"CYTOBATCH_ORCHESTRATOR": "none"}
"""The environment of jobs. Prefect's own server in a container is what the tests of the image, and of retries, run: it
takes three quarters of a small plate's CPU time."""


@dataclass(frozen=True)
class Emulator:
    """A running emulator. `docker_host` is None where jobs cannot run."""

    url: str
    docker_host: str | None
    log: Path

    def client(self, service: str) -> Any:
        """Return a boto3 client of a service, with a session of its own: two threads may not share boto3's default."""
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
        return session.client(service, endpoint_url=self.url)

    def log_tail(self) -> str:
        """Return the end of the emulator's log, without the requests: jobs whose containers failed to run are there."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if " HTTP/1.1" not in line)[-_LOG_TAIL:]


@dataclass(frozen=True)
class Applied:
    """The complete example, applied to the emulator."""

    emulator: Emulator
    terraform: Terraform
    output: dict[str, Any]
    """The object that `terraform output -json` prints."""
    image: str
    """The image that jobs run. A test that lets jobs run gives this name to an image."""

    @property
    def deployment(self) -> dict[str, Any]:
        """The output `deployment`."""
        return dict(self.output["deployment"]["value"])

    @cached_property
    def resources(self) -> dict[str, dict[str, Any]]:
        """Attributes of each resource and data source by its address, as `module.cytobatch.aws_iam_role.job`."""
        root = json.loads(self.terraform.run("show", "-json").stdout)["values"]["root_module"]
        modules = [root, *root.get("child_modules", [])]
        return {each["address"]: each["values"] for module in modules for each in module.get("resources", [])}


@contextmanager
def emulator_with_engine(folder: Path) -> Iterator[Emulator]:
    """Run AWS on loopback. Its jobs run as containers where this machine has an engine."""
    missing = missing_modules()
    if missing:
        pytest.skip(missing)
    with docker_api(folder) as docker_host, aws_emulator(folder, docker_host, _JOBS) as url:
        yield Emulator(url, docker_host, folder / "emulator.log")


def applied_example(emulator: Emulator, folder: Path) -> Applied:
    """Apply the complete example. Its resources end with the emulator."""
    # A name of this run's own, because another run on this machine may use the same engine.
    image = f"localhost/cytobatch:test-{uuid.uuid4().hex[:12]}"
    example = copied(folder) / "examples/complete"
    point_at(example, emulator.url, {"image": image})
    terraform = Terraform(example)
    terraform.init()
    terraform.apply()
    return Applied(emulator, terraform, terraform.output(), image)
