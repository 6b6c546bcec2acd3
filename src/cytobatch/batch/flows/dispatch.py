"""Give the plates of a run to its workers, and take each result as it comes."""

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from cytobatch.batch.flows.task_runners import Crew, PlateFuture, PlateTask, Processes, Threads
from cytobatch.batch.plate_work import PlateWork, StepListener, report_of, unexpected_error, worker_lost
from cytobatch.config.option_types import CacheMode
from cytobatch.config.options import PlateJob
from cytobatch.config.task_runner import RunnerKind, TaskRunner
from cytobatch.config.uris import is_remote
from cytobatch.engine.resources import machine_limits, resource_limits
from cytobatch.errors import ConfigurationError, CytobatchError
from cytobatch.report.model import RunReport
from cytobatch.storage.access import storage_errors

Outcome = RunReport | CytobatchError
OutcomeListener = Callable[[PlateJob, Outcome], None]

_LEAST_MEMORY = 64 * 2**20
_MOST_LOSSES = 3
"""After so many lost workers a plate fails, as a task of Dask does (`distributed.scheduler.allowed-failures`)."""
_MOST_SILENT_SECONDS = 30.0
"""After so long without a worker, all plates that are left fail. A worker that restarts is back sooner."""
_POLL_SECONDS = 0.05
_PATHS = ("source", "destination", "platemap", "load_data")
_FOLDERS = ("cache_dir", "scratch_dir")
_SECRETS = "SSECustomerKey"


