"""The resources that all tests of a run share, by the names of their fixtures: a plugin."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from servers import prefect_server, s3_server
from tests.support.containers import Image, remove_image, tested_image
from tests.support.emulator.life import minimal_example_life
from tests.support.emulator.start import applied_example, emulator_with_engine
from tests.support.postgresql import prefect_server_on_postgresql
from tests.support.shared import Resources, Shared, Starter, share


def _in_folder(start: Callable[[Path], AbstractContextManager[Any]]) -> Starter:
    """Make a starter of a function that needs a folder, which is removed when the resource stops."""

    @contextmanager
    def started(_: Resources) -> Iterator[Any]:
        with tempfile.TemporaryDirectory(prefix="cytobatch-tests-") as folder, start(Path(folder)) as value:
            yield value

    return started


@contextmanager
def _applied(resources: Resources) -> Iterator[Any]:
    emulator = resources.get("emulator")
    with tempfile.TemporaryDirectory(prefix="cytobatch-tests-") as folder:
        applied = applied_example(emulator, Path(folder))
        yield applied
        # The name only: the image itself has others.
        remove_image(applied.image)


# Long starts first: each runs beside the tests that do not need it.
_STARTERS = {
    "image": _in_folder(tested_image),
    "life": _in_folder(minimal_example_life),
    "applied": _applied,
    "emulator": _in_folder(emulator_with_engine),
    "prefect_on_postgresql": _in_folder(prefect_server_on_postgresql),
    "prefect_url": _in_folder(prefect_server),
    "s3_url": _in_folder(s3_server),
}
# Prefect's server asks its database several times a second for work.
_BUSY_WHEN_IDLE = ("prefect_on_postgresql", "prefect_url")


def pytest_configure(config: pytest.Config) -> None:
    """Offer the resources."""
    share(config, _STARTERS, later=_BUSY_WHEN_IDLE)


@pytest.fixture(scope="session")
def s3_url(shared: Shared) -> str:
    """A real S3 API over HTTP."""
    return shared.get("s3_url")


@pytest.fixture(scope="session")
def prefect_url(shared: Shared) -> str:
    """A Prefect server as a user would have one."""
    return shared.get("prefect_url")


@pytest.fixture(scope="session")
def prefect_on_postgresql(shared: Shared) -> str:
    """A Prefect server on PostgreSQL, as a lab with many runs at once has one."""
    return shared.get("prefect_on_postgresql")


@pytest.fixture(scope="session")
def image(shared: Shared) -> Image:
    """The image that IMAGE names, else one that is built of this state of the project."""
    return shared.get("image")
