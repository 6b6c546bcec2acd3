"""Give the plates of a run to its workers, and take each result as it comes."""

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cytobatch.batch.flows.preparation import PreparedRun, prepared_run
from cytobatch.batch.flows.task_runners import Crew, PlateFuture, PlateTask, Processes, Threads
from cytobatch.batch.plate_events import EventListener, PlateNotice
from cytobatch.batch.plate_work import PlateWork, report_of, unexpected_error, worker_lost
from cytobatch.config.options import PlateJob
from cytobatch.config.task_runner import RunnerKind, TaskRunner
from cytobatch.errors import ConfigurationError, CytobatchError, WorkerVersionError
from cytobatch.report.model import RunReport

Outcome = RunReport | CytobatchError
OutcomeListener = Callable[[PlateJob, Outcome], None]

_MOST_LOSSES = 3
"""After so many lost workers a plate fails, as a task of Dask does (`distributed.scheduler.allowed-failures`)."""
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class RunListener:
    """What listens to a run.

    Attributes
    ----------
    on_event
        Called with what plates announce, in any thread.
    on_end
        Called in the run's thread with each plate's report or error, as soon as it has ended.
    """

    on_event: EventListener
    on_end: OutcomeListener


def convert_by(
    task: PlateTask, runner: TaskRunner, jobs: Sequence[PlateJob], listener: RunListener, *, recorded: bool
) -> None:
    """Convert plates by a task runner other than `sequential`.

    Parameters
    ----------
    task
        The task of one plate.
    runner
        The task runner.
    jobs
        The plates.
    listener
        What listens to it.
    recorded
        Whether each plate has a flow run of its own inside its task.

    Raises
    ------
    ConfigurationError
        If the plates cannot be converted this way, or a worker has another version of cytobatch.
    StorageError
        If the scheduler of a Dask cluster does not answer.
    """
    run = f"cytobatch-{uuid.uuid4().hex}"
    with prepared_run(runner, jobs) as prepared:
        pieces = deque(_Piece(job, own) for job, own in zip(jobs, prepared.jobs, strict=True))
        crew = _crew(runner, run, prepared, listener.on_event)
        listener.on_event(PlateNotice("task runner", f"starting {crew.label}"))
        with crew:
            _Dispatch(crew, task, pieces, listener.on_end, recorded).run()


def _crew(runner: TaskRunner, run: str, prepared: PreparedRun, on_event: EventListener) -> Crew:
    if runner.kind is RunnerKind.THREADS:
        return Threads(run, prepared.at_once, on_event)
    if runner.kind is RunnerKind.PROCESSES:
        return Processes(run, prepared.at_once, on_event)
    # Dask is an extra.
    from cytobatch.batch.flows.dask_cluster import ForeignDask, LocalDask

    if runner.address:
        return ForeignDask(run, runner.address, on_event)
    return LocalDask(run, prepared.at_once, on_event, prepared.folder)


@dataclass(slots=True)
class _Piece:
    """A plate on its way: the job as it was given, the one that travels, and how often its worker was lost."""

    job: PlateJob
    prepared: PlateJob
    losses: int = 0


@dataclass(slots=True)
class _Dispatch:
    """The plates of a run: those that wait, those that are with a worker, and those whose worker was lost.

    If a process of a pool dies, all of its plates are lost with it, and which of them killed it is not known. So each
    of them is converted again by itself, after all others.
    """

    crew: Crew
    task: PlateTask
    waiting: deque[_Piece]
    on_end: OutcomeListener
    recorded: bool
    suspects: deque[_Piece] = field(default_factory=deque)
    running: dict[PlateFuture, _Piece] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    """Set when a plate has ended."""

    def run(self) -> None:
        """Convert all plates."""
        while self.waiting or self.suspects or self.running:
            self._submit()
            self.ended.clear()
            ended = [future for future in self.running if future.wrapped_future.done()]
            if not ended:
                self.ended.wait(_POLL_SECONDS)
                self._check()
            is_broken = [self._take(future) for future in ended]
            if any(is_broken):
                self._renew()

    def _submit(self) -> None:
        while self.waiting and len(self.running) < self.crew.most_submitted:
            self._submit_one(self.waiting.popleft())
        if self.suspects and not self.running:
            self._submit_one(self.suspects.popleft())

    def _submit_one(self, piece: _Piece) -> None:
        work = PlateWork.of(piece.prepared, self.crew.run, self.crew.placement, recorded=self.recorded)
        future = self.crew.submit(self.task, piece.job.shown_label, work.model_dump_json())
        self.running[future] = piece
        future.wrapped_future.add_done_callback(lambda _: self.ended.set())

    def _take(self, future: PlateFuture) -> bool:
        """Take a plate's result, and return whether its worker was lost."""
        piece = self.running.pop(future)
        # Dask converts a plate again if its worker is lost while a future of it is kept.
        self.crew.futures.discard(future)
        try:
            result = future.result(raise_on_failure=False)
        except Exception as error:
            if not self.crew.is_lost(error):
                raise _unreadable_error(error, piece.job.label) from error
            self._lost(piece, error)
            return True
        if isinstance(result, WorkerVersionError):
            raise result
        self.on_end(piece.job, _outcome(result, piece.job.label))
        return False

    def _lost(self, piece: _Piece, error: Exception) -> None:
        piece.losses += 1
        if not self.crew.breaks or piece.losses >= _MOST_LOSSES:
            self.on_end(piece.job, worker_lost(piece.job.label, str(error) or type(error).__name__))
        else:
            self.suspects.append(piece)

    def _renew(self) -> None:
        """Replace the workers once all futures of the broken ones have ended."""
        if not self.crew.breaks:
            return
        while self.running:
            ended = [future for future in self.running if future.wrapped_future.done()]
            for future in ended:
                self._take(future)
            time.sleep(0 if ended else _POLL_SECONDS)
        self.crew.renew()

    def _check(self) -> None:
        if why := self.crew.lost():
            for piece in (*self.running.values(), *self.waiting):
                self.on_end(piece.job, worker_lost(piece.job.label, why))
            self.running.clear()
            self.waiting.clear()


def _outcome(result: object, plate: str) -> Outcome:
    if isinstance(result, str):
        return report_of(result)
    if isinstance(result, CytobatchError):
        return result
    return unexpected_error(result if isinstance(result, BaseException) else TypeError(repr(result)), plate)


def _unreadable_error(error: Exception, plate: str) -> CytobatchError:
    """Return the error of a worker that cannot read a plate's task: mostly it has no cytobatch, or another one."""
    if not isinstance(error, ImportError | AttributeError):
        return unexpected_error(error, plate)
    return ConfigurationError(
        "a worker cannot run cytobatch",
        where=plate,
        why=f"{type(error).__name__}: {error}",
        remedy="install the same version of cytobatch[dask] on all machines",
    )
