"""The parts of a plate on their way from the workers that convert them to the one that publishes the plate.

They lie in a folder of the run beside the outputs. Its name begins with a dot, so that what reads folders of Parquet
files leaves it out.
"""

import glob
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botocore.exceptions import ClientError
from cloudpathlib import CloudPath, S3Path

from cytobatch.config.options import PlateJob
from cytobatch.errors import AbsentFileError, StorageError
from cytobatch.storage.access import HIDDEN, Access, error_code, open_path, read_content, storage_errors
from cytobatch.storage.destination import fetch, put
from cytobatch.storage.locks import marked_as_used, remove_unused
from cytobatch.storage.publishing.disk_store import first_existing, remove_empty

_PROBE = "probe"
_DEAD_AFTER = timedelta(minutes=15)
"""A run puts a part, and all machines together some, every few minutes."""


class PartFolder:
    """The folder of a run's parts at the destination of a plate. `run` is the id of the run."""

    def __init__(self, job: PlateJob, run: str) -> None:
        target = open_path(job.destination, Access.to_destination(job))
        parent = target.parent if job.single_file else target
        self._prefix = f".{target.stem}.parts-" if job.single_file else ".parts-"
        self._folder = parent / f"{self._prefix}{run}"
        self._opened = datetime.now(UTC)
        self._existing = first_existing(self._folder.parent) if isinstance(self._folder, Path) else None

    def fault(self, scratch: Path) -> str | None:
        """Return why parts cannot be written, read and removed here, or None if they can.

        A role may be allowed only to write the destination.
        """
        probe = scratch / _PROBE
        probe.write_bytes(b"")
        try:
            self.put(_PROBE, probe)
            self.read(_PROBE)
            self.remove(_PROBE)
        except StorageError as error:
            return f"parts cannot go through the destination ({error.reason})"
        return None

    def put(self, name: str, local: Path) -> None:
        """Move a part into the folder, whole or not at all. Raises StorageError."""
        target = self._path(name)
        with storage_errors(str(target)):
            put(local, target)

    def fetch(self, name: str, scratch: Path) -> Path:
        """Return a part as a local file, fetched into `scratch` if it is remote. Raises StorageError."""
        path = self._path(name)
        if isinstance(path, Path):
            self._check_shared(path)
            return path
        local = scratch / path.name
        with storage_errors(str(path)):
            fetch(path, local)
        return local

    def read(self, name: str) -> bytes:
        """Return the content of a small file. Raises StorageError."""
        path = self._path(name)
        with storage_errors(str(path)):
            if isinstance(path, Path):
                self._check_shared(path)
            return read_content(path)

    def remove(self, name: str) -> None:
        """Remove a part if it is there. Raises StorageError."""
        path = self._path(name)
        with storage_errors(str(path)):
            if isinstance(path, S3Path):
                path.client.client.delete_object(Bucket=path.bucket, Key=path.key)
            else:
                path.unlink(missing_ok=True)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Show other runs on this disk, as long as the context lasts, that the run of the folder is alive."""
        if not isinstance(self._folder, Path):
            yield
            return
        with ExitStack() as stack:
            with storage_errors(str(self._folder)):
                self._folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(marked_as_used(self._folder))
            yield

    def remove_dead(self) -> None:
        """Remove the folders of parts that runs of this plate have left which were killed. Raises StorageError.

        On a disk a lock shows that a run is alive. In a bucket a folder is dead if nothing was put into it since this
        one was opened, and for some time. A role that may not list the bucket removes nothing.
        """
        with storage_errors(str(self._folder)):
            if isinstance(self._folder, Path):
                remove_unused(self._folder.parent, f"{glob.escape(self._prefix)}*")
            elif isinstance(self._folder, S3Path):
                try:
                    _remove_dead(self._folder, self._prefix, min(self._opened, datetime.now(UTC) - _DEAD_AFTER))
                except ClientError as error:
                    if error_code(error) not in HIDDEN:
                        raise

    def close(self) -> None:
        """Remove the local folder with all that is in it, and the folders above it that were made for it."""
        if isinstance(self._folder, Path) and self._existing is not None:
            with storage_errors(str(self._folder)):
                if self._folder.is_dir():
                    shutil.rmtree(self._folder)
                remove_empty(self._folder.parent, self._existing)

    def _path(self, name: str) -> Path | CloudPath:
        return self._folder / name

    def _check_shared(self, path: Path) -> None:
        if not path.is_file():
            raise AbsentFileError(
                "a part of the plate is not there",
                where=str(path),
                why="another worker has put it into a folder of this path, perhaps on its own machine",
                remedy="name a destination that all workers share, or set CYTOBATCH_SPLIT=never",
            )


def _remove_dead(own: S3Path, prefix: str, before: datetime) -> None:
    """Remove the objects of other folders beside an own one whose newest object is older. Raises ClientError."""
    client, above = own.client.client, own.key.rpartition("/")[0]
    start = f"{above}/{prefix}" if above else prefix
    folders: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=own.bucket, Prefix=start):
        for entry in page.get("Contents", ()):
            run, _, below = entry["Key"].removeprefix(start).partition("/")
            if below:
                folders[f"{start}{run}"].append((entry["Key"], entry["LastModified"]))
    for folder, objects in folders.items():
        if folder != own.key and max(modified for _, modified in objects) < before:
            for key, _ in objects:
                client.delete_object(Bucket=own.bucket, Key=key)
