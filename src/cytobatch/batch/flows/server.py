"""A Prefect server for one run, in a thread of this process: nothing to set up, nothing left behind.

Prefect's own temporary server is a second process that imports everything again, brings a database through a hundred
migrations, and shares it among all runs of a machine. This one starts in a fraction of the time and shares nothing.
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
from prefect.server.database.orm_models import Base
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from sqlalchemy import create_engine
from sqlalchemy.schema import CreateIndex, CreateTable

from cytobatch.batch.flows.settings import Private
from cytobatch.errors import InternalError

_START_SECONDS = 180
_STOP_SECONDS = 10
_POLL_SECONDS = 0.005


@contextmanager
def run_ephemeral_server(private: Private) -> Iterator[None]:
    """Within it, a server answers. Raises InternalError if it does not start."""
    make_tables(private.database)
    # Not `final`: with the FastAPI of today that only looks for garbage, which takes as long as making it all.
    application = create_app(ephemeral=True)
    server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [private.listener]}, daemon=True)
    thread.start()
    try:
        _wait(server, thread)
        # Nobody watches this server for runs gone silent, and a heartbeat ends up to a second after its run.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield
    finally:
        for worker in (EventsWorker, APILogWorker):
            worker.drain_all(timeout=_STOP_SECONDS)
        server.should_exit = True
        thread.join(_STOP_SECONDS)


def make_tables(database: Path) -> None:
    """Makes the tables of Prefect's models as they are today; migrating up to them takes fifty times as long.

    An index that is not unique only makes a large database fast, and some of these are for PostgreSQL alone.
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
