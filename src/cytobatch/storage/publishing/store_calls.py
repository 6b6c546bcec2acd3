"""Calls of a store in threads. A run that is being ended waits for them: none goes on without its knowledge."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class StoreCalls:
    """The calls of one run.

    A signal interrupts the main thread alone, wherever it is. So each thread enters its call itself, before it looks
    whether calls have ended: either `end` finds the call, or the call finds the end. No lock: a signal may come while
    one is held, and changes of a set are atomic.
    """

    def __init__(self) -> None:
        self._running: set[threading.Event] = set()
        self._ended = False

    def submit(self, threads: Executor, call: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Make a call in another thread, unless calls have ended by then."""
        return threads.submit(self._made, call, *arguments)

    def _made(self, call: Callable[..., Result], *arguments: Any) -> Result:
        done = threading.Event()
        self._running.add(done)
        try:
            if self._ended:
                raise CancelledError
            return call(*arguments)
        finally:
            self._running.discard(done)
            done.set()

    def end(self, seconds: float | None) -> None:
        """Let no call begin, and wait for those that are on their way: at most `seconds`, or until all have ended."""
        self._ended = True
        until = None if seconds is None else time.monotonic() + seconds
        for done in list(self._running):
            done.wait(None if until is None else max(0.0, until - time.monotonic()))
