"""The order of tests, those that `make test-fast` leaves out, and those that one worker runs: a plugin.

A test is slow if it needs a resource that starts slowly, or bears the mark `slow`. Tests without such a resource run
first, while the resources start, because a worker that waits for a resource runs no other test.
"""

import pytest

_SLOW_RESOURCES = (
    "s3_url",
    "prefect_url",
    "prefect_on_postgresql",
    "tree",
    "root",
    "emulator",
    "applied",
    "image",
    "life",
)
"""From the one that starts soonest to the one that starts last."""


_BROWSER = "browser"
"""The fixture of a program that takes seconds to start, and whose tests one worker runs."""


def _rank(item: pytest.Item) -> int:
    """Return 0 for a test without a slow resource, else the position of the slowest, from 1."""
    used = getattr(item, "fixturenames", ())
    return max((rank for rank, name in enumerate(_SLOW_RESOURCES, start=1) if name in used), default=0)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests before marks are selected by `-m`, group those of the browser, and order all."""
    for item in items:
        if _rank(item):
            item.add_marker(pytest.mark.slow)
        if _BROWSER in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(_BROWSER))
    items.sort(key=_rank)
