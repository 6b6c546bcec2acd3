"""A Dask cluster of real processes: a scheduler and workers, each of which can be killed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from servers import free_port

_START_SECONDS = 60
_WORKER = "from distributed.cli.dask_worker import main; main()"


@dataclass(slots=True)
class DaskProcesses:
    """A scheduler at `address`, and the processes of workers by their addresses."""

    folder: Path
    scheduler: "subprocess.Popen[bytes]"
    address: str = ""
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def add_worker(self, prelude: str = "", env: Mapping[str, str] | None = None) -> str:
        """Start a worker of one thread, without waiting for it, and return its address.

        `prelude` is Python code that runs first in it.
        """
        port = free_port()
        flags = ["--no-nanny", "--nthreads", "1", "--host", "127.0.0.1", "--worker-port", str(port), "--no-dashboard"]
        command = [sys.executable, "-c", f"{prelude}\n{_WORKER}", self.address, *flags]
        log = (self.folder / f"worker-{port}.log").open("wb")
        address = f"tcp://127.0.0.1:{port}"
        environment = {**os.environ, **(env or {})}
        self.workers[address] = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        log.close()
        return address

    def wait(self) -> None:
        """Wait until the workers that were started are those of the cluster."""
        with import_module("distributed").Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=_START_SECONDS)


@contextmanager
def dask_processes(folder: Path, workers: int = 0) -> Iterator[DaskProcesses]:
    """Run a scheduler and workers, and kill them at the end."""
    file = folder / "scheduler.json"
    flags = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), "--no-dashboard"]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *flags]
    with (folder / "scheduler.log").open("wb") as log:
        scheduler = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    cluster = DaskProcesses(folder, scheduler)
    try:
        cluster.address = _address(file, scheduler)
        for _ in range(workers):
            cluster.add_worker()
        if workers:
            cluster.wait()
        yield cluster
    finally:
        for process in (*cluster.workers.values(), scheduler):
            process.kill()
            process.wait()


def _address(file: Path, scheduler: "subprocess.Popen[bytes]") -> str:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and scheduler.poll() is None:
        try:
            return str(json.loads(file.read_text())["address"])
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.05)
    raise RuntimeError(f"the scheduler did not start: {(file.parent / 'scheduler.log').read_text()}")
