"""A server of Prefect's API for one run, in a thread of this process. The user sets nothing up, and it leaves no files.

Prefect's own temporary server is a second process that imports everything again, migrates a database a hundred times
(5 s), and shares it among all runs of a machine. This one keeps its records in memory, and shares nothing.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from prefect.context import SettingsContext, get_settings_context

from cytobatch.batch.flows.memory_api import memory_api
from cytobatch.batch.flows.services import close_services, drop_events, send_events
from cytobatch.batch.flows.settings import EphemeralServer

_STOP_SECONDS = 10


@contextmanager
def run_ephemeral_server(server: EphemeralServer) -> Iterator[None]:
    """Run the server inside the context. Its socket takes connections before the server has started."""
    web = uvicorn.Server(uvicorn.Config(memory_api(), log_level="error", lifespan="off"))
    thread = threading.Thread(target=web.run, kwargs={"sockets": [server.listener]}, daemon=True)
    thread.start()
    try:
        # This server has no service that looks for silent runs, and a heartbeat ends up to a second after its run.
        with _no_heartbeats(), _no_events():
            yield
    finally:
        # The record ends with this server, so that nothing is lost with the events that are left.
        close_services(0)
        web.should_exit = True
        thread.join(_STOP_SECONDS)


@contextmanager
def _no_heartbeats() -> Iterator[None]:
    """Send no heartbeats. Prefect's `temporary_settings` would read all settings again, which takes 0.2 s."""
    context = get_settings_context()
    flows = context.settings.flows.model_copy(update={"heartbeat_frequency": None})
    with SettingsContext(profile=context.profile, settings=context.settings.model_copy(update={"flows": flows})):
        yield


@contextmanager
def _no_events() -> Iterator[None]:
    """Send no events: a server that ends with the run keeps them for nobody."""
    drop_events()
    try:
        yield
    finally:
        send_events()
