"""What handlers of signals raise, also where a library makes an error of its own of it.

Handlers run between any two instructions of the main thread. DuckDB, which lets them run during a query, raises a
RuntimeError whose cause is their exception. pydantic, whose serializers call Python, names it in the text of an error.
Without this module a run that SIGTERM ends would now and then be an internal error.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SHELLS_ADD = 128
_remembered: list[BaseException] = []


def remembered(ending: BaseException) -> BaseException:
    """Return what a handler is about to raise, and remember it: this process ends by it, whatever becomes of it."""
    _remembered[:] = [ending]
    return ending


def terminate(number: int, _frame: object) -> NoReturn:
    """Handle a signal such as SIGTERM: end the process with 128 and its number, as shells show it."""
    raise remembered(SystemExit(_SHELLS_ADD + number))


def remember_interruptions() -> None:
    """Have Ctrl-C raise a KeyboardInterrupt that is remembered, unless SIGINT is ignored or has another handler.

    Only the main thread may set handlers.
    """
    _replace(signal.default_int_handler, _interrupt)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise remembered(KeyboardInterrupt())


def forget() -> None:
    """Forget what was remembered, and remember no more interruptions: other runs of the process are not ended by it."""
    _replace(_interrupt, signal.default_int_handler)
    _remembered.clear()


def _replace(handler: object, other: Callable[[int, FrameType | None], object]) -> None:
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is handler:
        signal.signal(signal.SIGINT, other)


def raise_remembered() -> None:
    """Raise what a handler has raised, if a library has dropped it."""
    if _remembered:
        raise _remembered[0]


@contextmanager
def signals_as_raised() -> Iterator[None]:
    """Raise what a handler has raised in the block, in place of the error that a library has made of it."""
    try:
        yield
    except Exception as error:
        ending = _ending_of(error)
        if ending is None:
            raise
        raise ending from None


def _ending_of(error: BaseException) -> BaseException | None:
    """Return the exception of a handler: the one that was remembered, or one that led to the error."""
    if _remembered:
        return _remembered[0]
    cause = error.__cause__
    while cause is not None and isinstance(cause, Exception):
        cause = cause.__cause__
    return cause
