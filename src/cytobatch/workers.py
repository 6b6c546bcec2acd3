"""The threads that compute: so many at once, the caller's own among them."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Task(Generic[Result]):
    """A piece of work, and about how many bytes its result takes."""

    run: Callable[[], Result]
    size: int


class Workers:
    """Runs tasks ahead of who uses their results. A context manager.

    The caller's thread counts as one: it runs a task itself that no other thread has begun, and helps with others while
    it waits. A task may have parts of its own run ahead. With `count` 1 there is no other thread, and every task runs
    when its result is asked for.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._tasks, self._parts = deque[_Place[Any]](), deque[_Place[Any]]()
        self._changed = threading.Condition()
        self._closed = False
        self._here = threading.local()
        self._others = [threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(1, count)]
        for thread in self._others:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._others:
            thread.join()

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
                        coming.append(self._offered(task))
                        taken += task.size
                if coming:
                    first = coming.popleft()
                    yield self._result(first)
                    taken -= first.size
        finally:
            for place in coming:
                place.take()

    @property
    def _inside(self) -> bool:
        """Whether this thread is at a task, so that what it offers are parts of it."""
        return getattr(self._here, "tasks", 0) > 0

    def _offered(self, task: Task[Result]) -> "_Place[Result]":
        place = _Place(task)
        with self._changed:
            (self._parts if self._inside else self._tasks).append(place)
            self._changed.notify()
        return place

    def _result(self, place: "_Place[Result]") -> Result:
        """A task's result; while another thread is at it, this one helps: inside a task, with parts of tasks alone."""
        self._run(place)
        queues = (self._parts,) if self._inside else (self._parts, self._tasks)
        while (other := self._next(queues, place.future.done)) is not None:
            self._run(other)
        return place.future.result()

    def _work(self) -> None:
        while (place := self._next((self._parts, self._tasks), lambda: self._closed)) is not None:
            self._run(place)

    def _next(self, queues: "tuple[deque[_Place[Any]], ...]", enough: Callable[[], bool]) -> "_Place[Any] | None":
        """The next place in one of the queues, as soon as there is one; None once it is enough."""
        with self._changed:
            while not enough():
                for queue in queues:
                    if queue:
                        return queue.popleft()
                self._changed.wait()
        return None

    def _run(self, place: "_Place[Any]") -> None:
        task = place.take()
        if task is None:
            return
        self._here.tasks = getattr(self._here, "tasks", 0) + 1
        try:
            place.future.set_result(task.run())
        except BaseException as error:  # noqa: BLE001  raised again where the result is asked for
            place.future.set_exception(error)
        finally:
            self._here.tasks -= 1
        with self._changed:
            self._changed.notify_all()


class _Place(Generic[Result]):
    """A task on its way: whoever comes first takes it."""

    def __init__(self, task: Task[Result]) -> None:
        self.size = task.size
        self.future = Future[Result]()
        self._task: Task[Result] | None = task
        self._free = threading.Lock()

    def take(self) -> Task[Result] | None:
        """The task, if nobody has taken it yet."""
        if not self._free.acquire(blocking=False):
            return None
        task, self._task = self._task, None
        return task
