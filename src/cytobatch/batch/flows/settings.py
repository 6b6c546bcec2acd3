"""The environment variables from which Prefect takes its settings, set for one run."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import certifi

from cytobatch.config.environment import prefect_server_is_given
from cytobatch.config.variables import temporary_variables, without_proxy
from cytobatch.storage.temporary_folder import temporary_folder

_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
}
_NO_CONSOLE_LOG = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
}
_CERTIFICATES = "certificates.pem"
_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class EphemeralServer:
    """A server that lives as long as one run: the socket that it listens on, and Prefect's home folder meanwhile."""

    listener: socket.socket
    home: Path

    @property
    def variables(self) -> dict[str, str]:
        """The variables that make Prefect use this server and this home folder.

        The server keeps no logs, and a token against requests of other sites is for browsers.
        """
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": f"http://{_HOST}:{self.listener.getsockname()[1]}/api",
            "no_proxy": without_proxy(_HOST),
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
            "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
            "PREFECT_API_SSL_CERT_FILE": str(self.home / _CERTIFICATES),
        }

    def write_certificates(self) -> None:
        """Write the file of certificates that Prefect's clients load, also for http, each in 17 ms: one of all.

        A flow run has one or two clients, and a task in another process has two.
        """
        first, end, _ = Path(certifi.where()).read_bytes().partition(b"-----END CERTIFICATE-----")
        (self.home / _CERTIFICATES).write_bytes(first + end + b"\n")


@contextmanager
def prefect_settings(*, debug: bool) -> Iterator[EphemeralServer | None]:
    """Set Prefect's environment variables inside the context, and restore the earlier ones afterwards.

    Prefect sends no telemetry, and logs nothing to the console unless debugging. Import Prefect inside the context,
    because it reads its settings at import; `reloaded_settings` is for a Prefect that is imported already.

    Yields the server to start, or None if PREFECT_API_URL names one.
    """
    defaults = _QUIET if debug else _QUIET | _NO_CONSOLE_LOG
    if prefect_server_is_given():
        with temporary_variables({}, defaults):
            yield None
        return
    with (
        temporary_folder("cytobatch-prefect-") as home,
        socket.create_server((_HOST, 0)) as listener,
    ):
        # asyncio sets it for sockets of its own alone. Without it each answer waits 40 ms for the client's ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = EphemeralServer(listener, home)
        server.write_certificates()
        with temporary_variables(server.variables, defaults):
            yield server
