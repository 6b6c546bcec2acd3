"""The destination of a profile: where its outputs and its report lie, and what an earlier run left there."""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import uuid4

from cloudpathlib import CloudPath, S3Path

from cytobatch.config.options import SINGLE_CELLS, PlateJob
from cytobatch.errors import AccessError
from cytobatch.output.written_file import WrittenFile
from cytobatch.report.journal import Journal
from cytobatch.report.model import RunReport, StoredFile
from cytobatch.storage.access import Access, Clients, open_path, storage_errors
from cytobatch.storage.publishing import cloud_store, disk_store, s3_store
from cytobatch.storage.publishing.disk_store import first_existing, move
from cytobatch.storage.publishing.publication import Publication, is_inside, journal_in
from cytobatch.storage.publishing.store import PendingOutput, PublishingStore, Snapshot
from cytobatch.storage.publishing.uploads import begin_and_abort

_NO_RUN = "0" * 32
_DIGITS = 16
_GENERATION = r"[0-9a-f]{16}/"
_UNKNOWN = "<digest>"
_PART = ".cytobatch-part"
REPORT = "run-report.json"
"""The name of the report in a folder, and the end of its name beside a single file."""
PAGE = "report.html"
"""The name of the report's page, in the same way."""
_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
}


class Destination:
    """The destination of a plate's profile: a folder, or a single file with others beside it."""

    def __init__(self, job: PlateJob, clients: Clients | None = None, digest: str | None = None) -> None:
        """Open a job's destination. `digest` is that of its inputs and options, once it is known."""
        self._job = job
        uri = job.destination
        self._target = open_path(uri, Access.to_destination(job), clients=clients)
        self._folder = self._target.parent if job.single_file else self._target
        self._generation = f"{(digest or _UNKNOWN)[:_DIGITS]}/" if job.generations else ""

    @property
    def report_uri(self) -> str:
        """The report's path: `run-report.json` in the folder, `<name>.run-report.json` beside a single file."""
        return str(self._report())

    def _report(self) -> Path | CloudPath:
        return report_path(self._job, self._target)

    def check(self) -> None:
        """Raise StorageError if the destination may not be written: now, before anything is spent."""
        with storage_errors(self._job.destination):
            report = self._report()
            if isinstance(report, S3Path):
                begin_and_abort(report)
            elif isinstance(self._folder, Path):
                _check_local(self._folder)
                if self._job.single_file and Path(str(self._target)).is_dir():
                    raise IsADirectoryError(str(self._target))

    def uri_of(self, name: str) -> str:
        """Return the full path of an output by its name below the destination."""
        return str(self._path_of(name))

    def _path_of(self, name: str) -> Path | CloudPath:
        if not self._job.single_file:
            return self._folder / f"{self._generation}{name}"
        # The joined profile is the target itself. Names of other outputs begin with the target's.
        output, _, below = name.partition("/")
        stem = self._target.stem
        own = output.removeprefix(SINGLE_CELLS) if output.startswith(f"{SINGLE_CELLS}.") else f".{output}"
        path = self._target.with_name(f"{stem}{own}")
        return path / below if below else path

    def snapshot(self) -> Snapshot:
        """Return what stands in the report's place: an earlier run's report or journal. Raises StorageError."""
        return self._store(_NO_RUN).read_report()

    def publication(
        self, earlier: Snapshot, page: Callable[[RunReport], str] | None = None
    ) -> AbstractContextManager[Publication]:
        """Return the publication of a run that found `earlier` at its beginning. `page` draws the report's page."""
        run, folder = uuid4().hex, str(self._folder)
        kept = re.compile(_GENERATION) if self._job.generations else None
        put_page = None if page is None else lambda report: self.publish_page(page(report))
        return Publication(self._store(run), run, folder, earlier, kept, put_page).open()

    def clean(self) -> None:
        """Remove the folders of prepared files that killed runs have left on a disk. Raises StorageError."""
        self._store(_NO_RUN).clean(())

    def journal_in(self, earlier: Snapshot) -> Journal | None:
        """Return the journal of a run that did not end its publication, or None."""
        return journal_in(earlier, str(self._folder))

    def pending(self, name: str, written: WrittenFile) -> PendingOutput:
        """Return an output that is to be put in place under a name."""
        return PendingOutput(self.uri_of(name), written)

    def is_stored(self, file: StoredFile) -> bool:
        """Return whether a published file is still that of its report: by the store's ETag, on a disk by its content.

        Raises StorageError.
        """
        if not is_inside(file.path, str(self._folder)):
            return False
        path = self._folder / file.path.removeprefix(f"{self._folder}/")
        with storage_errors(file.path):
            if isinstance(path, Path):
                return disk_store.is_stored(path, file.bytes, file.sha256)
            if file.etag is None:
                return False
            if isinstance(path, S3Path):
                return s3_store.etag_of(path) == file.etag
            return path.exists() and cloud_store.etag_of(path) == file.etag

    @property
    def page_uri(self) -> str:
        """The path of the report's page: `report.html` in the folder, `<name>.report.html` beside a single file."""
        return str(self._page())

    def _page(self) -> Path | CloudPath:
        report = self._report()
        return report.with_name(f"{report.name.removesuffix(REPORT)}{PAGE}")

    def publish_page(self, text: str) -> None:
        """Put the report's page in place, in place of that of an earlier run. Raises StorageError."""
        target = self._page()
        with storage_errors(str(target)):
            put_text(text, target)

    def _store(self, run: str) -> PublishingStore:
        report, stem = self._report(), self._target.stem if self._job.single_file else ""
        threads = Access.to_destination(self._job).workers
        if isinstance(report, S3Path):
            folder = report.parent.key
            prefix = f"{folder}/{stem}".lstrip("/")
            return s3_store.S3Store(report, prefix, threads)
        if isinstance(report, Path):
            return disk_store.DiskStore(Path(str(self._folder)), report, stem, run, threads)
        return cloud_store.CloudStore(report.parent, report, stem, run, threads)


