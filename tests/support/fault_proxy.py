"""A proxy before an S3 server that injects faults into its responses, by a plan that a seed decides."""

import http.client
import random
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}
_ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time. Closing then resets the connection."""
_OTHER_ETAG = '"00000000000000000000000000000000"'


class Fault(StrEnum):
    """What becomes of a response."""

    RESET = "reset before it begins"
    RESET_AMID = "reset in the middle"
    CUT = "ends in the middle"
    ERROR = "500"
    BUSY = "503"
    THROTTLED = "429"
    DENIED = "403"
    SKEWED = "403 for a clock that is wrong"
    SLOW = "comes slowly"
    TRICKLE = "comes a byte at a time, without an end"
    SILENCE = "never comes"
    WRONG = "has other bytes"
    ETAG = "has another ETag"
    GARBAGE = "is no XML"


_CODES = {
    Fault.ERROR: (500, "InternalError"),
    Fault.BUSY: (503, "SlowDown"),
    Fault.THROTTLED: (429, "TooManyRequests"),
    Fault.DENIED: (403, "AccessDenied"),
    Fault.SKEWED: (403, "RequestTimeTooSkewed"),
}
WAITING = frozenset({Fault.SILENCE, Fault.TRICKLE})
"""Faults after which a client waits for a time limit."""


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault of the responses to some successive requests: `count` of them from the request number `first` on."""

    fault: Fault
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: method, decoded path, query, number, and the fault of its response if it had one."""

    method: str
    path: str
    query: str
    number: int
    fault: Fault | None


@dataclass(slots=True)
class FaultProxy:
    """A running proxy. `plan` may be exchanged while it runs; the number of requests then begins again."""

    url: str
    behind: str
    plan: Sequence[Injection] = ()
    asked: list[Asked] = field(default_factory=list)
    injected: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)

    def begin(self, plan: Sequence[Injection]) -> None:
        """Begin a new plan."""
        with self._lock:
            self.plan = plan
            self.asked.clear()
            self.injected.clear()

    def fault_of(self, method: str, path: str, query: str) -> Fault | None:
        """Record a request, and return the fault of its response."""
        with self._lock:
            number = len(self.asked)
            hits = (one.fault for one in self.plan if one.first <= number < one.first + one.count)
            fault = next((hit for hit in hits if _fits(hit, method, path)), None)
            self.asked.append(Asked(method, path, query, number, fault))
            if fault is not None:
                self.injected.append(fault)
        return fault


def random_plan(chance: random.Random, requests: int, kinds: Sequence[Fault] = tuple(Fault)) -> list[Injection]:
    """Return a plan for a run of about that many requests: one to four faults, each for one request or for many."""
    counts = (1, 1, 1, 2, 5, 10_000)
    return [
        Injection(chance.choice(kinds), chance.randrange(requests), chance.choice(counts))
        for _ in range(chance.randint(1, 4))
    ]


def _fits(fault: Fault, method: str, path: str) -> bool:
    """Whether a fault can be that of a response: other bytes only of an object, no XML only of a listing."""
    is_object = "/" in path.strip("/")
    if fault in (Fault.WRONG, Fault.ETAG):
        return method == "GET" and is_object
    return fault is not Fault.GARBAGE or (method == "GET" and not is_object)


@contextmanager
def fault_proxy(url: str) -> Iterator[FaultProxy]:
    """Run a proxy before the server at `url`."""
    state = FaultProxy("", urlsplit(url).netloc)

    class Handler(_Handler):
        proxy = state

    with _Server(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            state.ended.set()
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """A client that has gone is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy

    def answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        fault = self.proxy.fault_of(self.command, unquote(parts.path), parts.query)
        if fault is Fault.RESET:
            self._reset()
        elif fault is Fault.SILENCE:
            self.proxy.ended.wait()
            self.close_connection = True
        elif fault in _CODES:
            self._refuse(*_CODES[fault])
        else:
            self._pass_on(content, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815  the names are those of http.server

    def _pass_on(self, content: bytes, fault: Fault | None) -> None:
        connection = http.client.HTTPConnection(self.proxy.behind, timeout=60)
        try:
            connection.request(self.command, self.path, content, dict(self.headers))
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
        headers.setdefault("content-length", str(len(body)))
        if fault is Fault.ETAG and "etag" in headers:
            headers["etag"] = _OTHER_ETAG
        if fault is Fault.WRONG and body:
            body = _with_another_byte(body)
        if fault is Fault.GARBAGE:
            body = body[: len(body) // 2] + b"<&" + body[len(body) // 2 + 2 :]
        self._send(answer.status, headers, body, fault)

    def _send(self, status: int, headers: dict[str, str], body: bytes, fault: Fault | None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault in (Fault.RESET_AMID, Fault.CUT):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            if fault is Fault.RESET_AMID:
                self._reset()
        elif fault is Fault.SLOW:
            self._in_steps(body, max(1, len(body) // 8), 0.02)
        elif fault is Fault.TRICKLE:
            self._in_steps(body, 1, 0.1)
        else:
            self.wfile.write(body)

    def _in_steps(self, body: bytes, step: int, pause: float) -> None:
        for begin in range(0, len(body), step):
            self.wfile.write(body[begin : begin + step])
            self.wfile.flush()
            if self.proxy.ended.wait(pause):
                return

    def _refuse(self, status: int, code: str) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        body = b"" if self.command == "HEAD" else body
        self._send(status, {"content-length": str(len(body)), "content-type": "application/xml"}, body, None)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def _with_another_byte(body: bytes) -> bytes:
    """Return a body with one byte changed, at a place that its length decides."""
    at = len(body) * 7 // 11
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
