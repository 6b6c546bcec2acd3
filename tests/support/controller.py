"""Requests of test processes to the one process that outlives them: a plugin.

pytest-xdist runs tests in workers, which a controller starts and ends. What exists once in a run (a server, a Terraform
apply, the record of all calls) belongs to the controller, and workers request it over a socket of loopback. Without
workers, the one process of the run is its own controller.
"""

import secrets
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, Protocol

import pytest

_INPUT = "controller_address"
_THREADS = 64


class Controller(Protocol):
    """The process that answers requests, as tests see it."""

    def request(self, name: str, *arguments: Any) -> Any:
        """Return the answer. Raises RuntimeError, or pytest's Skipped, if the answering function raises it."""


class LocalController:
    """The controller in its own process. Functions that answer requests are registered by name."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable[..., Any]] = {}
        self._pool = ThreadPoolExecutor(_THREADS, "request")
        self._key = secrets.token_bytes(32)
        self._listener: Listener | None = None

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """Register the function that answers requests of a name. Several threads may call it at once."""
        self._functions[name] = function

    def request(self, name: str, *arguments: Any) -> Any:
        return self._functions[name](*arguments)

    def address(self) -> tuple[str, int, bytes]:
        """Return host, port and key for `RemoteController`, and listen there from the first call on."""
        if self._listener is None:
            self._listener = Listener(("127.0.0.1", 0), authkey=self._key)
            threading.Thread(target=self._listen, args=(self._listener,), daemon=True).start()
        host, port = self._listener.address
        return str(host), int(port), self._key

    def _listen(self, listener: Listener) -> None:
        while True:
            # A stranger who connects to the port has not the key, and is refused.
            with suppress(AuthenticationError, EOFError, ConnectionError):
                connection = listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection:
            name, arguments = connection.recv()
            connection.send(_reply(self._pool.submit(self.request, name, *arguments)))


def _reply(future: Future[Any]) -> tuple[str, Any]:
    error = future.exception()
    if error is None:
        return "value", future.result()
    if isinstance(error, pytest.skip.Exception):
        return "skip", str(error.msg)
    return "error", "".join(traceback.format_exception(error))


class RemoteController:
    """The controller as a worker reaches it."""

    def __init__(self, host: str, port: int, key: bytes) -> None:
        self._address, self._key = (host, port), key

    def request(self, name: str, *arguments: Any) -> Any:
        with Client(self._address, authkey=self._key) as connection:
            connection.send((name, arguments))
            kind, content = connection.recv()
        if kind == "skip":
            pytest.skip(content)
        if kind == "error":
            raise RuntimeError(f"the controller process raised:\n{content}")
        return content


CONTROLLER = pytest.StashKey[Controller]()


def is_worker(config: pytest.Config) -> bool:
    """Decide whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make this process its own controller, or connect a worker to its controller."""
    if is_worker(config):
        config.stash[CONTROLLER] = RemoteController(*vars(config)["workerinput"][_INPUT])
    else:
        config.stash[CONTROLLER] = LocalController()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a new worker the controller's address: a hook of pytest-xdist."""
    node.workerinput[_INPUT] = node.config.stash[CONTROLLER].address()


@pytest.fixture(scope="session")
def controller(pytestconfig: pytest.Config) -> Controller:
    return pytestconfig.stash[CONTROLLER]
