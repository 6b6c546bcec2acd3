"""How Prefect is to behave, said before it is imported: it reads its settings at import and nowhere else."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cytobatch.config.environment import prefect_server_is_given, set_environment, set_environment_defaults

_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
}
_SERVICES = (
    "EVENT_PERSISTER",
    "TRIGGERS",
    "SCHEDULER",
    "LATE_RUNS",
    "FOREMAN",
    "CANCELLATION_CLEANUP",
    "PAUSE_EXPIRATIONS",
    "REPOSSESSOR",
    "CLEANUP_RECONCILER",
    "DB_VACUUM",
)
_LEAN_SERVER = {
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    **{f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false" for service in _SERVICES},
}


@dataclass(frozen=True, slots=True)
class Private:
    """What a run's own server listens on, and where its database will be."""

    listener: socket.socket
    database: Path


@contextmanager
def prepared(*, debug: bool) -> Iterator[Private | None]:
    """Within it, Prefect may be imported. No telemetry, and no console chatter unless debugging; what is set stays.

    Yields what a private server needs if PREFECT_API_URL names no other; Prefect's home is then a folder of this run's
    own.
    """
    private = not prefect_server_is_given()
    set_environment_defaults(_QUIET | (_LEAN_SERVER if private else {}))
    if not debug:
        set_environment_defaults({"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"})
    if not private:
        yield None
        return
    with (
        tempfile.TemporaryDirectory(prefix="cytobatch-prefect-", ignore_cleanup_errors=True) as home,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        database = Path(home) / "prefect.db"
        set_environment(
            {
                "PREFECT_HOME": home,
                "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
                "PREFECT_API_URL": f"http://127.0.0.1:{listener.getsockname()[1]}/api",
            }
        )
        yield Private(listener, database)
