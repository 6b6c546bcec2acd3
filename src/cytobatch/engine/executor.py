"""An executor of a fixed number of threads, the caller's thread among them.

A task, with its subtasks if it has any, is split into steps: one for each subtask, or one for the whole. Steps wait in
one of two queues. The thread that takes a step from its queue runs it.

```mermaid
stateDiagram-v2
    [*] --> Queued: submitted, its steps are put into a queue
    Queued --> Running: a thread takes a step
    Queued --> Withdrawn: the caller has closed map_ordered
    Running --> Running: a subtask has returned, others are left
    Running --> Finished: run(*results) has returned
    Running --> Failed: a subtask or run has raised
    Running --> Withdrawn: the caller has closed map_ordered
    Finished --> [*]: its result is returned
    Failed --> [*]: its error is raised where the result would be returned
    Withdrawn --> [*]: steps that were taken still end
```

A thread that waits for a result first runs the steps of that task that no thread has taken, and then steps of other
tasks until the result is there. The urgent queue holds what tasks submit from within, and goes first. Inside a task, a
waiting thread takes steps from the urgent queue only, because another whole task would delay its own. A task waits only
for tasks that it has submitted, so that no two tasks wait for each other.
"""

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
    """A piece of work.

    Attributes
    ----------
    run
        Called with the results of the subtasks, in the thread that has run the last of them.
    size
        About how many bytes the result takes.
    subtasks
        Run before `run`, each in any thread.
    """

    run: Callable[..., Result]
    size: int
    subtasks: tuple[Callable[[], Any], ...] = ()


class Executor:
    """Runs tasks before their results are used. A context manager.

    The caller's thread is one of `count` threads. With `count` 1 there is no other thread, and every task runs when its
    result is asked for.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._queue, self._urgent = deque[_Step](), deque[_Step]()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.local()
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

    def map_ordered(self, tasks: Iterable[Task[Result]], ahead_bytes: int) -> Iterator[Result]:
        """Yield the results in the order of the tasks.

        Results that wait to be used, or are being made, take about `ahead_bytes`. An error of a task is raised where
        its result would be yielded.
        """
        pending, unread = deque[_PendingTask[Result]](), iter(tasks)
        pending_bytes, has_more = 0, True
        try:
            while pending or has_more:
                while has_more and (pending_bytes < ahead_bytes or not pending):
                    task = next(unread, None)
                    has_more = task is not None
                    if task is not None:
                        pending.append(self._submit(task, self._urgent if self._in_task else self._queue))
                        pending_bytes += task.size
                if pending:
                    size = pending[0].size
                    # No name holds the task: its result must not live longer than the caller's use of it.
                    yield self._wait_for(pending.popleft())
                    pending_bytes -= size
        finally:
            for task_left in pending:
                self._withdraw(task_left)

    def submit_next(self, run: Callable[[], Result]) -> Callable[[], Result]:
        """Submit a small piece of work that goes before all that waits.

        Returns a function that waits for the result and returns it, or raises the error.
        """
        return partial(self._wait_for, self._submit(Task(run, 0), self._urgent))

    @property
    def _in_task(self) -> bool:
        """Whether this thread is running a task, so that what it submits belongs to that task."""
        return getattr(self._thread, "depth", 0) > 0

    def _submit(self, task: Task[Result], queue: "deque[_Step]") -> "_PendingTask[Result]":
        pending = _PendingTask(task, queue)
        with self._changed:
            queue.extend(pending.steps())
            # All threads, because a single one may be inside a task, and wait for what that has submitted.
            self._changed.notify_all()
        return pending

    def _take_step_of(self, pending: "_PendingTask[Any]") -> "_Step | None":
        """Take from the queue the next step of a task, or return None if threads have taken all of them."""
        with self._changed:
            step = next((step for step in pending.queue if step.pending is pending), None)
            if step is not None:
                pending.queue.remove(step)
        return step

    def _withdraw(self, pending: "_PendingTask[Any]") -> None:
        """Remove from the queue the steps of a task that no thread has taken."""
        while self._take_step_of(pending) is not None:
            pass

    def _wait_for(self, pending: "_PendingTask[Result]") -> Result:
        """Return a task's result. This thread runs its steps, and others while the result is not there."""
        while (own := self._take_step_of(pending)) is not None:
            self._run(own)
        queues = (self._urgent,) if self._in_task else (self._urgent, self._queue)
        while (other := self._take_step(queues, pending.future.done)) is not None:
            self._run(other)
        return pending.future.result()

    def _work(self) -> None:
        while (step := self._take_step((self._urgent, self._queue), lambda: self._closed)) is not None:
            self._run(step)
            # While it waits for the next step, a thread holds no result.
            del step

    def _take_step(self, queues: "tuple[deque[_Step], ...]", is_over: Callable[[], bool]) -> "_Step | None":
        """Wait for a step in one of the queues and take it, or return None as soon as `is_over`."""
        with self._changed:
            while not is_over():
                for queue in queues:
                    if queue:
                        return queue.popleft()
                self._changed.wait()
        return None

    def _run(self, step: "_Step") -> None:
        self._thread.depth = getattr(self._thread, "depth", 0) + 1
        try:
            step.pending.run(step.subtask)
        finally:
            self._thread.depth -= 1
        with self._changed:
            self._changed.notify_all()


class _PendingTask(Generic[Result]):
    """A submitted task: the queue of its steps, the results of its subtasks, and its own result as a future."""

    def __init__(self, task: Task[Result], queue: "deque[_Step]") -> None:
        self.size = task.size
        self.queue = queue
        self.future = Future[Result]()
        self._task = task
        self._subtask_results: dict[int, Any] = {}
        self._lock = threading.Lock()

    def steps(self) -> "list[_Step]":
        """Return a step for each subtask, or one for the whole of a task without subtasks."""
        return [_Step(self, number) for number in range(len(self._task.subtasks))] or [_Step(self, None)]

    def run(self, subtask: int | None) -> None:
        """Run a subtask, and after the last of them the task itself. Do nothing once a subtask has failed."""
        if self.future.done():
            return
        try:
            if subtask is None or self._is_last(subtask, self._task.subtasks[subtask]()):
                results, self._subtask_results = self._subtask_results, {}
                self.future.set_result(self._task.run(*(results[number] for number in sorted(results))))
        except BaseException as error:  # noqa: BLE001  raised again where the result is asked for
            self._fail(error)

    def _is_last(self, subtask: int, result: Any) -> bool:
        with self._lock:
            self._subtask_results[subtask] = result
            return len(self._subtask_results) == len(self._task.subtasks)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if not self.future.done():
                self.future.set_exception(error)


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """A subtask of a task by its number, or the whole of a task without subtasks."""

    pending: _PendingTask[Any]
    subtask: int | None
