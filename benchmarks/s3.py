"""The case of a source in S3: MiniStack on loopback, and a proxy before it that counts what is fetched."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3

from measure import Piece, in_turn, piece
from plates import PlateName
from servers import s3_server
from session import Session
from show import Finding, Row, at_most

_BUCKET, _PREFIX = "plates", "plate"
_CREDENTIALS = (
    ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_DEFAULT_REGION", "us-east-1"),
)  # fmt: skip
_SOURCE = f"s3://{_BUCKET}/{_PREFIX}"
_CHUNK = 2**18
_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass(slots=True)
class Fetched:
    """Bytes and requests for each object."""

    bytes: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, key: str, count: int) -> None:
        with self.lock:
            self.bytes[key] += count
            self.requests[key] += 1


def _object_key(target: str) -> str:
    """The key that a request's path names; empty where it is about the bucket."""
    _, _, key = unquote(urlsplit(target).path).lstrip("/").partition("/")
    return key


@contextmanager
def counting_proxy(url: str) -> Iterator[tuple[str, Fetched]]:
    """Within it, a proxy before the server of the URL, and what was fetched through it."""
    fetched, behind = Fetched(), urlsplit(url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(behind)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                self._answer(connection.getresponse())
            finally:
                connection.close()

        def _answer(self, answer: http.client.HTTPResponse) -> None:
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
            has_length = any(name.lower() == "content-length" for name, _ in headers)
            self.send_response_only(answer.status, answer.reason)
            for name, value in headers if has_length else [*headers, ("Connection", "close")]:
                self.send_header(name, value)
            self.end_headers()
            self.close_connection = self.close_connection or not has_length
            count = 0
            while chunk := answer.read(_CHUNK):
                self.wfile.write(chunk)
                count += len(chunk)
            key = _object_key(self.path)
            if self.command == "GET" and key:
                fetched.add(key, count)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815  http.server's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", fetched
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def upload(plate: Path, url: str) -> dict[str, int]:
    """Puts a plate into the bucket; the size of each object by its key."""
    said = {name.lower(): value for name, value in _CREDENTIALS if name != "AWS_DEFAULT_REGION"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **said)
    client.create_bucket(Bucket=_BUCKET)
    sizes: dict[str, int] = {}
    for path in sorted(plate.rglob("*")):
        if path.is_file():
            key = f"{_PREFIX}/{path.relative_to(plate).as_posix()}"
            client.upload_file(str(path), _BUCKET, key)
            sizes[key] = path.stat().st_size
    return sizes


def measure_s3(session: Session, case: str) -> None:
    """Converting from S3 against the slower of fetching and converting, and once through the proxy that counts.

    The server is a process of this machine: only with a worker less than there are cores has it one of its own, as a
    bucket has. With all of them, what is measured is how three share the cores, too.
    """
    most = session.options.workers
    with s3_server(session.scratch) as url:
        sizes = upload(session.plate(PlateName.CSV), url)
        for workers in sorted({max(1, most - 1), most}):
            _timed(session, case, url, workers)
        with counting_proxy(url) as (proxy, fetched):
            in_turn([_from_s3(session, "convert from S3, counted", proxy, most)], 1)
        _counted(session, case, sizes, fetched)


def _out(session: Session) -> Path:
    return session.out(PlateName.CSV).with_suffix(".s3.parquet")


def _from_s3(session: Session, label: str, url: str, workers: int, work: str = "convert") -> Piece:
    environment = (*_CREDENTIALS, ("AWS_ENDPOINT_URL", url))
    said = ("--workers", workers)
    return piece(label, work, _SOURCE, _out(session), *said, scratch=session.scratch, environment=environment)


def _timed(session: Session, case: str, url: str, workers: int) -> None:
    runs = session.runs(PlateName.CSV)
    pieces = [
        _from_s3(session, "convert from S3", url, workers),
        _from_s3(session, "fetch alone", url, workers, "fetch"),
        session.convert(PlateName.CSV, workers),
    ]
    both, fetch, convert = took = in_turn(pieces, runs)
    rows = [Row(one.label, runs) for one, runs in zip(pieces, took, strict=True)]
    session.show.case(f"{case}, {workers} worker(s)", rows)
    figure = f"wall over the slower of fetch and convert, {workers} worker(s)"
    session.found(at_most(case, figure, both.over(fetch, convert).wall, 1.2))
    session.guard(case, PlateName.CSV, _out(session))


def _counted(session: Session, case: str, sizes: dict[str, int], fetched: Fetched) -> None:
    """Whether the bytes fetched of each object that is needed are its size, and none was left out."""
    needed = {key for key in sizes if not key.endswith("Experiment.csv")}
    odd = [key for key in sizes if fetched.bytes[key] != sizes[key] and (key in needed or fetched.bytes[key])]
    whole = sum(sizes[key] for key in needed)
    total, requests = sum(fetched.bytes.values()), sum(fetched.requests.values())
    session.show.note(
        f"{case}: {requests} GETs of {len(fetched.requests)} objects, {total:,} bytes; "
        f"{len(needed)} objects of {whole:,} bytes are needed; fetched in another number of bytes: {odd[:5]}"
    )
    reached = "1 for each" if not odd else f"{len(odd)} of {len(sizes)} objects differ"
    session.found(Finding(case, "bytes fetched of each object over its size", reached, "1", held=not odd))
