"""A proxy before a server over HTTP, which notes what is asked of it, and answers some of it itself; for tests, too."""

import http.client
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its path as it was before it was encoded, its query, and its headers by their lower-case names.

    `answered` are the bytes of the answer's body.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    answered: int = 0

    @property
    def key(self) -> str:
        """The key of the object that it names; empty where it is about a bucket."""
        return self.path.removeprefix("/").partition("/")[2]

    @property
    def span(self) -> str:
        """The bytes that it wants; empty where it wants all."""
        return self.headers.get("range", "").removeprefix("bytes=")

    @property
    def by_obstore(self) -> bool:
        return self.headers.get("user-agent", "").startswith("object_store")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the proxy's own; cut short, if it promises `missing` bytes more than it has."""

    status: int
    body: bytes = b""
    missing: int = 0


Answering = Callable[[Asked], Answer | None]
"""What the proxy answers itself; None is for the server behind it."""


def gets(asked: Iterable[Asked]) -> list[Asked]:
    """Those that are GETs of objects."""
    return [one for one in asked if one.method == "GET" and one.key]


@contextmanager
def proxy(url: str, answering: Answering = lambda _: None) -> Iterator[tuple[str, list[Asked]]]:
    """Within it, a proxy before the server at `url`, and what was asked of it."""
    asked: list[Asked] = []
    behind = urlsplit(url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:
                # Who asked has heard enough.
                self.close_connection = True

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            one = Asked(self.command, unquote(parts.path), parts.query, headers)
            own = answering(one)
            if own is not None:
                asked.append(replace(one, answered=len(own.body)))
                self._tell(own.status, {"Content-Length": str(len(own.body) + own.missing)}, own.body)
                self.close_connection = self.close_connection or own.missing > 0
                return
            connection = http.client.HTTPConnection(behind)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
                # Before it is sent: who has all of the answer finds it here.
                asked.append(replace(one, answered=len(content)))
                told = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
                if "content-length" not in {name.lower() for name in told}:
                    told["Content-Length"] = str(len(content))
                self._tell(answer.status, told, content)
            finally:
                connection.close()

        def _tell(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815  http.server's names

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()
