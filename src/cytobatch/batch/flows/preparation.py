"""Prepare plates for a task runner: shares of the limits, folders of the run, and what is refused before it starts.

Prefect is not needed for it, and not imported.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cytobatch.config.option_types import CacheMode, Split
from cytobatch.config.options import LEAST_MEMORY, PlateJob
from cytobatch.config.task_runner import RunnerKind, TaskRunner
from cytobatch.config.uris import is_remote
from cytobatch.engine.resources import machine_limits, resource_limits
from cytobatch.errors import ConfigurationError
from cytobatch.storage.access import storage_errors
from cytobatch.storage.temporary_folder import temporary_folder

_PATHS = ("source", "destination", "platemap", "load_data")
_FOLDERS = ("cache_dir", "scratch_dir")
_SECRETS = "SSECustomerKey"


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """The plates of a run as they travel.

    Attributes
    ----------
    jobs
        The plates, in their order.
    at_once
        How many of them are converted at once on this machine.
    folder
        A folder of the run on this machine.
    """

    jobs: Sequence[PlateJob]
    at_once: int
    folder: Path


@contextmanager
def prepared_run(runner: TaskRunner, jobs: Sequence[PlateJob]) -> Iterator[PreparedRun]:
    """Prepare the plates of a run, and remove all of its folders at the end."""
    at_once = plates_at_once(runner, jobs)
    with _run_folders(jobs if runner.is_on_this_machine else ()) as folders:
        if runner.is_on_this_machine:
            jobs = [with_share(_with_folders(job, folders), at_once) for job in jobs]
        else:
            jobs = [with_absolute_paths(job) for job in jobs]
        yield PreparedRun(jobs, at_once, next(iter(folders.values()), Path()))


def check_task_runner(runner: TaskRunner, jobs: Sequence[PlateJob], *, server_is_given: bool) -> None:
    """Check whether plates can be converted by a task runner, before anything starts.

    Raises ConfigurationError if Dask is not installed, if plates at once have too little memory, if secrets would
    travel in clear, or if a scheduler elsewhere or a block has no Prefect server: the one that a run starts for itself
    listens on this machine only, and has no blocks.
    """
    if runner.is_elsewhere and not server_is_given:
        raise ConfigurationError(
            "a Dask scheduler elsewhere needs a Prefect server",
            where=f"task_runner {runner}",
            why="PREFECT_API_URL is not set, and workers cannot reach the server that a run starts for itself",
            remedy="start `prefect server start --host 0.0.0.0`, and set PREFECT_API_URL to it",
        )
    check_blocks([block for job in jobs for block in job.blocks], server_is_given=server_is_given)
    if runner.kind is RunnerKind.DASK and find_spec("prefect_dask") is None:
        raise ConfigurationError(
            "support for Dask is not installed",
            where=f"task_runner {runner}",
            why="there is no module prefect_dask",
            remedy="install cytobatch[dask]",
        )
    if runner.is_on_this_machine:
        for job in jobs:
            with_share(job, plates_at_once(runner, jobs))
    if not runner.is_private and any(_SECRETS in job.extra_args for job in jobs):
        raise ConfigurationError(
            f"{_SECRETS} would travel in clear",
            where=f"task_runner {runner}",
            why="it is among extra_args, and the connection to the scheduler has no TLS",
            remedy="use a scheduler at tls://, or convert these plates on one machine",
        )


def check_blocks(blocks: Sequence[str], *, server_is_given: bool) -> None:
    """Raises ConfigurationError if blocks are needed without a server that keeps them."""
    if blocks and not server_is_given:
        raise ConfigurationError(
            "a Prefect block needs a Prefect server",
            where=blocks[0],
            why="PREFECT_API_URL is not set, and the server that a run starts for itself has no blocks",
            remedy="set PREFECT_API_URL to the server that has the block, or name an AWS profile",
        )


def plates_at_once(runner: TaskRunner, jobs: Sequence[PlateJob]) -> int:
    """Return how many plates a runner on this machine converts at once; no more than there are.

    Parts of one plate count as plates on a Dask cluster.
    """
    count = runner.count or machine_limits().workers
    if runner.kind is RunnerKind.DASK and any(job.split is Split.ALWAYS for job in jobs):
        return max(1, count)
    return max(1, min(count, len(jobs)))


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
                folders[parent] = stack.enter_context(temporary_folder("cytobatch-", parent))
        yield folders


def _with_folders(job: PlateJob, folders: Mapping[Path | None, Path]) -> PlateJob:
    """Return the job with the run's folders."""
    update = {"scratch_dir": folders[job.scratch_dir]}
    if job.cache_dir and job.cache_mode is CacheMode.TMP_DIR:
        update["cache_dir"] = folders[job.cache_dir]
    return job.model_copy(update=update)


def with_share(job: PlateJob, at_once: int) -> PlateJob:
    """Return the job with its part of the limits. Raises ConfigurationError if that is less memory than a run takes."""
    part = resource_limits(job).shared(at_once)
    if part.memory < LEAST_MEMORY:
        raise ConfigurationError(
            f"{at_once} plates at once have too little memory",
            where=f"plate {job.label}",
            why=f"each has {part.memory // 2**20} MiB, and a plate takes {LEAST_MEMORY // 2**20} MiB at least",
            remedy="convert fewer plates at once, or allow more memory",
        )
    return job.model_copy(update={"workers": part.workers, "memory": part.memory})


def with_absolute_paths(job: PlateJob) -> PlateJob:
    """Return the job with absolute local paths, because a worker elsewhere has another working directory."""
    texts = {name: getattr(job, name) for name in _PATHS}
    folders = {name: getattr(job, name) for name in _FOLDERS}
    return job.model_copy(
        update={name: str(Path(text).absolute()) for name, text in texts.items() if text and not is_remote(text)}
        | {name: folder.absolute() for name, folder in folders.items() if folder}
    )
