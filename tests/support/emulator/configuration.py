"""Fixtures for tests of the configuration itself."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.emulator.life import Life, lived
from tests.support.emulator.terraform import Terraform, copied


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


@pytest.fixture(scope="session", autouse=True)
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Life] | None]:
    """The minimal example's life, if its test is run: three minutes, mostly of waiting, beside the other tests."""
    if not any(item.path.name == "test_terraform_undone.py" for item in request.session.items):
        yield None
        return
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(lived, tmp_path_factory.mktemp("life"))
