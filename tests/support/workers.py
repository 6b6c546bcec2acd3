"""The number of workers that run tests, if `-n auto` leaves it open: a plugin."""

import os
from collections.abc import Generator

import pytest

_NUMBER = "PYTEST_XDIST_AUTO_NUM_WORKERS"


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Return one worker more than there are CPUs, or the number of the variable.

    A test that waits for a disk, a server or a container leaves its CPU to another one.
    """
    workers = yield
    return workers if os.environ.get(_NUMBER) else workers + 1
