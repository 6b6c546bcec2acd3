"""Inspect plates before their submission: the needs of each, those that are done, and those that look invalid."""

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
    """One plate: its needs, whether it is done already, and the error of its source if that looks invalid."""

    job: PlateJob
    need: PlateNeed
    done: bool = False
    error: InputDataError | None = None


def check_local(jobs: Iterable[PlateJob]) -> None:
    """Raise JobSpecError for a plate that other machines can not read or write."""
    for job in jobs:
        named = [("source", job.source), ("destination", job.destination)]
        named += [(name, uri) for name, uri in (("platemap", job.platemap), ("load_data", job.load_data)) if uri]
        for name, uri in named:
            if not is_remote(uri):
                raise JobSpecError(
                    f"{name} is on this machine",
                    where=job.label,
                    why=f"{uri} is not a URI of an object store",
                    remedy="copy it to a bucket, or convert it here with `cytobatch run`",
                )


def inspect(jobs: Sequence[PlateJob], on_inspected: Callable[[Inspected], None] = lambda _: None) -> list[Inspected]:
    """Plan each plate from one listing of its source, and return the plates in the same order.

    Calls `on_inspected` after each plate. An invalid source is an error of its plate alone. Raises StorageError if a
    store cannot be read.
    """

    def inspect_one(job: PlateJob) -> Inspected:
        plate = _inspected(job, Path(cache), clients)
        on_inspected(plate)
        return plate

    clients = Clients()
    with tempfile.TemporaryDirectory(prefix="cytobatch-") as cache, ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(inspect_one, jobs))


def _inspected(job: PlateJob, cache: Path, clients: Clients) -> Inspected:
    try:
        _, plan = plan_plate(job, cache, clients)
    except InputDataError as error:
        return Inspected(job, PlateNeed(job, 0, _SMALLEST, 0), error=error)
    done = job.skip_done and find_done(plan, Destination(job, clients)) is not None
    return Inspected(job, need_of(job, plan), done)
