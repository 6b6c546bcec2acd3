"""A proxy before an HTTP server that records requests and can answer some of them itself. Tests use it, too."""

import http.client
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its decoded path, its query, and its headers by their lower-case names.

    `answered` is the number of bytes in the response's body.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    answered: int = 0
    body: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> str:
        """The key of the requested object; empty if the request is about a bucket."""
        return self.path.removeprefix("/").partition("/")[2]

    @property
    def span(self) -> str:
        """The requested range of bytes; empty for the whole object."""
        return self.headers.get("range", "").removeprefix("bytes=")

    @property
    def by_obstore(self) -> bool:
        return self.headers.get("user-agent", "").startswith("object_store")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the proxy itself. With `missing`, its Content-Length promises that many bytes more than it has."""

    status: int
    body: bytes = b""
    missing: int = 0


Answering = Callable[[Asked], Answer | None]
"""Returns the proxy's own response to a request, or None to pass the request to the server."""


def gets(asked: Iterable[Asked]) -> list[Asked]:
    """Return the requests that are GETs of objects."""
    return [one for one in asked if one.method == "GET" and one.key]


@contextmanager
def proxy(
    url: str, answering: Answering = lambda _: None, *, without: Collection[str] = ()
) -> Iterator[tuple[str, list[Asked]]]:
    """Run a proxy before the server at `url`; yield its URL and the list of requests, which grows.

    Requests are passed on `without` the headers of these lower-case names.
    """
    asked: list[Asked] = []
    behind = urlsplit(url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:
                # The client has closed the connection.
                self.close_connection = True

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            one = Asked(self.command, unquote(parts.path), parts.query, headers, body=body)
            own = answering(one)
            if own is not None:
                asked.append(replace(one, answered=len(own.body), body=b""))
                self._send(own.status, {"Content-Length": str(len(own.body) + own.missing)}, own.body)
                self.close_connection = self.close_connection or own.missing > 0
                return
            connection = http.client.HTTPConnection(behind)
            try:
                passed = {name: value for name, value in self.headers.items() if name.lower() not in without}
                connection.request(self.command, self.path, body, passed)
                answer = connection.getresponse()
                content = answer.read()
                # Recorded before it is sent, so that a client with the whole response finds it recorded.
                asked.append(replace(one, answered=len(content), body=b""))
                response_headers = {
                    name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP
                }
                if "content-length" not in {name.lower() for name in response_headers}:
                    response_headers["Content-Length"] = str(len(content))
                self._send(answer.status, response_headers, content)
            finally:
                connection.close()

        def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815  the names are those of http.server

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
