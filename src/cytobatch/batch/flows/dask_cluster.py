"""Plates on a Dask cluster: one that the run starts on this machine, or an existing one."""

import logging
import threading
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any

from dask import config as dask_config
from distributed import CancelledError, KilledWorker
from prefect_dask.task_runners import DaskTaskRunner

from cytobatch.batch.flows.dask_worker import NO_ANSWER, within
from cytobatch.batch.flows.task_runners import STOP_SECONDS, Crew, stopped
from cytobatch.batch.plate_events import EventListener, event_of
from cytobatch.batch.plate_work import Placement, running_plates, stop_plates
from cytobatch.errors import StorageError, WorkerVersionError

_LOST_SECONDS = 20.0
"""After so long without a worker, all plates that are left fail. A worker that restarts is back sooner."""
_FIRST_SECONDS = 600.0
"""The same before the first worker: a cluster that scales itself, such as SLURM's, may have to wait for one."""
_CONNECT_SECONDS = 10
_SUBMITTED_FOR_A_THREAD = 2
"""What is submitted waits in the scheduler's memory, with the parameters of the flow."""
_WATCH_SECONDS = 1.0
_LEAVE_SECONDS = 2.0
"""The part of `STOP_SECONDS` for the cluster, after its plates."""
_PACKAGES = ("cytobatch", "prefect")
"""The packages whose versions are compared; pickled tasks of Prefect need Prefect's own."""


class DaskCrew(Crew):
    """Workers of a Dask cluster, which gives the plates of a lost worker to another one."""

    breaks = False

    def start(self) -> None:
        """Start the workers."""
        runner: Any = DaskTaskRunner(**self.arguments())
        self._runner = runner
        runner.__enter__()
        self._client: Any = runner.client
        self._client.subscribe_topic(self.run, self._on_message)
        self._watch = _Watch(self._client)
        self._watch.start()

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of Prefect's task runner."""

    @property
    def most_submitted(self) -> int:
        """How many plates may be submitted at once: enough for workers to begin one without waiting for the run."""
        return _SUBMITTED_FOR_A_THREAD * max(1, self._watch.threads)

    def _on_message(self, message: Any) -> None:
        _, values = message
        self.on_event(event_of(values))

    def lost(self) -> str:
        """Return for how long the cluster has had no worker, if that is too long."""
        seconds = self._watch.silent_seconds()
        most = _LOST_SECONDS if self._watch.had_workers else _FIRST_SECONDS
        if seconds <= most:
            return ""
        hint = "a worker without cytobatch[dask] ends when it gets a plate, and its log has the reason"
        return f"{self.label} has had no worker for {seconds:.0f} s; {hint}"

    def is_lost(self, error: BaseException) -> bool:
        """Decide whether an error of a future means that its worker, or the scheduler, has died."""
        return isinstance(error, KilledWorker | CancelledError | TimeoutError | OSError)

    def end(self) -> None:
        """End the workers when all plates have ended."""
        self._leave(STOP_SECONDS)

    def stop(self) -> None:
        """Stop the plates of this run on all workers, and leave the cluster. Other work on them goes on.

        A worker that still imports its modules does not answer. On this machine it is killed in the end.
        """
        if hasattr(self, "_watch"):
            within(STOP_SECONDS - _LEAVE_SECONDS, self._stop_plates)
            self._leave(_LEAVE_SECONDS)
        self.kill_children()

    def _leave(self, seconds: float) -> None:
        self._watch.stopped.set()
        within(seconds, super().end)
        self.kill_children()

    def _stop_plates(self) -> None:
        # Those that wait first, or a worker would begin one in place of each that is stopped.
        self._client.cancel([future.wrapped_future for future in self.futures], force=True)

        def stop() -> None:
            self._client.run(stop_plates, self.run, on_error="ignore")

        def are_stopped() -> bool:
            return not any(self._client.run(running_plates, self.run, on_error="ignore").values())

        stopped(stop, are_stopped)


