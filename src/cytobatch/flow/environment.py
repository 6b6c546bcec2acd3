"""How Prefect is to behave, said before it is imported: it reads its settings at import and nowhere else."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from cytobatch.settings import prefect_server_is_given, set_environment, set_environment_defaults

_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
}
_SERVICES = (
    "EVENT_PERSISTER", "TRIGGERS", "SCHEDULER", "LATE_RUNS", "FOREMAN", "CANCELLATION_CLEANUP", "PAUSE_EXPIRATIONS",
    "REPOSSESSOR", "CLEANUP_RECONCILER", "DB_VACUUM",
)  # fmt: skip
_LEAN_SERVER = {
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    **{f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false" for service in _SERVICES},
}


@contextmanager
def prepared(*, debug: bool) -> Iterator[socket.socket | None]:
    """Within it, Prefect may be imported. No telemetry, and no console chatter unless debugging; what is set stays.

    Yields the listening socket for a private server if PREFECT_API_URL names no other; Prefect's home is then a
    folder of this run's own.
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
        set_environment(
            {
                "PREFECT_HOME": home,
                "PREFECT_API_URL": f"http://127.0.0.1:{listener.getsockname()[1]}/api",
                # By these Prefect's server knows that it lives and dies with its flow.
                "PREFECT__SERVER_EPHEMERAL": "1",
                "PREFECT__SERVER_FINAL": "1",
            }
        )
        yield listener
