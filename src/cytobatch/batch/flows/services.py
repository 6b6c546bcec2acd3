"""The threads in which Prefect sends events and logs: emptied within a time, and never waited for after it.

Prefect itself waits for them when the interpreter ends, without a limit: a server that never answers would keep a
finished program alive.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from weakref import WeakSet

from prefect._internal.concurrency.threads import get_global_loop
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

_CANCEL_SECONDS = 0.5
_CANCEL_ROUNDS = 4
"""A cancelled service closes its connection first, which a server that hangs delays: each round ends one wait."""
_SERVICE = "_QueueServiceBase._run"
_writers = WeakSet[threading.Thread]()
"""The threads of records, which log until they end."""


def drop_events() -> None:
    """Send no events, such as the states of tasks, from now on: no server keeps them."""
    EventsWorker.set_client_override(NullEventsClient)


def send_events() -> None:
    """Send events again."""
    EventsWorker.set_client_override(None)


@contextmanager
def quiet_handlers() -> Iterator[None]:
    """Let no log handler write to standard error that a server does not take logs; Prefect's does so by this switch."""
    earlier = logging.raiseExceptions
    logging.raiseExceptions = False
    try:
        yield
    finally:
        logging.raiseExceptions = earlier


def end_before_services(thread: threading.Thread) -> None:
    """Have `close_services` wait for a thread, because what it logs after that would keep the program."""
    _writers.add(thread)


def close_services(seconds: float) -> bool:
    """Send what is left of events and logs within some seconds, and drop the rest. Returns whether all was handled."""
    end = time.monotonic() + seconds
    for thread in tuple(_writers):
        if thread.is_alive():
            thread.join(max(0.0, end - time.monotonic()))
    waiting: set[Future[bool]] = set()
    for service in (EventsWorker, APILogWorker):
        drained = service.drain_all(timeout=max(0.0, end - time.monotonic()))
        # Outside an event loop it is a pair of sets: done, and not done.
        if isinstance(drained, tuple):
            waiting |= drained[1]
    for _ in range(_CANCEL_ROUNDS if waiting else 0):
        _cancel_services()
        if not wait(waiting, timeout=_CANCEL_SECONDS).not_done:
            break
    return not waiting


def _cancel_services() -> None:
    """Cancel the tasks of all services on Prefect's event loop. They then count as done, also at exit."""
    loop = get_global_loop().loop
    if loop is not None:
        loop.call_soon_threadsafe(_cancel_in, loop)


def _cancel_in(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        if getattr(task.get_coro(), "__qualname__", "") == _SERVICE:
            task.cancel()
