"""A plate on a worker of a Dask cluster: its part of the worker's limits, its messages to the run, bounded calls."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from distributed import get_worker
from distributed.utils import sync

from cytobatch.batch.plate_events import EventListener, SparseProgress, values_of
from cytobatch.config.options import LEAST_MEMORY, PlateJob
from cytobatch.engine.resources import ResourceLimits, machine_limits

_PROGRESS_SECONDS = 2.0
"""Every message goes through the one scheduler."""
_PART_OF_DASKS_MEMORY = 0.75
"""Dask pauses a worker at 80% of its limit, and ends it at 95%."""
NO_ANSWER = (OSError, RuntimeError, ValueError)
"""What calls to a cluster raise that is silent, or has ended."""


def name() -> str:
    """Return the name of this worker's machine, and its address."""
    return f"{socket.gethostname()} ({get_worker().address})"


def listener(topic: str) -> EventListener:
    """Return a listener that sends what a plate announces to the topic of the run, progress every few seconds."""
    worker = get_worker()
    return SparseProgress(lambda event: worker.log_event(topic, values_of(event)), _PROGRESS_SECONDS)


def within_limits(job: PlateJob) -> PlateJob:
    """Return the job with its part of this worker's limits, or the job's own numbers if these are smaller.

    The scratch folder is Dask's own by default, which Dask removes when the worker has been killed.
    """
    worker = get_worker()
    limits = plate_limits(
        machine_limits(),
        plates_on_host(sync(worker.loop, worker.scheduler.identity, n_workers=-1)["workers"], worker.address),
        worker.memory_manager.memory_limit,
        worker.state.nthreads,
    )
    update: dict[str, Any] = {
        "workers": min(limits.workers, job.workers or limits.workers),
        "memory": min(limits.memory, job.memory or limits.memory),
        "scratch_dir": job.scratch_dir or Path(worker.local_directory),
    }
    return job.model_copy(update=update)


def plates_on_host(workers: dict[str, Any], address: str) -> int:
    """Return how many plates the workers of a worker's machine convert at once: one for each of their threads."""
    host = workers[address]["host"]
    return sum(int(worker["nthreads"]) for worker in workers.values() if worker["host"] == host)


def plate_limits(machine: ResourceLimits, on_host: int, dask_memory: int | None, threads: int) -> ResourceLimits:
    """Return the limits of one plate.

    Parameters
    ----------
    machine : ResourceLimits
        What machine and container grant this process.
    on_host : int
        How many plates are converted on the machine at once.
    dask_memory : int or None
        The limit in bytes at which Dask ends this worker.
    threads : int
        How many plates this worker converts at once.
    """
    part = machine.shared(on_host)
    memory = (
        part.memory if dask_memory is None else min(part.memory, int(_PART_OF_DASKS_MEMORY * dask_memory) // threads)
    )
    return ResourceLimits(part.workers, max(LEAST_MEMORY, memory))


def within(seconds: float, function: Callable[[], object]) -> None:
    """Call a function in a thread and wait for it, but not for longer: calls to a silent cluster have no end."""

    def call() -> None:
        with suppress(*NO_ANSWER):
            function()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
