"""What a plate's task does where it runs: in a thread, in a process, or on a worker of a Dask cluster."""

import logging
import signal
from functools import partial
from multiprocessing.util import Finalize
from typing import Any

from prefect.context import TaskRunContext

from cytobatch.batch.flows.bookkeeping import convert_unrecorded
from cytobatch.batch.flows.credentials import provide_blocks
from cytobatch.batch.flows.plate import convert
from cytobatch.batch.flows.services import close_services, drop_events
from cytobatch.batch.plate_events import EventListener, PlateEvent, PlateNotice, SparseProgress
from cytobatch.batch.plate_work import Placement, PlateWork, convert_work
from cytobatch.config.options import PlateJob
from cytobatch.engine.resources import leave_signals_to_python
from cytobatch.engine.signals import terminate
from cytobatch.errors import AccessError, StorageError, WorkerLostError
from cytobatch.pipeline.split import Splitter

_CLOSE_SECONDS = 2.0
"""How long a process that ends sends what is left of Prefect's events and logs."""
_PROGRESS_SECONDS = 1.0
_ON_DASK = (Placement.DASK, Placement.FOREIGN_DASK)

_listeners: dict[str, EventListener] = {}
"""The listeners of this process, by the ids of runs."""


def listen(run: str, listener: EventListener) -> None:
    """Give what a run's plates in this process announce to a listener."""
    _listeners[run] = listener


def start_process(run: str, events: Any) -> None:
    """Prepare a process of a pool: its events go into a queue of the main process, and SIGTERM ends its plate.

    A process of the same group gets SIGINT from the terminal; the main process stops it then.
    """
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_signals_to_python()
    listen(run, SparseProgress(events.put, _PROGRESS_SECONDS))
    # Prefect waits for its server when the interpreter ends, without a limit.
    logging.raiseExceptions = False
    Finalize(None, close_services, args=(_CLOSE_SECONDS,), exitpriority=0)


def convert_on_worker(text: str) -> str:
    """Convert the plate that `PlateWork` describes as JSON, and return its report without the ledger, as JSON.

    Raises WorkerVersionError if this process has another version of cytobatch than the run, and the plate's own errors.
    """
    work = PlateWork.parse(text)
    provide_blocks(in_flow_run=True)
    job, on_event, split = work.plate_job(), _listeners.get(work.run, _ignore), None
    if work.placement in _ON_DASK:
        job, on_event, split = _on_dask(work, job)
    converter = convert if work.recorded else convert_unrecorded
    if not work.recorded:
        drop_events()
    try:
        return convert_work(work, job, partial(converter, split=split), on_event)
    except StorageError as error:
        if _is_tried_again() and not isinstance(error, AccessError | WorkerLostError):
            on_event(PlateNotice(job.label, f"is tried again, because of: {error.what}"))
        raise


def _is_tried_again() -> bool:
    """Return whether Prefect begins this thread's task again if it fails."""
    context = TaskRunContext.get()
    return context is not None and context.task_run.run_count <= context.task.retries


def _on_dask(work: PlateWork, job: PlateJob) -> tuple[PlateJob, EventListener, Splitter]:
    from cytobatch.batch.flows import dask_worker
    from cytobatch.batch.flows.dask_parts import dask_splitter

    if work.placement is Placement.FOREIGN_DASK:
        job = dask_worker.within_limits(job)
    on_event = dask_worker.listener(work.run)
    on_event(PlateNotice(job.label, f"starts on {dask_worker.name()}"))
    return job, on_event, dask_splitter(work, job, on_event)


def _ignore(_event: PlateEvent) -> None:
    """Drop an event of a run that nobody listens to."""
