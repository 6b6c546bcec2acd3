"""Plates looked at before they are submitted: what each needs, which are done already, and which look unsound."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cytobatch.batch.aws.sizing import PlateNeed, Size, need_of
from cytobatch.config.options import PlateJob
from cytobatch.config.uris import is_remote
from cytobatch.errors import InputDataError, JobSpecError
from cytobatch.pipeline.plate import plan_plate
from cytobatch.pipeline.skip_done import find_done
from cytobatch.storage.access import Clients
from cytobatch.storage.destination import Destination

_THREADS = 16
_SMALLEST = Size(1, 4096)


@dataclass(frozen=True, slots=True)
class Inspected:
    """One plate: what it needs, whether it is done already, or what is wrong with its source."""

    job: PlateJob
    need: PlateNeed
    done: bool = False
    unsound: InputDataError | None = None


def check_local(jobs: Iterable[PlateJob]) -> None:
    """Raises JobSpecError for a plate that no other machine can read or write."""
    for job in jobs:
        named = [("source", job.source), ("destination", job.destination)]
        named += [(name, uri) for name, uri in (("platemap", job.platemap), ("load_data", job.load_data)) if uri]
        for name, uri in named:
            if not is_remote(uri):
                raise JobSpecError(
                    f"{name} is on this machine",
                    where=job.label,
                    why=f"{uri} is no URI of an object store",
                    remedy="copy it to a bucket, or convert it here with `cytobatch run`",
                )


def inspect(jobs: Sequence[PlateJob], heard: Callable[[Inspected], None] = lambda _: None) -> list[Inspected]:
    """Plates in the same order, each planned from one listing of its source; `heard` is told of each as it is known.

    Raises StorageError where a store cannot be read; a source that is not what it should be is that plate's alone.
    """

    def told(job: PlateJob) -> Inspected:
        found = _inspected(job, Path(cache), clients)
        heard(found)
        return found

    clients = Clients()
    with tempfile.TemporaryDirectory(prefix="cytobatch-") as cache, ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(told, jobs))


def _inspected(job: PlateJob, cache: Path, clients: Clients) -> Inspected:
    try:
        _, plan = plan_plate(job, cache, clients)
    except InputDataError as error:
        return Inspected(job, PlateNeed(job, 0, _SMALLEST, 0), unsound=error)
    done = job.skip_done and find_done(plan, Destination(job, clients)) is not None
    return Inspected(job, need_of(job, plan), done)
