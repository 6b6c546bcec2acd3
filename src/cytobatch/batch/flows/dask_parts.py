"""One large plate on the workers of a Dask cluster: its task surveys it, gives parts to all workers, and publishes it.

The task leaves its worker's pool of threads meanwhile, so that the worker converts parts, too. A part is a task of
Dask, which goes to another worker if its own is lost. Through Dask travel the numbers of parts, and what a part adds
to the ledger. The survey of the plate and the parts' rows go through the destination's storage.
"""

import hashlib
import pickle
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from distributed import CancelledError, KilledWorker, get_client, secede

from cytobatch.batch.flows.credentials import provide_blocks
from cytobatch.batch.flows.dask_worker import listener, name, within, within_limits
from cytobatch.batch.plate_events import EventListener, PlateNotice
from cytobatch.batch.plate_work import (
    Placement,
    PlateWork,
    errors_that_travel,
    running_plates,
    stop_plates,
    stoppable,
    worker_lost,
)
from cytobatch.config.options import PlateJob
from cytobatch.conversion.ledger import LedgerPart
from cytobatch.conversion.parts import ConvertedPart, PartsConverter, PlateInParts
from cytobatch.errors import AccessError, SourceChangedError, StorageError, WorkerVersionError
from cytobatch.pipeline.part import convert_plate_part, without_transfer_arguments
from cytobatch.pipeline.split import Splitter, is_split_wanted, one_machine_notice, why_not_split
from cytobatch.storage.credentials import credentials_are_provided
from cytobatch.storage.part_folder import PartFolder
from cytobatch.survey.model import Survey

_PRIORITY = 10
"""Parts go before plates that wait, because a plate that has begun holds what it has surveyed."""
_MOST_ATTEMPTS = 3
_POLL_SECONDS = 0.05
_STOP_SECONDS = 2.0
_PLATE = "plate.pickle"
_LOST = (KilledWorker, CancelledError, TimeoutError, OSError)
"""What a future raises whose worker has died too often."""


@dataclass(frozen=True, slots=True)
class PartOrder:
    """A part to convert, as it travels.

    Attributes
    ----------
    work
        The `PlateWork` of the plate, as JSON.
    pyarrow
        The version of pyarrow where the plate is published: it decides bytes.
    sha256
        The checksum of the pickled `PlateInParts` in the folder of parts. Nothing else is unpickled.
    number
        The number of the part, from 0.
    name
        Its name in the folder of parts.
    token
        The id by which the plate's parts are stopped.
    """

    work: str
    pyarrow: str
    sha256: str
    number: int
    name: str
    token: str


def convert_part_on_worker(order: PartOrder) -> LedgerPart:
    """Convert a part, put it into the folder of parts, and return what it adds to the ledger.

    Raises WorkerVersionError if this process has another version of cytobatch or pyarrow, FractionError, and the errors
    of a conversion; any other exception becomes an InternalError.
    """
    work = PlateWork.parse(order.work)
    check_pyarrow(order.pyarrow)
    if not credentials_are_provided():
        provide_blocks()
    job = work.plate_job()
    own = within_limits(job) if work.placement is Placement.FOREIGN_DASK else job
    listener(work.run)(PlateNotice(job.label, f"part {order.number + 1} starts on {name()}"))
    guard = errors_that_travel(job.label, "a part was stopped", "its plate or run has ended")
    with guard, stoppable(order.token):
        folder = PartFolder(own, work.run)
        plate = read_plate(folder.read(_PLATE), order.sha256, job.label)
        return convert_plate_part(plate, order.number, own, folder, order.name)


def check_pyarrow(version: str) -> None:
    """Raise WorkerVersionError if this process has another version of pyarrow than the one that publishes a plate."""
    if pa.__version__ != version:
        raise WorkerVersionError(
            "a worker has another version of pyarrow",
            where=f"worker on {socket.gethostname()}",
            why=f"the worker has {pa.__version__}, and the one that publishes the plate {version}",
            remedy="install the same version on all machines, or set CYTOBATCH_SPLIT=never",
        )


