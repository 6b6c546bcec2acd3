"""How long the requests to a store may take, so that every wait ends."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

Result = TypeVar("Result")

STORE_THREADS = "store-"
"""The names of threads that may wait for a store begin with this. The end of the process does not wait for them."""
_CONNECT = 5.0
_PROGRESS = 2**18
"""Bytes that make an attempt worth another one."""
_ATTEMPTS = 5
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """The time limits of a store, all from the one that can be set. All are in seconds.

    Attributes
    ----------
    read
        The longest wait for the next byte.
    """

    read: float

    @property
    def connect(self) -> float:
        """The longest wait for a connection."""
        return min(_CONNECT, self.read)

    @property
    def request(self) -> float:
        """The longest time of one request with its response. What has come by then is kept."""
        return 1.5 * self.read

    @property
    def retries(self) -> float:
        """The time after which a client does not repeat a request."""
        return 1.5 * self.read

    @property
    def standstill(self) -> float:
        """The time after which a read without progress is given up."""
        return 3 * self.read

    @property
    def operation(self) -> float:
        """The longest time of a page of a listing, with all attempts of its request."""
        return 3 * self.read


@dataclass(slots=True)
class RetryBudget:
    """Decides whether a read that broke off is worth another attempt. Progress makes the budget whole again."""

    limits: TimeLimits
    position: int = 0
    _attempts: int = 0
    _since: float = field(default_factory=time.monotonic)

    def note(self, position: int) -> bool:
        """Take into account how far an attempt came. Return whether it made progress."""
        if position - self.position < _PROGRESS:
            return False
        self.position, self._attempts, self._since = position, 0, time.monotonic()
        return True

    def allows_another(self, position: int) -> bool:
        """Return whether another attempt is due after one that came up to a position, after a pause."""
        self.note(position)
        self._attempts += 1
        if self._attempts >= _ATTEMPTS or time.monotonic() - self._since >= self.limits.standstill:
            return False
        # The pause keeps many threads from asking a busy store at once: it is no secret.
        time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.2 * 2**self._attempts)))
        return True


def in_own_thread(call: Callable[[], Result]) -> Future[Result]:
    """Begin a call of a store in a thread of its own, and return its future result.

    A signal interrupts the wait for it: a thread that waits for a socket in a library is not interrupted by one.
    """
    future = Future[Result]()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  raised again where the result is waited for
            future.set_exception(error)

    threading.Thread(target=run, name=f"{STORE_THREADS}operation").start()
    return future


def in_time(call: Callable[[], Result], seconds: float) -> Result:
    """Return the result of a call, which is made in a thread of its own. Raises its error, or TimeoutError.

    A call that does not return in time is left behind.
    """
    future = in_own_thread(call)
    try:
        return future.result(seconds)
    except TimeoutError as error:
        if future.done():
            # The call's own error.
            raise
        raise TimeoutError(f"no answer within {seconds:g} seconds") from error
