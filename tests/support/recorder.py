"""Records the calls to AWS that the program makes through botocore while the tests run: a plugin.

botocore registers its built-in handlers with every new session; this is one more of them. obstore reads objects alone,
and past botocore: a proxy records its requests (`test_policies.py`).

The calls of a test travel in the test's own reports, from the worker that ran it to the controller. The test that
checks all calls runs last and waits there until every other test has reported: a worker whose calls are missing fails
it, because its tests are missing, too.
"""

import threading
from collections.abc import Generator, Mapping
from typing import Any

import botocore.handlers
import pytest

from cytobatch.storage.access import USER_AGENT
from tests.support.controller import CONTROLLER, Controller, LocalController

LAST = "test_every_call_of_the_suite_is_allowed"
_TIMEOUT = 900
_GRACE = 30
"""Seconds for the reports of the last worker, which may be on their way to the controller."""
_ATTRIBUTE = "aws_calls"

Operation = tuple[str, str]
"""Service and operation of a call."""

_unreported: set[Operation] = set()


def _record(model: Any, params: Mapping[str, Any], **_: Any) -> None:
    if USER_AGENT in params["headers"].get("User-Agent", ""):
        _unreported.add((model.service_model.service_name, model.name))


class Record:
    """The calls of all tests that have ended, in the controller."""

    def __init__(self, timeout: float = _TIMEOUT, grace: float = _GRACE) -> None:
        self._timeout, self._grace = timeout, grace
        self._calls: set[Operation] = set()
        self._ended: set[str] = set()
        self._crashed: set[str] = set()
        self._workers = 0
        self._changed = threading.Condition()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a test's calls. Its last report is of its teardown; if its worker crashed, it has none."""
        with self._changed:
            self._calls.update((service, operation) for service, operation in getattr(report, _ATTRIBUTE, ()))
            if report.when == "teardown":
                self._ended.add(report.nodeid)
            elif report.when not in ("setup", "call"):
                self._crashed.add(report.nodeid)
            self._changed.notify_all()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self) -> None:
        """Count a worker that starts: a hook of pytest-xdist."""
        self._count_workers(1)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self) -> None:
        """Count a worker that ends: a hook of pytest-xdist. It has reported its tests before."""
        self._count_workers(-1)

    def _count_workers(self, change: int) -> None:
        with self._changed:
            self._workers += change
            self._changed.notify_all()

    def wait(self, tests: frozenset[str]) -> set[Operation]:
        """Return all calls when these tests have ended. Raises RuntimeError if one of them cannot, or not in time."""
        with self._changed:
            self._changed.wait_for(lambda: tests <= self._ended or self._is_alone(tests), self._timeout)
            self._changed.wait_for(lambda: tests <= self._ended, self._grace)
            missing = sorted(tests - self._ended)
            if missing:
                raise RuntimeError(f"the calls of {len(missing)} tests are not known: {', '.join(missing[:5])}")
            return set(self._calls)

    def _is_alone(self, tests: frozenset[str]) -> bool:
        """Decide whether no other worker will report one of these tests."""
        return bool(tests & self._crashed) or self._workers <= 1


def pytest_configure(config: pytest.Config) -> None:
    """Record calls, before any session is made."""
    botocore.handlers.BUILTIN_HANDLERS.append(("before-call", _record))
    controller = config.stash[CONTROLLER]
    if isinstance(controller, LocalController):
        record = Record()
        config.pluginmanager.register(record)
        controller.register("calls", record.wait)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the calls since the last report into this one."""
    report = yield
    setattr(report, _ATTRIBUTE, sorted(_unreported))
    _unreported.clear()
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the test that checks all calls behind all others."""
    items.sort(key=lambda item: item.name == LAST)


def unreported_operations() -> set[Operation]:
    """Return the calls of the test that runs now, in this process."""
    return set(_unreported)


@pytest.fixture
def suite_operations(request: pytest.FixtureRequest, controller: Controller) -> set[Operation]:
    """The calls of all other tests of this run. Waits until the last of them has ended."""
    others = frozenset(item.nodeid for item in request.session.items if item is not request.node)
    return controller.request("calls", others)
