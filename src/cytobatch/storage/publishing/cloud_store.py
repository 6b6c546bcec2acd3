"""Publication in stores that cloudpathlib alone reaches: prepared files lie in a folder of the run, and are moved.

Such a store has no conditional writes here. The report is compared before it is replaced, which two runs at one
moment do not notice.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

from cloudpathlib import CloudPath

from cytobatch.errors import StorageError
from cytobatch.report.journal import Journal, OldFile, PreparedFile
from cytobatch.report.model import StoredFile
from cytobatch.storage.access import storage_errors
from cytobatch.storage.publishing.content_check import check_file, reading_threads
from cytobatch.storage.publishing.store import Orphan, PendingFile, Snapshot, overtaken


class CloudStore:
    """A folder of a store. `stem` is the name of the result if others may lie in the same folder.

    `threads` read at once what is published.
    """

    conditional = False

    def __init__(self, folder: CloudPath, report: CloudPath, stem: str, run: str, threads: int) -> None:
        self._folder, self._report, self._run, self._threads = folder, report, run, threads
        self._prefix = f".{stem}.cytobatch-" if stem else ".cytobatch-"
        self._prepared: list[CloudPath] = []

    def read_report(self) -> Snapshot:
        """Return what stands in the report's place."""
        with storage_errors(str(self._report)):
            if not self._report.exists():
                return Snapshot()
            content = bytes(self._report.read_bytes())
        return Snapshot(content, hashlib.sha256(content).hexdigest())

    def prepare(self, files: Sequence[PendingFile]) -> list[PreparedFile]:
        """Upload files into the run's folder, and compare their sizes."""
        with reading_threads(self._threads) as pool:
            return [self._prepare(file, str(number), pool) for number, file in enumerate(files)]

    def _prepare(self, file: PendingFile, name: str, pool: Executor) -> PreparedFile:
        staged, size = self._staging(self._run) / name, file.content.size
        with storage_errors(file.path):
            check_file(file, pool)
            self._prepared.append(staged)
            staged.upload_from(file.local, force_overwrite_to_cloud=True)
            if (found := staged.stat().st_size) != size:
                raise StorageError(
                    "upload is damaged",
                    where=file.path,
                    why=f"{size} bytes were sent, and the store has {found}",
                    remedy="run again; if it fails again, check the network and the store",
                )
        return PreparedFile(path=file.path, bytes=size, sha256=file.content.sha256, staged=name)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Do nothing: there are no locks."""
        yield

    def put_report(self, content: bytes, expected: Snapshot) -> Snapshot:
        """Replace the report, if it is the expected one when it is compared."""
        if self.read_report().version != expected.version:
            raise overtaken(str(self._report), "its report has changed since this run began")
        with storage_errors(str(self._report)):
            self._report.write_bytes(content)
        self._prepared = []
        return Snapshot(content, hashlib.sha256(content).hexdigest())

    def complete(self, files: Sequence[PreparedFile], run: str) -> list[StoredFile]:
        """Move the files that a run has prepared into place, within the store."""
        return [self._complete(file, self._staging(run)) for file in files]

    def _complete(self, file: PreparedFile, staging: CloudPath) -> StoredFile:
        target = self._path(file.path)
        with storage_errors(file.path):
            if file.staged is not None and (staging / file.staged).exists():
                (staging / file.staged).replace(target)
            elif not target.exists() or target.stat().st_size != file.bytes:
                raise overtaken(file.path, "the file that the run has prepared is gone")
            return StoredFile(path=file.path, bytes=file.bytes, sha256=file.sha256, etag=etag_of(target))

    def remove(self, files: Collection[OldFile]) -> None:
        """Delete objects."""
        for file in files:
            with storage_errors(file.path):
                self._path(file.path).unlink(missing_ok=True)

    def discard(self, *, quickly: bool) -> None:  # noqa: ARG002
        """Delete what this run has prepared and not put in place."""
        self._delete(self._prepared)

    def leave(self) -> None:
        """Do nothing."""

    def abandon(self, journal: Journal) -> None:
        """Delete what another run has prepared."""
        staging = self._staging(journal.run)
        self._delete([staging / file.staged for file in journal.files if file.staged is not None])

    def orphans(self, _journal: Journal) -> list[Orphan]:
        """Return nothing: there are no uploads in parts."""
        return []

    def clean(self, _orphans: Sequence[Orphan]) -> None:
        """Do nothing: what runs have prepared here does not show whether they are alive."""

    def _delete(self, paths: Sequence[CloudPath]) -> None:
        for path in paths:
            with storage_errors(str(path)):
                path.unlink(missing_ok=True)

    def _staging(self, run: str) -> CloudPath:
        return self._folder / f"{self._prefix}{run}"

    def _path(self, uri: str) -> CloudPath:
        return self._folder / uri.removeprefix(f"{self._folder}/")


def etag_of(path: CloudPath) -> str | None:
    """Return the ETag of an object, or None if its store has none."""
    etag = getattr(path, "etag", None)
    return str(etag) if etag is not None else None