class LocalDask(DaskCrew):
    """A cluster of this run's own on this machine, with one thread in each worker."""

    placement = Placement.DASK

    def __init__(self, run: str, at_once: int, on_event: EventListener, folder: Path) -> None:
        super().__init__(run, at_once, on_event)
        self._folder = folder

    @property
    def label(self) -> str:
        """What starts, for people."""
        return f"{self.at_once} Dask workers"

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of Prefect's task runner.

        Dask has no memory limit, because it would pause and kill workers by a limit that is not that of the run.
        """
        cluster = {
            "n_workers": self.at_once,
            "threads_per_worker": 1,
            "memory_limit": 0,
            "dashboard_address": "127.0.0.1:0",
            "silence_logs": logging.CRITICAL,
        }
        return {"cluster_class": "distributed.LocalCluster", "cluster_kwargs": cluster}

    def start(self) -> None:
        """Start the cluster. Scheduler and workers have their files in the folder of the run."""
        before = dask_config.get("temporary-directory", None)
        dask_config.set({"temporary-directory": str(self._folder)})
        super().start()
        # Not after an error or a signal: what goes on to start in other threads would leave files elsewhere.
        dask_config.set({"temporary-directory": before})


class ForeignDask(DaskCrew):
    """An existing cluster."""

    on_this_machine = False
    placement = Placement.FOREIGN_DASK

    def __init__(self, run: str, address: str, on_event: EventListener) -> None:
        super().__init__(run, 0, on_event)
        self._address = address

    @property
    def label(self) -> str:
        """What starts, for people."""
        return f"the Dask cluster at {self._address}"

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of Prefect's task runner."""
        return {"address": self._address, "client_kwargs": {"timeout": _CONNECT_SECONDS}}

    def start(self) -> None:
        """Connect to the cluster, and compare the versions of all machines.

        Raises StorageError if the scheduler does not answer, and WorkerVersionError for another version.
        """
        try:
            super().start()
        except OSError as error:
            raise StorageError(
                "the Dask scheduler does not answer",
                where=self._address,
                why=str(error),
                remedy="check the address, and start `dask scheduler` there",
            ) from error
        try:
            check_versions(self._client.get_versions(packages=list(_PACKAGES)))
        except BaseException:
            self.end()
            raise


def check_versions(versions: dict[str, Any]) -> None:
    """Raises WorkerVersionError for a machine with another version of cytobatch or Prefect, or without it."""
    expected = versions["client"]["packages"]
    machines = {f"worker {address}": versions["workers"][address] for address in sorted(versions["workers"])}
    for name, machine in {"the scheduler": versions["scheduler"], **machines}.items():
        for package in _PACKAGES:
            found = machine["packages"].get(package)
            if found != expected[package]:
                raise WorkerVersionError(
                    f"{name} has another version of {package}" if found else f"{name} has no {package}",
                    where="the Dask cluster",
                    why=f"it has {found or 'none'}, and the run {expected[package]}",
                    remedy="install the same version of cytobatch[dask] on all machines",
                )


class _Watch(threading.Thread):
    """Asks the scheduler again and again for its workers, so that a silent scheduler blocks no other thread."""

    def __init__(self, client: Any) -> None:
        super().__init__(daemon=True, name="dask-watch")
        self.stopped = threading.Event()
        self.had_workers = False
        self.threads = 0
        self._client = client
        self._seen = time.monotonic()

    def run(self) -> None:
        while not self.stopped.wait(_WATCH_SECONDS):
            try:
                workers = self._client.scheduler_info()["workers"]
                self.threads = sum(worker["nthreads"] for worker in workers.values())
                if workers:
                    self._seen, self.had_workers = time.monotonic(), True
            except NO_ANSWER:
                # There is no answer, and the time runs.
                continue

    def silent_seconds(self) -> float:
        """Return how long ago a worker was last seen."""
        return time.monotonic() - self._seen
