"""The threads that compute: so many at once, the caller's own among them."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
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
                        coming.append(self._offered(task, self._parts if self._inside else self._tasks))
                        taken += task.size
                if coming:
                    size = coming[0].size
                    yield self._result(coming.popleft())
                    taken -= size
        finally:
            for place in coming:
                self._taken(place)

    def beside(self, run: Callable[[], Result]) -> Callable[[], Result]:
        """Has a small piece of work done before all that waits; what is given back tells its result, and waits for it.

        What it raises is raised there.
        """
        return partial(self._result, self._offered(Task(run, 0), self._parts))

    @property
    def _inside(self) -> bool:
        """Whether this thread is at a task, so that what it offers are parts of it."""
        return getattr(self._here, "tasks", 0) > 0

    def _offered(self, task: Task[Result], queue: "deque[_Place[Any]]") -> "_Place[Result]":
        place = _Place(task.run, task.size, queue)
        with self._changed:
            queue.append(place)
            self._changed.notify()
        return place

    def _taken(self, place: "_Place[Any]") -> bool:
        """Whether nobody had begun a task; nobody else will. Who takes a task from its queue is who runs it."""
        with self._changed:
            free = place in place.queue
            if free:
                place.queue.remove(place)
        return free

    def _result(self, place: "_Place[Result]") -> Result:
        """A task's result; while another thread is at it, this one helps: inside a task, with parts of tasks alone."""
        if self._taken(place):
            self._run(place)
        queues = (self._parts,) if self._inside else (self._parts, self._tasks)
        while (other := self._next(queues, place.future.done)) is not None:
            self._run(other)
        return place.future.result()

    def _work(self) -> None:
        while (place := self._next((self._parts, self._tasks), lambda: self._closed)) is not None:
            self._run(place)
            # Waiting for the next, a thread holds no result.
            del place

    def _next(self, queues: "tuple[deque[_Place[Any]], ...]", enough: Callable[[], bool]) -> "_Place[Any] | None":
        """Takes the next place from one of the queues, as soon as there is one; None once it is enough."""
        with self._changed:
            while not enough():
                for queue in queues:
                    if queue:
                        return queue.popleft()
                self._changed.wait()
        return None

    def _run(self, place: "_Place[Any]") -> None:
        self._here.tasks = getattr(self._here, "tasks", 0) + 1
        try:
            place.future.set_result(place.run())
        except BaseException as error:  # noqa: BLE001  raised again where the result is asked for
            place.future.set_exception(error)
        finally:
            self._here.tasks -= 1
        with self._changed:
            self._changed.notify_all()


@dataclass(frozen=True, slots=True, eq=False)
class _Place(Generic[Result]):
    """A task on its way: free as long as it stands in its queue."""

    run: Callable[[], Result]
    size: int
    queue: "deque[_Place[Any]]"
    future: Future[Result] = field(default_factory=Future)
