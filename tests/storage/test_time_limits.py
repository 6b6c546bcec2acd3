"""Time limits of stores: what a wait takes, and when another attempt is due."""

import threading
import time

import pytest

from cytobatch.config.options import DEFAULT_STORE_TIMEOUT
from cytobatch.storage.time_limits import STORE_THREADS, RetryBudget, TimeLimits, in_time

LIMITS = TimeLimits(0.1)
FAR = 2**18


def test_the_limits_of_the_default_end_a_silent_store_within_two_minutes() -> None:
    limits = TimeLimits(DEFAULT_STORE_TIMEOUT)
    assert (limits.connect, limits.read) == (5, 20)
    # obstore and botocore each begin a last request just before their retries end.
    assert 2 * (limits.retries + limits.read) <= 100
    assert limits.standstill + limits.retries + limits.read <= 120
    assert TimeLimits(2).connect == 2


def test_a_call_that_does_not_return_in_time_is_left_behind() -> None:
    release = threading.Event()
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 seconds"):
        in_time(release.wait, 0.1)
    assert time.monotonic() - began < 5
    assert any(thread.name.startswith(STORE_THREADS) for thread in threading.enumerate())
    release.set()


def test_the_result_or_error_of_a_call_is_its_own() -> None:
    assert in_time(lambda: 7, 10) == 7
    with pytest.raises(ZeroDivisionError):
        in_time(lambda: 1 // 0, 10)
    with pytest.raises(TimeoutError, match="its own"):
        in_time(_raise_timeout, 10)


def _raise_timeout() -> None:
    raise TimeoutError("its own")


def test_attempts_without_progress_end_and_progress_makes_the_budget_whole() -> None:
    budget = RetryBudget(TimeLimits(60))
    assert [budget.allows_another(0) for _ in range(3)] == [True] * 3
    assert [budget.allows_another(FAR * number) for number in range(1, 4)] == [True] * 3
    budget = RetryBudget(LIMITS)
    time.sleep(LIMITS.standstill)
    assert not budget.allows_another(FAR - 1)
    assert budget.allows_another(2 * FAR)