def report_path(job: PlateJob, target: Path | CloudPath) -> Path | CloudPath:
    """Return the path of a plate's report whose destination is `target`.

    It is `run-report.json` in the folder, or `<name>.run-report.json` beside a single file.
    """
    return report_beside(target) if job.single_file else target / REPORT


def report_beside(file: Path | CloudPath) -> Path | CloudPath:
    """Return the path of the report beside a destination that is one file."""
    return file.with_name(f"{file.stem}.{REPORT}")


def _check_local(folder: Path) -> None:
    existing = first_existing(folder)
    if not existing.is_dir():
        raise AccessError(
            "destination is not a folder",
            where=str(folder),
            why=f"{existing} is a file",
            remedy="name a folder, or a new file that ends in .parquet",
        )
    # A file without a fixed name, because several runs may check one folder at once.
    with tempfile.TemporaryFile(dir=existing):
        pass


def put(local: Path, target: Path | CloudPath) -> None:
    """Move a file into place, whole or not at all. Raises the errors of its store."""
    if isinstance(target, S3Path):
        # cloudpathlib's upload_from requests the target first, which a write-only role may not.
        client = target.client.client
        client.upload_file(str(local), target.bucket, target.key, ExtraArgs=_content_type(target))
    elif isinstance(target, CloudPath):
        target.upload_from(local, force_overwrite_to_cloud=True)
    else:
        with _replacing(target) as part:
            move(local, part)


def put_text(text: str, target: Path | CloudPath) -> None:
    """Put a small text into place, whole or not at all. Raises the errors of its store."""
    content = text.encode()
    if isinstance(target, S3Path):
        client = target.client.client
        client.put_object(Bucket=target.bucket, Key=target.key, Body=content, **_content_type(target))
    elif isinstance(target, CloudPath):
        target.write_bytes(content)
    else:
        with _replacing(target) as part:
            part.write_bytes(content)


def _content_type(target: S3Path) -> dict[str, str]:
    """Return the content type of an object by its name, so that a browser shows a page."""
    known = _CONTENT_TYPES.get(target.suffix)
    return {"ContentType": known} if known else {}


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Yield the path of a file that takes the target's place at the end, or is removed after an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}{_PART}")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def fetch(path: CloudPath, local: Path) -> None:
    """Fetch an object to a local file. Raises the errors of its store."""
    if isinstance(path, S3Path):
        # cloudpathlib would request the object several times, and keep it in a cache.
        path.client.client.download_file(path.bucket, path.key, str(local))
    else:
        path.download_to(local)


def write_text(uri: str, text: str, access: Access) -> None:
    """Write one small file, whole or not at all. Raises StorageError."""
    with storage_errors(uri):
        put_text(text, open_path(uri, access))
