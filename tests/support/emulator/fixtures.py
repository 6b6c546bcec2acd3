"""Fixtures for tests that need AWS: the emulator, and the complete example applied to it, once a session.

A plugin: `pytest_plugins = ["emulator.fixtures"]` in the conftest at the top.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
import pytest

from tests.support.emulator.server import REGION, aws_emulator, docker_api, lacking
from tests.support.emulator.terraform import Terraform, copied, point_at

# The image that jobs of the applied example run; a test that lets jobs run builds it under this name.
IMAGE = "localhost/cytobatch:test"


@dataclass(frozen=True)
class Emulator:
    """A running emulator. `docker_host` is None where jobs cannot run."""

    url: str
    docker_host: str | None

    def client(self, service: str) -> Any:
        """A boto3 client of a service, of a session of its own: boto3's may not be used by two threads at once."""
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
        return session.client(service, endpoint_url=self.url)


@dataclass(frozen=True)
class Applied:
    """The complete example, applied to the emulator."""

    emulator: Emulator
    terraform: Terraform
    output: dict[str, Any]  # what `terraform output -json` prints

    @property
    def deployment(self) -> dict[str, Any]:
        """The output `deployment`."""
        return dict(self.output["deployment"]["value"])

    @cached_property
    def resources(self) -> dict[str, dict[str, Any]]:
        """Attributes of each resource and data source by its address, as `module.cytobatch.aws_iam_role.job`."""
        root = json.loads(self.terraform.run("show", "-json").stdout)["values"]["root_module"]
        modules = [root, *root.get("child_modules", [])]
        return {found["address"]: found["values"] for module in modules for found in module.get("resources", [])}


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """AWS on loopback. Its jobs run as containers where this machine has an engine."""
    absent = lacking()
    if absent:
        pytest.skip(absent)
    folder = tmp_path_factory.mktemp("emulator")
    with docker_api(folder) as docker_host, aws_emulator(folder, docker_host) as url:
        yield Emulator(url, docker_host)


@pytest.fixture(scope="session")
def applied(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Applied:
    """The complete example, applied; it goes with the emulator. Jobs run the image IMAGE."""
    example = copied(tmp_path_factory.mktemp("complete")) / "examples/complete"
    point_at(example, emulator.url, {"image": os.environ.get("CYTOBATCH_TEST_IMAGE", IMAGE)})
    terraform = Terraform(example)
    terraform.init()
    terraform.apply()
    return Applied(emulator, terraform, terraform.output())
