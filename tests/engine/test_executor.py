"""Tasks that run before their results are used."""

import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.engine.executor import Executor, Task

Make = Callable[[], int]


def tasks(results: list[int], size: int = 1) -> Iterator[Task[int]]:
    for result in results:
        yield Task(lambda result=result: result, size)


@given(
    st.lists(st.integers(), max_size=40),
    st.integers(1, 5),
    st.lists(st.integers(0, 9), max_size=40),
    st.integers(1, 30),
)
def test_results_come_in_order_whatever_their_size(results: list[int], count: int, sizes: list[int], room: int) -> None:
    sized = [Task(lambda result=r: result, sizes[i] if i < len(sizes) else 1) for i, r in enumerate(results)]
    with Executor(count) as executor:
        assert list(executor.map_ordered(sized, room)) == results


def test_one_worker_is_the_caller_who_runs_a_task_when_its_result_is_asked_for() -> None:
    ran: list[int] = []

    def task(number: int) -> Task[int]:
        def run() -> int:
            assert threading.current_thread() is threading.main_thread()
            ran.append(number)
            return number

        return Task(run, 1)

    with Executor(1) as executor:
        results = executor.map_ordered((task(number) for number in range(5)), 1)
        assert next(results) == 0
        assert ran == [0]
        assert list(results) == [1, 2, 3, 4]


def test_no_more_threads_than_workers_compute_at_once() -> None:
    at_once, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(3, timeout=20)

    def run() -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        together.wait()
        with lock:
            at_once -= 1
        return 1

    with Executor(3) as executor:
        # The barrier opens when three threads are there, the caller among them.
        assert sum(executor.map_ordered((Task(run, 1) for _ in range(9)), 100)) == 9
    assert most == 3


def test_tasks_run_ahead_only_as_far_as_there_is_room() -> None:
    begun: list[int] = []

    def task(number: int) -> Task[int]:
        return Task(lambda: number, 10)

    def counted() -> Iterator[Task[int]]:
        for number in range(20):
            begun.append(number)
            yield task(number)

    with Executor(2) as executor:
        results = executor.map_ordered(counted(), 30)
        next(results)
        assert len(begun) == 3
        next(results)
        assert len(begun) == 4


def test_an_error_is_raised_where_the_result_would_come_and_ends_the_rest() -> None:
    ran: list[int] = []

    def task(number: int) -> Task[int]:
        def run() -> int:
            ran.append(number)
            return 1 // (number - 2)

        return Task(run, 1)

    with Executor(2) as executor:
        results = executor.map_ordered((task(number) for number in range(1000)), 3)
        assert [next(results), next(results)] == [-1, -1]
        with pytest.raises(ZeroDivisionError):
            next(results)
    assert len(ran) < 10


def test_results_that_are_not_wanted_any_more_are_not_made() -> None:
    ran: list[int] = []
    gate = threading.Event()

    def task(number: int) -> Task[int]:
        def run() -> int:
            ran.append(number)
            if number:
                gate.wait(20)
            return number

        return Task(run, 1)

    with Executor(2) as executor:
        results = executor.map_ordered((task(number) for number in range(50)), 50)
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]
        gate.set()
    assert len(ran) <= 3


@pytest.mark.parametrize("count", [1, 2])
def test_a_result_is_released_as_soon_as_the_next_is_asked_for(count: int) -> None:
    class Held:
        """What can be watched."""

    made: list[weakref.ref[Held]] = []

    def run() -> Held:
        held = Held()
        made.append(weakref.ref(held))
        return held

    with Executor(count) as executor:
        for _ in executor.map_ordered((Task(run, 1) for _ in range(50)), 1):
            # This result, and what the others are at.
            assert sum(one() is not None for one in made) <= 2 * count


