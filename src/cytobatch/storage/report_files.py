"""Small files of many places: run reports read side by side, and files for people published."""

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

_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
}


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A plate's run report as it is stored; `content` is None where it cannot be had, for the `reason`.

    `absent` tells that none is there, as far as can be told.
    """

    uri: str
    content: bytes | None = None
    reason: str = ""
    absent: bool = False


def read_reports(jobs: Sequence[PlateJob]) -> Iterator[StoredReport]:
    """The run reports of plates, in their order; so many are read at once as the first plate's limits allow.

    One that is not there, or that may not be read, is given back as such. Raises StorageError for what would befall
    others too: a store that does not answer, credentials that are not valid.
    """
    if not jobs:
        return
    threads = Access.to_destination(jobs[0]).workers
    places = _DestinationPaths()
    with ThreadPoolExecutor(threads, thread_name_prefix="reports") as pool:
        coming: deque[Future[StoredReport]] = deque()
        try:
            for job in jobs:
                coming.append(pool.submit(_read, job, places.of))
                # No more wait than are read: a report of thousands of sites has megabytes.
                if len(coming) > threads:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


class _DestinationPaths:
    """Destinations of many plates, with one client for each way to reach a store, not one for each plate."""

    def __init__(self) -> None:
        self._clients = Clients()
        self._own = threading.local()

    def of(self, job: PlateJob) -> Path | CloudPath:
        """A plate's destination. Raises StorageError."""
        path = open_path(job.destination, Access.to_destination(job), clients=self._clients)
        return path if isinstance(path, Path | S3Path) else self._own_client(path).CloudPath(job.destination)

    def _own_client(self, path: CloudPath):  # type: ignore[no-untyped-def]
        """This thread's client for a store: those of some stores may not be shared by threads."""
        clients = vars(self._own)
        kind = type(path.client)
        if kind.__name__ not in clients:
            clients[kind.__name__] = kind()
        return clients[kind.__name__]


def _read(job: PlateJob, place: Callable[[PlateJob], Path | CloudPath]) -> StoredReport:
    path = report_path(job, place(job))
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
    """Moves files into a folder under their names, each whole or not at all, in this order; where they are then.

    Those in a bucket get their content types, so that a browser shows them. Raises StorageError.
    """
    root = open_path(folder, access)
    published: list[str] = []
    for name, local in files.items():
        target = root / name
        with storage_errors(str(target)):
            if isinstance(target, S3Path):
                kind = {"ContentType": _CONTENT_TYPES[target.suffix]} if target.suffix in _CONTENT_TYPES else {}
                target.client.client.upload_file(str(local), target.bucket, target.key, ExtraArgs=kind)
            else:
                put(local, target)
        published.append(str(target))
    return published
