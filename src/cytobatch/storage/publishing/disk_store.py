"""Publication on a disk: prepared files lie in a hidden folder of the run, and are renamed into place."""

import errno
import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from cytobatch.output.written_file import sha256_of
from cytobatch.report.journal import Journal, OldFile, PreparedFile
from cytobatch.report.model import StoredFile
from cytobatch.storage.access import storage_errors
from cytobatch.storage.locks import exclusive, marked_as_used, remove_unused
from cytobatch.storage.publishing.content_check import check_file, reading_threads
from cytobatch.storage.publishing.store import Orphan, PendingFile, Snapshot, overtaken

_LOCK_SECONDS = 60
_REPORT = "report"


class DiskStore:
    """The folder of a result on a disk. `stem` is the name of the result if others may lie in the same folder.

    `threads` read at once what is published.
    """

    def __init__(self, folder: Path, report: Path, stem: str, run: str, threads: int) -> None:
        self._folder, self._report, self._run, self._threads = folder, report, run, threads
        self._prefix = f".{stem}.cytobatch-" if stem else ".cytobatch-"
        self._existing = first_existing(folder)
        self._resources = ExitStack()
        self._locked = False

    @property
    def conditional(self) -> bool:
        """Whether the disk has locks."""
        return self._locked

    def read_report(self) -> Snapshot:
        """Return what stands in the report's place."""
        with storage_errors(str(self._report)):
            try:
                content = self._report.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return Snapshot()
        return Snapshot(content, hashlib.sha256(content).hexdigest())

    def prepare(self, files: Sequence[PendingFile]) -> list[PreparedFile]:
        """Move files into the run's folder, and write them through to the disk."""
        staging = self._staging(self._run)
        with storage_errors(str(self._folder)):
            staging.mkdir(parents=True, exist_ok=True)
            self._resources.enter_context(marked_as_used(staging))
        with reading_threads(1 + self._threads) as pool:
            return [self._prepare(file, staging / str(number), pool) for number, file in enumerate(files)]

    def _prepare(self, file: PendingFile, staged: Path, pool: Executor) -> PreparedFile:
        with storage_errors(file.path):
            if Path(file.path).is_dir():
                raise IsADirectoryError(file.path)
            move(file.local, staged)
            # The disk writes a file while its checksums are compared.
            written = pool.submit(write_through, staged)
            check_file(replace(file, local=staged), pool)
            written.result()
            return PreparedFile(path=file.path, bytes=file.content.size, sha256=file.content.sha256, staged=staged.name)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock of the result's folder."""
        with storage_errors(str(self._folder)), exclusive(self._folder, _LOCK_SECONDS) as self._locked:
            yield

    def put_report(self, content: bytes, expected: Snapshot) -> Snapshot:
        """Replace the report. Call it in `exclusive`."""
        if self.read_report().version != expected.version:
            raise overtaken(str(self._report), "its report has changed since this run began")
        staging = self._staging(self._run)
        with storage_errors(str(self._report)):
            staging.mkdir(parents=True, exist_ok=True)
            new = staging / _REPORT
            new.write_bytes(content)
            write_through(new)
            new.replace(self._report)
            write_through(self._report.parent)
        return Snapshot(content, hashlib.sha256(content).hexdigest())

    def complete(self, files: Sequence[PreparedFile], run: str) -> list[StoredFile]:
        """Rename the files that a run has prepared into place."""
        staging = self._staging(run)
        stored = [self._complete(file, staging) for file in files]
        with storage_errors(str(self._folder)):
            for folder in {Path(file.path).parent for file in files}:
                write_through(folder)
        return stored

    def _complete(self, file: PreparedFile, staging: Path) -> StoredFile:
        target = Path(file.path)
        with storage_errors(file.path):
            if file.staged is not None and (staging / file.staged).is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                (staging / file.staged).replace(target)
            elif not is_stored(target, file.bytes, file.sha256):
                raise overtaken(file.path, "the file that the run has prepared is gone")
        return StoredFile(path=file.path, bytes=file.bytes, sha256=file.sha256)

    def remove(self, files: Collection[OldFile]) -> None:
        """Remove files, and folders that are empty without them."""
        for file in files:
            path = Path(file.path)
            with storage_errors(file.path):
                path.unlink(missing_ok=True)
                remove_empty(path.parent, self._folder)

    def discard(self, *, quickly: bool) -> None:  # noqa: ARG002
        """Remove the run's folder, and the folders above it that were made for it."""
        with storage_errors(str(self._folder)):
            shutil.rmtree(self._staging(self._run), ignore_errors=True)
            self._resources.close()
            remove_empty(self._folder, self._existing)

    def leave(self) -> None:
        """Leave the run's folder as it is."""
        self._resources.close()

    def abandon(self, journal: Journal) -> None:
        """Remove the folder of another run that has ended."""
        shutil.rmtree(self._staging(journal.run), ignore_errors=True)

    def orphans(self, _journal: Journal) -> list[Orphan]:
        """Return nothing: there are no uploads in parts."""
        return []

    def clean(self, _orphans: Sequence[Orphan]) -> None:
        """Remove the folders of runs that were killed."""
        remove_unused(self._folder, f"{self._prefix}*")

    def _staging(self, run: str) -> Path:
        return self._folder / f"{self._prefix}{run}"


def is_stored(path: Path, size: int, sha256: str) -> bool:
    """Return whether a file is there with a size and a checksum."""
    return path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256


def first_existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def remove_empty(folder: Path, root: Path) -> None:
    """Remove a folder, and those above it below `root`, if removing an earlier run's files has left them empty."""
    while folder != root and folder.is_dir() and not any(folder.iterdir()):
        try:
            folder.rmdir()
        except OSError:
            # Another run has put a file there.
            return
        folder = folder.parent


def write_through(path: Path) -> None:
    """Write a file's content, or a folder's names, through to the disk: after a loss of power they are there."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        # Windows opens no folders.
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(local: Path, target: Path) -> None:
    """Move a file to another folder: at once on one disk, else by a copy."""
    try:
        local.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(local, target)
