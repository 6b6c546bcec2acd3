"""Fixtures for tests that need AWS: the emulator, the examples applied to it, and Terraform itself. A plugin."""

from pathlib import Path

import pytest

from tests.support.emulator.life import Life
from tests.support.emulator.start import Applied, Emulator
from tests.support.emulator.terraform import Terraform, copied
from tests.support.shared import Shared


@pytest.fixture(scope="session")
def emulator(shared: Shared) -> Emulator:
    return shared.get("emulator")


@pytest.fixture(scope="session")
def applied(shared: Shared) -> Applied:
    return shared.get("applied")


@pytest.fixture(scope="session")
def life(shared: Shared) -> Life:
    return shared.get("life")


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `terraform/`, where terraform may write."""
    return copied(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def root(tree: Path) -> Terraform:
    """The root module, initialized."""
    terraform = Terraform(tree)
    terraform.init()
    return terraform
