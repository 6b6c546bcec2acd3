"""Prefect's task runners for the plates of a run: made from the option, filled, renewed, and ended in time.

On SIGTERM Prefect's runners for threads and processes wait until all plates are converted. A crew therefore stops the
plates itself before it leaves the runner.
"""

import multiprocessing
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, ClassVar, Self

from prefect.context import SettingsContext, get_settings_context
from prefect.futures import PrefectWrappedFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from cytobatch.batch.flows import worker_side
from cytobatch.batch.plate_events import EventListener
from cytobatch.batch.plate_work import Placement, running_plates, stop_plates

PlateTask = Task[[str, str], str]
PlateFuture = PrefectWrappedFuture[Any, Any]
AnyTaskRunner = TaskRunner[Any]

STOP_SECONDS = 5.0
"""How long plates may take to clean up when they are stopped. With what follows, a run ends within 10 s."""
_POLL_SECONDS = 0.05


class SettingsByValue(SettingsContext):
    """Prefect's settings, which travel to a process of this machine with its task as they are.

    Prefect's own way, which serves other systems too, writes them as text and reads all settings again for each task:
    40 ms in this process and 20 in the other, a third of what a small plate takes.
    """

    @classmethod
    def of_now(cls) -> Self:
        """Return the settings of this context."""
        now = get_settings_context()
        return cls(profile=now.profile, settings=now.settings)

    def serialize(self, include_secrets: bool = True) -> dict[str, Any]:
        """Return what the other process makes its settings of; as text if they are to be without secrets."""
        if not include_secrets:
            return super().serialize(include_secrets)
        return {"profile": self.profile, "settings": self.settings}


class Crew(ABC):
    """The workers of one run, behind one of Prefect's task runners. A context manager.

    Attributes
    ----------
    at_once
        How many workers the run starts.
    breaks
        Whether one worker that dies takes the plates of all others with it, and the workers must be renewed.
    on_this_machine
        Whether the workers are on this machine.
    futures
        The plates that are submitted and whose results are not taken.
    """

    placement: ClassVar[Placement]
    breaks: ClassVar[bool] = True
    on_this_machine: ClassVar[bool] = True
    _runner: AnyTaskRunner

    def __init__(self, run: str, at_once: int, on_event: EventListener) -> None:
        self.run, self.at_once, self.on_event = run, at_once, on_event
        self.futures = set[PlateFuture]()
        self._others = set(multiprocessing.active_children())

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill_children()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.end()
        else:
            self.stop()

    @property
    @abstractmethod
    def label(self) -> str:
        """What starts, for people."""

    @abstractmethod
    def start(self) -> None:
        """Start the workers, and enter Prefect's task runner."""

    @property
    def most_submitted(self) -> int:
        """How many plates may be submitted at once. No more than the workers can begin, so that few are lost."""
        return self.at_once

    def submit(self, task: PlateTask, plate: str, work: str) -> PlateFuture:
        """Submit a plate."""
        with SettingsByValue.of_now() if self.on_this_machine else nullcontext():
            future: PlateFuture = self._runner.submit(task, {"plate": plate, "work": work})
        self.futures.add(future)
        return future

    def end(self) -> None:
        """End the workers when all plates have ended."""
        self._runner.__exit__(None, None, None)

    @abstractmethod
    def stop(self) -> None:
        """Stop plates that are being converted, and end the workers. Returns after about `STOP_SECONDS`."""

    def renew(self) -> None:
        """Replace workers of which one has died."""
        self.end()
        self.start()

    def lost(self) -> str:
        """Return why no worker is left that could convert a plate; empty if one is there, or will be."""
        return ""

    def is_lost(self, error: BaseException) -> bool:
        """Decide whether an error of a future means that its worker has died."""
        return isinstance(error, BrokenProcessPool)

    def children(self) -> list[BaseProcess]:
        """Return the processes that this crew has started."""
        return [child for child in multiprocessing.active_children() if child not in self._others]

    def kill_children(self) -> None:
        """Kill the processes that this crew has started."""
        for child in self.children():
            child.kill()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds, and return whether it does."""
    end = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    return holds


def stopped(stop: Callable[[], object], condition: Callable[[], bool]) -> bool:
    """Stop plates and wait until they have stopped; return whether they have.

    They are stopped again after half of the time, because Python drops an exception that is raised in a `__del__`.
    """
    for _ in range(2):
        stop()
        if wait_until(condition, STOP_SECONDS / 2):
            return True
    return False


class Threads(Crew):
    """Threads of this process."""

    placement = Placement.THREAD

    @property
    def label(self) -> str:
        """What starts, for people."""
        return f"{self.at_once} threads"

    def start(self) -> None:
        """Start the workers."""
        worker_side.listen(self.run, self.on_event)
        self._runner = ThreadPoolTaskRunner[Any](max_workers=self.at_once)
        self._runner.__enter__()

    def stop(self) -> None:
        """Stop the threads. One that waits in a library is left behind, and ends with the process."""
        if stopped(lambda: stop_plates(self.run), lambda: not running_plates(self.run)):
            self.end()


class Processes(Crew):
    """Processes of this machine, each with an interpreter of its own."""

    placement = Placement.PROCESS

    @property
    def label(self) -> str:
        """What starts, for people."""
        return f"{self.at_once} processes"

    def start(self) -> None:
        """Start the workers."""
        self._events: Any = multiprocessing.get_context("spawn").Queue()
        self._forwarder = threading.Thread(target=self._forward, args=(self._events,), daemon=True)
        self._forwarder.start()
        self._runner = ProcessPoolTaskRunner(
            max_workers=self.at_once, initializer=worker_side.start_process, initargs=(self.run, self._events)
        )
        self._runner.__enter__()

    def _forward(self, events: Any) -> None:
        while (event := events.get()) is not None:
            self.on_event(event)

    def end(self) -> None:
        """End the workers when all plates have ended."""
        super().end()
        self._events.put(None)
        self._forwarder.join(STOP_SECONDS)
        self._events.close()

    def stop(self) -> None:
        """Stop the processes: SIGTERM lets a plate remove its files, SIGKILL ends what is left."""

        def terminate() -> None:
            for child in self.children():
                child.terminate()

        stopped(terminate, lambda: all(future.wrapped_future.done() for future in self.futures))
        self.kill_children()
        self.end()
