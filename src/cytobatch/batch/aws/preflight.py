"""Inspect plates before their submission: the needs of each, those that are done, and those that look invalid."""

import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cytobatch.batch.aws.sizing import PlateNeed, Size, need_of
from cytobatch.config.options import PlateJob
from cytobatch.config.uris import is_remote
from cytobatch.errors import ConfigurationError, InputDataError, JobSpecError
from cytobatch.pipeline.early_checks import check_plan
from cytobatch.pipeline.plate import plan_plate
from cytobatch.pipeline.skip_done import find_done
from cytobatch.storage.access import Access, Clients
from cytobatch.storage.annotation_files import read_table_text
from cytobatch.storage.destination import Destination
from cytobatch.storage.temporary_folder import temporary_folder
from cytobatch.survey.annotation_files import ReadText

_THREADS = 16
_SMALLEST = Size(1, 4096)
_TABLES_KEPT = 32
"""The plates of a batch share platemaps and the list of them. A LoadData file, of megabytes, is of one plate."""
PlateError = InputDataError | ConfigurationError


@dataclass(frozen=True, slots=True)
class Inspected:
    """One plate: its needs, whether it is done already, and the error if its source looks invalid or options do."""

    job: PlateJob
    need: PlateNeed
    done: bool = False
    error: PlateError | None = None


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

    What a run checks before it fetches a file is checked here: the user's SQL, the platemap and the LoadData file.
    Calls `on_inspected` after each plate. An invalid source, and options that do not fit it, are errors of their plate
    alone. Raises StorageError if a store cannot be read.
    """

    def inspect_one(job: PlateJob) -> Inspected:
        plate = _inspected(job, cache, stores)
        on_inspected(plate)
        return plate

    stores = _Stores()
    with temporary_folder("cytobatch-") as cache, ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(inspect_one, jobs))


class _Stores:
    """What the plates of one inspection share: clients of stores, and the tables that were read last."""

    def __init__(self) -> None:
        self.clients = Clients()
        self._readers: dict[str, ReadText] = {}

    def reader(self, access: Access) -> ReadText:
        """Return the function that reads platemaps and LoadData files with an access."""
        read = functools.lru_cache(_TABLES_KEPT)(lambda uri: read_table_text(uri, access, self.clients))
        # Values in an access may have no hash.
        return self._readers.setdefault(repr(access), read)


def _inspected(job: PlateJob, cache: Path, stores: _Stores) -> Inspected:
    try:
        _, plan = plan_plate(job, cache, stores.clients)
        check_plan(plan, stores.reader(Access.to_source(plan.job)))
    except (InputDataError, ConfigurationError) as error:
        return Inspected(job, PlateNeed(job, 0, _SMALLEST, 0), error=error)
    done = job.skip_done and find_done(plan, Destination(job, stores.clients)) is not None
    return Inspected(job, need_of(job, plan), done)


def pending_plates(plates: Sequence[Inspected], *, keep_going: bool) -> list[Inspected]:
    """Return the plates to submit: those that are not done. The invalid ones are among them if `keep_going`.

    Raises InputDataError, or ConfigurationError if the options of a plate are invalid, unless `keep_going`.
    """
    invalid = [plate for plate in plates if plate.error]
    if invalid and not keep_going:
        kind = (
            ConfigurationError if any(isinstance(one.error, ConfigurationError) for one in invalid) else InputDataError
        )
        raise kind(
            f"{len(invalid)} of {len(plates)} plates look invalid",
            where="submission",
            why=f"they are named above, {invalid[0].job.label} first; nothing was submitted",
            remedy="mend them, leave them out, or let them fail alone with keep_going",
        )
    return [plate for plate in plates if not plate.done]