def read_plate(content: bytes, sha256: str, label: str) -> PlateInParts:
    """Return a plate from its pickle. Raises StorageError, and unpickles nothing, if it has another checksum."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise StorageError(
            "the survey of a plate has changed on its way",
            where=label,
            why="the file in the folder of parts is not the one that was written",
            remedy="let nothing else write into the destination during a run",
        )
    plate: PlateInParts = pickle.loads(content)
    return plate


def dask_splitter(work: PlateWork, job: PlateJob, on_event: EventListener) -> Splitter:
    """Return the splitter of a plate whose task runs in this thread of a worker."""

    @contextmanager
    def split(survey: Survey, scratch: Path) -> Iterator[PartsConverter | None]:
        if not is_split_wanted(survey, on_large_plates=work.placement is Placement.FOREIGN_DASK):
            yield None
            return
        folder = PartFolder(job, work.run)
        if reason := why_not_split(survey) or folder.fault(scratch):
            on_event(PlateNotice(job.label, one_machine_notice(reason)))
            yield None
            return
        # A plate that begins again on another worker has the same token, and the same names of parts.
        token = f"{work.run}/{hashlib.sha256(job.destination.encode()).hexdigest()}"
        with folder.used(), _Parts(work, folder, scratch, on_event, job.label, token) as parts:
            yield parts.convert

    return split


@dataclass(slots=True)
class _Part:
    """A part on its way: its order, its future as long as its result is not taken, and how often it was begun."""

    order: PartOrder
    future: Any
    attempts: int = 1
    ledger: LedgerPart | None = None


@dataclass(slots=True)
class _Parts:
    """The parts of one plate on the cluster of this worker. A context manager, which leaves nothing of them.

    The parts of a plate are converted in a second round if one of them finds a fraction.
    """

    work: PlateWork
    folder: PartFolder
    scratch: Path
    on_event: EventListener
    label: str
    token: str
    rounds: int = 0
    parts: list[_Part] = field(default_factory=list)
    client: Any = None

    def __enter__(self) -> Self:
        self.client = get_client()
        # A plate that is tried again has left the pool of threads before.
        leave_pool: Any = secede
        with suppress(KeyError):
            leave_pool()
        # Parts that the plate has left on other workers, where its own worker was lost.
        within(_STOP_SECONDS, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An error of the plate says more than one of what is left of it.
        with suppress(StorageError) if error is not None else nullcontext():
            self._end_round()
            if error is None:
                self.folder.remove_dead()
            self.folder.close()

    def convert(self, plate: PlateInParts) -> Iterator[ConvertedPart]:
        """Convert all parts and yield them in order. Raises the error of a part as soon as it has failed."""
        self._end_round()
        began, spliced = time.monotonic(), 0.0
        self._begin_round(plate)
        for part in self.parts:
            ledger = self._ledger_of(part)
            path = self.folder.fetch(part.order.name, self.scratch)
            fetched = time.monotonic()
            yield ConvertedPart(path, ledger)
            spliced += time.monotonic() - fetched
            path.unlink()
        seconds = time.monotonic() - began
        self._say(f"{plate.count} parts took {seconds:.1f} s, of which {spliced:.1f} s to put them together")

    def _say(self, text: str) -> None:
        self.on_event(PlateNotice(self.label, text))

    def _begin_round(self, plate: PlateInParts) -> None:
        content = pickle.dumps(without_transfer_arguments(plate))
        local = self.scratch / _PLATE
        local.write_bytes(content)
        self.folder.put(_PLATE, local)
        self.rounds += 1
        text, sha256 = self.work.model_dump_json(), hashlib.sha256(content).hexdigest()
        self._say(f"is converted in {plate.count} parts")
        for number in range(plate.count):
            # No suffix of Parquet, so that no reader of a folder tree takes parts for profiles.
            file = f"{self.rounds}-{number:04}.part"
            order = PartOrder(text, pa.__version__, sha256, number, file, self.token)
            self.parts.append(_Part(order, self._submitted(order)))

    def _submitted(self, order: PartOrder) -> Any:
        return self.client.submit(convert_part_on_worker, order, pure=False, priority=_PRIORITY)

    def _ledger_of(self, part: _Part) -> LedgerPart:
        """Wait for a part, and take the results of others meanwhile. Raises the error of any."""
        while part.ledger is None:
            for each in self.parts:
                if each.future is not None and each.future.done():
                    self._take(each)
            if part.ledger is None:
                time.sleep(_POLL_SECONDS)
        return part.ledger

    def _take(self, part: _Part) -> None:
        # Dask converts a part again if its worker is lost while its future is kept.
        future, part.future = part.future, None
        try:
            part.ledger = future.result()
        except StorageError as error:
            if part.attempts == _MOST_ATTEMPTS or isinstance(error, AccessError | SourceChangedError):
                raise
            part.attempts += 1
            part.future = self._submitted(part.order)
            self._say(f"part {part.order.number + 1} is tried again, because of: {error.what}")
        except _LOST as error:
            lost = f"the worker of part {part.order.number + 1}"
            raise worker_lost(self.label, str(error) or type(error).__name__, lost) from error

    def _end_round(self) -> None:
        """Stop the parts that are left, and remove the files of all."""
        left = [part.future for part in self.parts if part.future is not None]
        if left:
            self.client.cancel(left, force=True)
            within(_STOP_SECONDS, self._stop)
        for name_ in (_PLATE, *(part.order.name for part in self.parts)):
            self.folder.remove(name_)
        self.parts.clear()

    def _stop(self) -> None:
        """Stop parts that are being converted, so that none of them puts a file into the folder later."""
        self.client.run(stop_plates, self.token, on_error="ignore")
        while any(self.client.run(running_plates, self.token, on_error="ignore").values()):
            time.sleep(_POLL_SECONDS)
