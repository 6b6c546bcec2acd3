"""Servers that do what a Prefect server must not do to a plate: real processes, which a test can kill."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SERVER = """
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        mode = "healthy" if self.path == "/api/health" and sys.argv[1].startswith("healthy") else sys.argv[1]
        if mode.endswith("silent"):
            time.sleep(3600)
        self.send_response(200 if mode == "healthy" else 503)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"true")

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
_RELAY = """
import socket, sys, threading

def pump(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    for pair in ((client, server), (server, client)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""


@contextmanager
def _listening(code: str, argument: str) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-c", code, argument]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/api", process.pid
        finally:
            process.kill()


@contextmanager
def faulty_server(mode: str) -> Iterator[str]:
    """Run a server that answers 503 (`busy`) or never (`silent`), with `healthy-` in front only after its health check.

    Yields the URL of its API.
    """
    with _listening(_SERVER, mode) as (url, _):
        yield url


@contextmanager
def relay(url: str) -> Iterator[tuple[str, int]]:
    """Run a process that forwards connections to a server. Yields its URL and pid: to kill it is to kill the server."""
    with _listening(_RELAY, url.rpartition(":")[2].partition("/")[0]) as listening:
        yield listening