@pytest.mark.parametrize("count", [1, 3])
def test_urgent_work_runs_once_and_raises_its_error(count: int) -> None:
    with Executor(count) as executor:
        results = [executor.submit_next(lambda n=n: 6 // n) for n in (1, 2, 0, 3)]
        assert [results[0](), results[1](), results[3]()] == [6, 3, 2]
        with pytest.raises(ZeroDivisionError):
            results[2]()


def test_tasks_submitted_within_a_task_are_run_by_threads_that_wait_for_it() -> None:
    together = threading.Barrier(2, timeout=20)

    def subtask() -> int:
        # The barrier opens only for two threads.
        together.wait()
        return threading.get_ident()

    with Executor(2) as executor:

        def whole() -> set[int]:
            return set(executor.map_ordered((Task(subtask, 1) for _ in range(6)), 6))

        (found,) = executor.map_ordered([Task(whole, 1)], 1)
    assert len(found) == 2


@given(st.integers(1, 4), st.lists(st.integers(0, 5), max_size=6), st.integers(1, 8))
def test_tasks_that_submit_others_end_in_order(count: int, sizes: list[int], room: int) -> None:
    with Executor(count) as executor:

        def whole(size: int) -> list[int]:
            return list(executor.map_ordered((Task(lambda n=n: n, 1) for n in range(size)), room))

        tasks = (Task(lambda size=size: whole(size), 1) for size in sizes)
        assert list(executor.map_ordered(tasks, room)) == [list(range(size)) for size in sizes]


def together(*found: int) -> tuple[int, ...]:
    return found


@given(st.integers(1, 4), st.lists(st.lists(st.integers(), max_size=4), max_size=8), st.integers(1, 8))
def test_a_task_gets_the_results_of_its_subtasks_in_their_order(count: int, parts: list[list[int]], room: int) -> None:
    with Executor(count) as executor:
        tasks = (Task(together, 1, tuple(lambda n=n: n for n in numbers)) for numbers in parts)
        assert list(executor.map_ordered(tasks, room)) == [tuple(numbers) for numbers in parts]


def test_subtasks_run_side_by_side_and_those_of_the_next_task_when_none_is_left_to_begin() -> None:
    both, next_begun = threading.Barrier(2, timeout=20), threading.Event()

    def last() -> bool:
        # It ends only once the other thread has gone on to the next task.
        return next_begun.wait(20)

    def first_of_next() -> int:
        next_begun.set()
        return 7

    with Executor(2) as executor:
        meet = (lambda: both.wait() >= 0, lambda: both.wait() >= 0, last)
        tasks = [Task(together, 1, meet), Task(together, 1, (first_of_next,))]
        assert list(executor.map_ordered(tasks, 2)) == [(True, True, True), (7,)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_task_with_a_failed_subtask_fails_and_is_not_run(count: int) -> None:
    ran: list[str] = []

    def run(*_: object) -> None:
        ran.append("task")

    def fails() -> None:
        raise LookupError("part")

    with Executor(count) as executor:
        results = executor.map_ordered([Task(together, 1), Task(run, 1, (lambda: None, fails, fails))], 9)
        assert next(results) == ()
        with pytest.raises(LookupError, match="part"):
            next(results)
    assert not ran


def test_once_a_subtask_has_failed_the_others_do_not_begin() -> None:
    begun: list[int] = []

    def subtask(number: int) -> float:
        begun.append(number)
        return 1 / (number - 1)

    with Executor(1) as executor, pytest.raises(ZeroDivisionError):
        list(executor.map_ordered([Task(together, 1, tuple(partial(subtask, n) for n in range(5)))], 9))
    assert begun == [0, 1]


def test_subtasks_that_are_not_wanted_any_more_do_not_begin() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def subtask(number: int) -> None:
        begun.append(number)
        gate.wait(20)

    with Executor(2) as executor:
        results = executor.map_ordered(
            [Task(together, 1), Task(together, 1, tuple(partial(subtask, n) for n in range(50)))], 9
        )
        assert next(results) == ()
        results.close()  # type: ignore[attr-defined]
        gate.set()
    assert len(begun) <= 1
