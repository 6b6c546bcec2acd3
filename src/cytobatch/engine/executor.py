"""The threads that compute: so many at once, the caller's own among them."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Task(Generic[Result]):
    """A piece of work, and about how many bytes its result takes.

    Its subtasks are done first, each by whichever thread is free; who does the last one calls `run` with their results.
    """

    run: Callable[..., Result]
    size: int
    subtasks: tuple[Callable[[], Any], ...] = ()


class Executor:
    """Runs tasks ahead of who uses their results. A context manager.

    The caller's thread counts as one: it runs a task itself that no other thread has begun, and helps with others while
    it waits. What a task offers from within goes before all other tasks. With `count` 1 there is no other thread, and
    every task runs when its result is asked for.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._tasks, self._first = deque[_Step](), deque[_Step]()
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

    def map_ordered(self, tasks: Iterable[Task[Result]], room: int) -> Iterator[Result]:
        """The results in the tasks' order. Those that wait to be used, or are in the making, take about `room` bytes.

        What a task raises is raised where its result would come.
        """
        coming, left = deque[_PendingTask[Result]](), iter(tasks)
        taken, more = 0, True
        try:
            while coming or more:
                while more and (taken < room or not coming):
                    task = next(left, None)
                    more = task is not None
                    if task is not None:
                        coming.append(self._offered(task, self._first if self._inside else self._tasks))
                        taken += task.size
                if coming:
                    size = coming[0].size
                    yield self._result(coming.popleft())
                    taken -= size
        finally:
            for place in coming:
                self._withdraw(place)

    def submit_next(self, run: Callable[[], Result]) -> Callable[[], Result]:
        """Has a small piece of work done before all that waits; what is given back tells its result, and waits for it.

        What it raises is raised there.
        """
        return partial(self._result, self._offered(Task(run, 0), self._first))

    @property
    def _inside(self) -> bool:
        """Whether this thread is at a task, and what it offers is for this one."""
        return getattr(self._here, "tasks", 0) > 0

    def _offered(self, task: Task[Result], queue: "deque[_Step]") -> "_PendingTask[Result]":
        place = _PendingTask(task, queue)
        with self._changed:
            queue.extend(place.steps())
            # Not one alone: it may be at a task, and wait for what that has offered.
            self._changed.notify_all()
        return place

    def _own_step(self, place: "_PendingTask[Any]") -> "_Step | None":
        """Takes the next of a task's steps that nobody has begun. Who takes one from its queue is who runs it."""
        with self._changed:
            step = next((step for step in place.queue if step.place is place), None)
            if step is not None:
                place.queue.remove(step)
        return step

    def _withdraw(self, place: "_PendingTask[Any]") -> None:
        """Nobody will begin what is left of a task."""
        while self._own_step(place) is not None:
            pass

    def _result(self, place: "_PendingTask[Result]") -> Result:
        """A task's result. While others are at it, this thread helps: inside a task, with what tasks offer alone."""
        while (own := self._own_step(place)) is not None:
            self._run(own)
        queues = (self._first,) if self._inside else (self._first, self._tasks)
        while (other := self._next(queues, place.future.done)) is not None:
            self._run(other)
        return place.future.result()

    def _work(self) -> None:
        while (step := self._next((self._first, self._tasks), lambda: self._closed)) is not None:
            self._run(step)
            # Waiting for the next, a thread holds no result.
            del step

    def _next(self, queues: "tuple[deque[_Step], ...]", enough: Callable[[], bool]) -> "_Step | None":
        """Takes the next step from one of the queues, as soon as there is one; None once it is enough."""
        with self._changed:
            while not enough():
                for queue in queues:
                    if queue:
                        return queue.popleft()
                self._changed.wait()
        return None

    def _run(self, step: "_Step") -> None:
        self._here.tasks = getattr(self._here, "tasks", 0) + 1
        try:
            step.place.do(step.part)
        finally:
            self._here.tasks -= 1
        with self._changed:
            self._changed.notify_all()


class _PendingTask(Generic[Result]):
    """A task on its way: what its subtasks gave, and what comes of it. Its steps are in a queue until they begin."""

    def __init__(self, task: Task[Result], queue: "deque[_Step]") -> None:
        self.size = task.size
        self.queue = queue
        self.future = Future[Result]()
        self._task = task
        self._found: dict[int, Any] = {}
        self._counting = threading.Lock()

    def steps(self) -> "list[_Step]":
        """The subtasks, or the whole where there are none."""
        return [_Step(self, part) for part in range(len(self._task.subtasks))] or [_Step(self, None)]

    def do(self, part: int | None) -> None:
        """Does a part, and after the last of them the task itself; nothing more once a part has failed."""
        if self.future.done():
            return
        try:
            if part is None or self._is_last(part, self._task.subtasks[part]()):
                found, self._found = self._found, {}
                self.future.set_result(self._task.run(*(found[number] for number in sorted(found))))
        except BaseException as error:  # noqa: BLE001  raised again where the result is asked for
            self._fail(error)

    def _is_last(self, part: int, result: Any) -> bool:
        with self._counting:
            self._found[part] = result
            return len(self._found) == len(self._task.subtasks)

    def _fail(self, error: BaseException) -> None:
        with self._counting:
            if not self.future.done():
                self.future.set_exception(error)


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """A part of a task, by its number, or the whole of one that has none."""

    place: _PendingTask[Any]
    part: int | None
