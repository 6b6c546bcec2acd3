"""Resources that exist once in a run of the suite, whatever the number of workers: a plugin.

Each bears the name of the session fixture that returns it. The controller starts a resource at the first request, keeps
it, and stops all of them when the workers have ended. Requests begin when tests are collected: a Terraform apply of two
minutes, mostly of waiting, then runs beside the tests that do not need it. A server that takes CPU time while it is
idle begins later, with the first test that uses any resource.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from tests.support.controller import CONTROLLER, Controller, LocalController, is_worker

Starter = Callable[["Resources"], AbstractContextManager[Any]]
"""Starts a resource, whose value must be picklable. May request others, without a cycle."""


class Resources:
    """The resources of a run, in the controller."""

    def __init__(self, starters: Mapping[str, Starter]) -> None:
        self._starters = starters
        self._futures: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()
        self._running = ExitStack()
        # One thread for each, because a resource may wait for another.
        self._pool = ThreadPoolExecutor(len(starters), "resource")

    def begin(self, name: str) -> None:
        """Start a resource, unless that has begun, and do not wait for it."""
        self._future(name)

    def get(self, name: str) -> Any:
        """Return a resource's value when it has started. Raises what its start raised."""
        return self._future(name).result()

    def close(self) -> None:
        """Stop all resources, the newest first."""
        self._pool.shutdown(cancel_futures=True)
        self._running.close()

    def _future(self, name: str) -> Future[Any]:
        with self._lock:
            if name not in self._futures:
                self._futures[name] = self._pool.submit(self._start, name)
            return self._futures[name]

    def _start(self, name: str) -> Any:
        with ExitStack() as stack:
            value = stack.enter_context(self._starters[name](self))
            with self._lock:
                self._running.push(stack.pop_all())
            return value


RESOURCES = pytest.StashKey[Resources]()
STARTERS = pytest.StashKey[Mapping[str, Starter]]()
LATER = pytest.StashKey[set[str]]()


def share(config: pytest.Config, starters: Mapping[str, Starter], later: Collection[str] = ()) -> None:
    """Offer resources to all processes of a run. To be called once, in each process, when pytest is configured.

    Those of `later` begin with the first test that uses a resource.
    """
    config.stash[STARTERS], config.stash[LATER] = starters, set(later)
    controller = config.stash[CONTROLLER]
    if isinstance(controller, LocalController):
        resources = Resources(starters)
        config.stash[RESOURCES] = resources
        controller.register("begin", resources.begin)
        controller.register("get", resources.get)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin each resource that a collected test uses."""
    if session.config.option.collectonly:
        return
    used = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    later = session.config.stash[LATER]
    later &= used
    for name in session.config.stash[STARTERS]:
        if name in used - later:
            session.config.stash[CONTROLLER].request("begin", name)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop all resources: workers have ended by now."""
    if not is_worker(config) and RESOURCES in config.stash:
        config.stash[RESOURCES].close()


class Shared:
    """The resources of a run, as a fixture reaches them."""

    def __init__(self, controller: Controller, later: set[str]) -> None:
        self._controller, self._later = controller, later

    def get(self, name: str) -> Any:
        """Return a resource's value when it has started. Skips the test if its start was skipped."""
        while self._later:
            self._controller.request("begin", self._later.pop())
        return self._controller.request("get", name)


@pytest.fixture(scope="session")
def shared(controller: Controller, pytestconfig: pytest.Config) -> Shared:
    return Shared(controller, pytestconfig.stash[LATER])
