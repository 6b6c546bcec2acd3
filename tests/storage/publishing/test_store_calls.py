"""Calls of a store: after their end none begins, and none is on its way unknown."""

import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from cytobatch.storage.publishing.store_calls import StoreCalls


def test_calls_give_their_results_and_errors() -> None:
    calls = StoreCalls()
    with ThreadPoolExecutor(2) as pool:
        assert calls.submit(pool, divmod, 7, 2).result() == (3, 1)
        with pytest.raises(ZeroDivisionError):
            calls.submit(pool, divmod, 1, 0).result()


def test_the_end_waits_for_calls_on_their_way() -> None:
    calls, begun, may_end, made = StoreCalls(), threading.Event(), threading.Event(), list[int]()

    def call() -> None:
        begun.set()
        may_end.wait()
        made.append(1)

    with ThreadPoolExecutor(1) as pool:
        calls.submit(pool, call)
        begun.wait()
        before = time.monotonic()
        calls.end(0.05)
        assert time.monotonic() - before >= 0.05
        assert made == []
        may_end.set()
        calls.end(None)
        assert made == [1]


def test_after_the_end_no_call_begins() -> None:
    calls = StoreCalls()
    calls.end(None)
    with ThreadPoolExecutor(1) as pool, pytest.raises(CancelledError):
        calls.submit(pool, pytest.fail, "it has begun").result()


def test_at_any_moment_a_call_is_waited_for_or_does_not_begin() -> None:
    for _ in range(300):
        calls, made = StoreCalls(), list[int]()
        with ThreadPoolExecutor(3) as pool:
            for number in range(6):
                calls.submit(pool, made.append, number)
            calls.end(None)
            at_the_end = list(made)
        assert made == at_the_end
