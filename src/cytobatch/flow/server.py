"""A Prefect server for one run, in a thread of this process: nothing to set up, nothing left behind.

Prefect's own temporary server is a second process that imports everything again and shares one database file among
all runs of a machine; this one starts in about half the time and shares nothing.
"""

import gc
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.server.api.server import create_app

from cytobatch.errors import InternalError

_START_SECONDS = 180
_STOP_SECONDS = 10
_POLL_SECONDS = 0.02


@contextmanager
def private_server(listener: socket.socket) -> Iterator[None]:
    """Within it, a server answers on the socket. Raises InternalError if it does not start."""
    server = uvicorn.Server(uvicorn.Config(_application(), log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    _wait(server, thread)
    try:
        yield
    finally:
        for worker in (EventsWorker, APILogWorker):
            worker.drain_all(timeout=_STOP_SECONDS)
        server.should_exit = True
        thread.join(_STOP_SECONDS)


def _application() -> FastAPI:
    """Prefect's API. What making it leaves on the heap lives as long as the process: the collector need not look."""
    gc.disable()
    application = create_app(ephemeral=True, final=True)
    gc.freeze()
    gc.enable()
    return application


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    end = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > end:
            raise InternalError(
                "Prefect's server did not start", where="this process",
                why="it stopped" if not thread.is_alive() else f"it took more than {_START_SECONDS} s",
                remedy="run with --debug, or set PREFECT_API_URL to a server that is up",
            )  # fmt: skip
        time.sleep(_POLL_SECONDS)