def convert_by(
    task: PlateTask, runner: TaskRunner, jobs: Sequence[PlateJob], on_step: StepListener, on_end: OutcomeListener
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
    on_step
        Called with a plate and its step, in any thread.
    on_end
        Called in this thread with each plate's report or error, as soon as it has ended.

    Raises
    ------
    ConfigurationError
        If the plates cannot be converted this way, or a worker has another version of cytobatch.
    StorageError
        If the scheduler of a Dask cluster does not answer.
    """
    run = f"cytobatch-{uuid.uuid4().hex}"
    with ExitStack() as stack:
        at_once = plates_at_once(runner, len(jobs))
        if runner.is_on_this_machine:
            folders = stack.enter_context(_run_folders(jobs))
            prepared = [_with_share(_with_folders(job, folders), at_once) for job in jobs]
        else:
            folders = {}
            prepared = [_absolute(job) for job in jobs]
        crew = _crew(runner, run, at_once, on_step, folders)
        on_step("task runner", f"starting {crew.label}")
        with crew:
            _Dispatch(
                crew, task, deque(_Piece(job, own) for job, own in zip(jobs, prepared, strict=True)), on_end
            ).run()


def check_task_runner(runner: TaskRunner, jobs: Sequence[PlateJob], *, server_is_given: bool) -> None:
    """Raises ConfigurationError for a scheduler elsewhere without a Prefect server, or that would get secrets in clear.

    The server that a run starts for itself listens on this machine only.
    """
    if runner.is_elsewhere and not server_is_given:
        raise ConfigurationError(
            "a Dask scheduler elsewhere needs a Prefect server",
            where=f"task_runner {runner}",
            why="PREFECT_API_URL is not set, and workers cannot reach the server that a run starts for itself",
            remedy="start `prefect server start --host 0.0.0.0`, and set PREFECT_API_URL to it",
        )
    if not runner.is_private and any(_SECRETS in job.extra_args for job in jobs):
        raise ConfigurationError(
            f"{_SECRETS} would travel in clear",
            where=f"task_runner {runner}",
            why="it is among extra_args, and the connection to the scheduler has no TLS",
            remedy="use a scheduler at tls://, or convert these plates on one machine",
        )


def plates_at_once(runner: TaskRunner, plates: int) -> int:
    """Return how many plates a runner on this machine converts at once; no more than there are."""
    return max(1, min(runner.count or machine_limits().workers, plates))


def _crew(
    runner: TaskRunner, run: str, at_once: int, on_step: StepListener, folders: Mapping[Path | None, Path]
) -> Crew:
    if runner.kind is RunnerKind.THREADS:
        return Threads(run, at_once, on_step)
    if runner.kind is RunnerKind.PROCESSES:
        return Processes(run, at_once, on_step)
    try:
        from cytobatch.batch.flows.dask_cluster import ForeignDask, LocalDask
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "support for Dask is not installed",
            where=f"task_runner {runner}",
            why=str(error),
            remedy="install cytobatch[dask]",
        ) from error
    if runner.address:
        return ForeignDask(run, runner.address, on_step)
    return LocalDask(run, at_once, on_step, next(iter(folders.values())))


@contextmanager
def _run_folders(jobs: Sequence[PlateJob]) -> Iterator[Mapping[Path | None, Path]]:
    """Make a folder of the run in each scratch and cache folder, None being the system's, and remove it at the end.

    Plates make their folders in these, so that files of a plate whose process was killed are removed too.
    """
    parents = dict.fromkeys([job.scratch_dir for job in jobs])
    parents |= dict.fromkeys([job.cache_dir for job in jobs if job.cache_dir and job.cache_mode is CacheMode.TMP_DIR])
    with ExitStack() as stack:
        folders: dict[Path | None, Path] = {}
        for parent in parents:
            with storage_errors(f"scratch folder {parent or 'of the system'}"):
                if parent:
                    parent.mkdir(parents=True, exist_ok=True)
                folder = TemporaryDirectory(prefix="cytobatch-", dir=parent, ignore_cleanup_errors=True)
                folders[parent] = Path(stack.enter_context(folder)).absolute()
        yield folders


def _with_folders(job: PlateJob, folders: Mapping[Path | None, Path]) -> PlateJob:
    """Return the job with the run's folders."""
    update = {"scratch_dir": folders[job.scratch_dir]}
    if job.cache_dir and job.cache_mode is CacheMode.TMP_DIR:
        update["cache_dir"] = folders[job.cache_dir]
    return job.model_copy(update=update)


def _with_share(job: PlateJob, at_once: int) -> PlateJob:
    """Return the job with its part of the limits. Raises ConfigurationError if that is less memory than a run takes."""
    part = resource_limits(job).shared(at_once)
    if part.memory < _LEAST_MEMORY:
        raise ConfigurationError(
            f"{at_once} plates at once have too little memory",
            where=f"plate {job.label}",
            why=f"each has {part.memory // 2**20} MiB, and a plate takes {_LEAST_MEMORY // 2**20} MiB at least",
            remedy="convert fewer plates at once, or allow more memory",
        )
    return job.model_copy(update={"workers": part.workers, "memory": part.memory})


def _absolute(job: PlateJob) -> PlateJob:
    """Return the job with absolute local paths, because a worker elsewhere has another working directory."""
    texts = {name: getattr(job, name) for name in _PATHS}
    folders = {name: getattr(job, name) for name in _FOLDERS}
    return job.model_copy(
        update={name: str(Path(text).absolute()) for name, text in texts.items() if text and not is_remote(text)}
        | {name: folder.absolute() for name, folder in folders.items() if folder}
    )


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
    suspects: deque[_Piece] = field(default_factory=deque)
    running: dict[PlateFuture, _Piece] = field(default_factory=dict)

    def run(self) -> None:
        """Convert all plates."""
        while self.waiting or self.suspects or self.running:
            self._submit()
            ended = [future for future in self.running if future.wrapped_future.done()]
            if not ended:
                time.sleep(_POLL_SECONDS)
                self._check()
            is_broken = [self._take(future) for future in ended]
            if any(is_broken):
                self._renew()

    def _submit(self) -> None:
        most = self.crew.at_once
        while self.waiting and (most is None or len(self.running) < most):
            self._submit_one(self.waiting.popleft())
        if self.suspects and not self.running:
            self._submit_one(self.suspects.popleft())

    def _submit_one(self, piece: _Piece) -> None:
        work = PlateWork.of(piece.prepared, self.crew.run, self.crew.placement).model_dump_json()
        self.running[self.crew.submit(self.task, piece.job.label, work)] = piece

    def _take(self, future: PlateFuture) -> bool:
        """Take a plate's result, and return whether its worker was lost."""
        piece = self.running.pop(future)
        try:
            result = future.result(raise_on_failure=False)
        except Exception as error:
            if not self.crew.is_lost(error):
                raise _foreign_error(error, piece.job.label) from error
            self._lost(piece, error)
            return True
        if isinstance(result, ConfigurationError) and "version" in result.what:
            raise result
        self.on_end(piece.job, _outcome(result, piece.job.label))
        return False

    def _lost(self, piece: _Piece, error: Exception) -> None:
        piece.losses += 1
        if self.crew.at_once is None or piece.losses >= _MOST_LOSSES:
            self.on_end(piece.job, worker_lost(piece.job.label, str(error) or type(error).__name__))
        else:
            self.suspects.append(piece)

    def _renew(self) -> None:
        """Replace the workers once all futures of the broken ones have ended."""
        if self.crew.at_once is None:
            return
        while self.running:
            ended = [future for future in self.running if future.wrapped_future.done()]
            for future in ended:
                self._take(future)
            time.sleep(0 if ended else _POLL_SECONDS)
        self.crew.renew()

    def _check(self) -> None:
        if self.crew.silent_seconds() < _MOST_SILENT_SECONDS:
            return
        why = f"{self.crew.label} has had no worker for {_MOST_SILENT_SECONDS:.0f} s"
        for piece in self.running.values():
            self.on_end(piece.job, worker_lost(piece.job.label, why))
        self.running.clear()


def _outcome(result: object, plate: str) -> Outcome:
    if isinstance(result, str):
        return report_of(result)
    if isinstance(result, CytobatchError):
        return result
    return unexpected_error(result if isinstance(result, BaseException) else TypeError(repr(result)), plate)


def _foreign_error(error: Exception, plate: str) -> CytobatchError:
    """Return the error of a worker that cannot read a plate's task, because it has no cytobatch, or another one."""
    return ConfigurationError(
        "a worker cannot run cytobatch",
        where=plate,
        why=f"{type(error).__name__}: {error}",
        remedy="install the same version of cytobatch[dask] on all machines",
    )
