"""The threads that compute: so many at once, the caller's own among them."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Task(Generic[Result]):
    """A piece of work, and about how many bytes its result takes."""

    run: Callable[[], Result]
    size: int


class Workers:
    """Runs tasks ahead of the caller who uses their results. A context manager.

    The caller's thread counts as one: it runs a task itself where no other thread has begun it. With `count` 1 there
    is no other thread, and every task runs when its result is asked for.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._others = ThreadPoolExecutor(count - 1, "cytobatch") if count > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._others:
            self._others.shutdown(cancel_futures=True)

    def ahead(self, tasks: Iterable[Task[Result]], room: int) -> Iterator[Result]:
        """The results in the tasks' order. Those that wait to be used, or are in the making, take about `room` bytes.

        What a task raises is raised where its result would come.
        """
        coming, left = deque[_Place[Result]](), iter(tasks)
        taken, more = 0, True
        try:
            while coming or more:
                while more and (taken < room or not coming):
                    task = next(left, None)
                    more = task is not None
                    if task is not None:
                        coming.append(self._begun(task))
                        taken += task.size
                if coming:
                    first = coming.popleft()
                    yield first.result(coming)
                    taken -= first.size
        finally:
            for place in coming:
                place.drop()

    def _begun(self, task: Task[Result]) -> "_Place[Result]":
        place = _Place(task)
        if self._others:
            self._others.submit(place.run)
        return place


class _Place(Generic[Result]):
    """A task on its way: whoever comes first runs it."""

    def __init__(self, task: Task[Result]) -> None:
        self.size = task.size
        self._task: Task[Result] | None = task
        self._free = threading.Lock()
        self._future = Future[Result]()

    def run(self) -> None:
        """Runs the task, unless another thread has begun it."""
        if not self._free.acquire(blocking=False) or self._task is None:
            return
        try:
            self._future.set_result(self._task.run())
        except BaseException as error:  # noqa: BLE001  raised again where the result is asked for
            self._future.set_exception(error)
        finally:
            self._task = None

    def drop(self) -> None:
        """Nobody wants the result: the task is not begun any more."""
        self._free.acquire(blocking=False)

    def result(self, others: Iterable["_Place[Result]"]) -> Result:
        """The task's result; while another thread is at it, this one does some of the others."""
        self.run()
        for other in others:
            if self._future.done():
                break
            other.run()
        return self._future.result()
