"""Files of a batch of plates: run reports read side by side, and pages and tables published."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError
from cloudpathlib import CloudPath, S3Path

from cytobatch.config.options import PlateJob
from cytobatch.storage.access import (
    ABSENT,
    HIDDEN,
    Access,
    Clients,
    error_code,
    open_path,
    read_content,
    storage_errors,
)
from cytobatch.storage.destination import put, report_path


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A plate's run report as it is stored.

    Attributes
    ----------
    content
        The report's bytes, or None if it cannot be read.
    reason
        Why it cannot be read.
    absent
        Whether there is no report, as far as the job's role can see.
    """

    uri: str
    content: bytes | None = None
    reason: str = ""
    absent: bool = False


def read_reports(jobs: Sequence[PlateJob]) -> Iterator[StoredReport]:
    """Yield the run reports of plates, in the order of the jobs. The first job's limits set how many are read at once.

    A report that does not exist or may not be read is yielded without content. Raises StorageError for what concerns
    all plates: a store that does not answer, credentials that are not valid.
    """
    if not jobs:
        return
    threads = Access.to_destination(jobs[0]).workers
    destinations = _DestinationPaths()
    with ThreadPoolExecutor(threads, thread_name_prefix="reports") as pool:
        pending: deque[Future[StoredReport]] = deque()
        try:
            for job in jobs:
                pending.append(pool.submit(_read, job, destinations.of))
                # No more reports wait than are read, because one of thousands of sites has megabytes.
                if len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


class _DestinationPaths:
    """Destinations of many plates, with one client for each access to a store, not one for each plate."""

    def __init__(self) -> None:
        self._clients = Clients()
        self._thread = threading.local()

    def of(self, job: PlateJob) -> Path | CloudPath:
        """Return a plate's destination. Raises StorageError."""
        path = open_path(job.destination, Access.to_destination(job), clients=self._clients)
        return path if isinstance(path, Path | S3Path) else self._own_client(path).CloudPath(job.destination)

    def _own_client(self, path: CloudPath):  # type: ignore[no-untyped-def]
        """Return this thread's client for a store: threads may not share the clients of some stores."""
        clients = vars(self._thread)
        kind = type(path.client)
        if kind.__name__ not in clients:
            clients[kind.__name__] = kind()
        return clients[kind.__name__]


def _read(job: PlateJob, destination_of: Callable[[PlateJob], Path | CloudPath]) -> StoredReport:
    path = report_path(job, destination_of(job))
    uri = str(path)
    with storage_errors(uri):
        try:
            return StoredReport(uri, read_content(path))
        except (FileNotFoundError, NotADirectoryError):
            return StoredReport(uri, reason="no report is there", absent=True)
        except (PermissionError, IsADirectoryError) as error:
            return StoredReport(uri, reason=f"it cannot be read: {error.strerror}")
        except ClientError as error:
            code = error_code(error)
            if code in HIDDEN:
                return StoredReport(uri, reason=f"no report is there, or none that may be read ({code})", absent=True)
            if code in ABSENT:
                return StoredReport(uri, reason=f"no report is there ({code})", absent=True)
            raise


def publish_files(folder: str, files: Mapping[str, Path], access: Access) -> list[str]:
    """Move files into a folder under their names, each whole or not at all, in this order. Return their paths there.

    Objects in a bucket get their content types, so that a browser shows them. Raises StorageError.
    """
    root = open_path(folder, access)
    published: list[str] = []
    for name, local in files.items():
        target = root / name
        with storage_errors(str(target)):
            put(local, target)
        published.append(str(target))
    return published
