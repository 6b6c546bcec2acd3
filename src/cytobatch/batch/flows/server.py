"""A Prefect server for one run, in a thread of this process. The user sets nothing up, and it leaves no files.

Prefect's own temporary server is a second process that imports everything again, migrates a database a hundred times
(5 s), and shares it among all runs of a machine. This one starts in a fraction of the time and shares nothing.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.server.api.server import create_app
from prefect.server.database.dependencies import temporary_database_interface
from prefect.server.database.orm_models import Base
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from sqlalchemy import create_engine
from sqlalchemy.schema import CreateIndex, CreateTable

from cytobatch.batch.flows.settings import EphemeralServer
from cytobatch.errors import InternalError

_START_SECONDS = 180
_STOP_SECONDS = 10
_POLL_SECONDS = 0.005


@contextmanager
def run_ephemeral_server(server: EphemeralServer) -> Iterator[None]:
    """Run the server inside the context. Raises InternalError if it does not start."""
    make_tables(server.database)
    # Prefect keeps the interface to the first database of a process, which may be that of an earlier run.
    with temporary_database_interface():
        # Not `final`: with the present FastAPI that only collects garbage, which takes as long as making the app.
        application = create_app(ephemeral=True)
        web = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="on"))
        thread = threading.Thread(target=web.run, kwargs={"sockets": [server.listener]}, daemon=True)
        thread.start()
        try:
            _wait(web, thread)
            # This server has no service that looks for silent runs, and a heartbeat ends up to a second after its run.
            with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
                yield
        finally:
            for worker in (EventsWorker, APILogWorker):
                worker.drain_all(timeout=_STOP_SECONDS)
            web.should_exit = True
            thread.join(_STOP_SECONDS)


def make_tables(database: Path) -> None:
    """Create the tables of Prefect's present models; migrations take fifty times as long to create the same ones.

    Indexes that are not unique are left out: they only make a large database fast, and some are for PostgreSQL alone.
    """
    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            connection.execute(CreateTable(table))
            for index in table.indexes:
                if index.unique:
                    connection.execute(CreateIndex(index))
    engine.dispose()


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    end = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > end:
            raise InternalError(
                "Prefect's server did not start",
                where="this process",
                why="it stopped" if not thread.is_alive() else f"it took more than {_START_SECONDS} s",
                remedy="run with --debug, or set PREFECT_API_URL to a server that is up",
            )
        time.sleep(_POLL_SECONDS)
