"""The source of a plate: listed once, and fetched into the cache."""

import functools
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from cloudpathlib import CloudPath, S3Path

from cytobatch.config.natural_order import natural_key
from cytobatch.config.option_types import CacheMode
from cytobatch.config.options import PlateJob
from cytobatch.errors import SourceNotFoundError
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.storage.access import Access, Clients, open_path, storage_errors
from cytobatch.storage.obstore_client import ObstoreClient
from cytobatch.storage.prefetch import CachePolicy, FetchedFiles, LocalFiles
from cytobatch.storage.s3_download import Objects
from cytobatch.storage.s3_list import list_common_prefixes, list_objects


def list_folders(uri: str, access: Access) -> list[str]:
    """The names of the folders in a folder, in natural order; none where there is no such folder. StorageError."""
    with storage_errors(uri):
        path = open_path(uri.rstrip("/"), access)
        if isinstance(path, S3Path):
            names = list(list_common_prefixes(path))
        else:
            names = [child.name for child in path.iterdir() if child.is_dir()] if path.is_dir() else []
    return sorted(names, key=natural_key)


class Source:
    """Where a plate's measurements are. `cache` is where fetched files are kept until they are released."""

    def __init__(self, job: PlateJob, cache: Path, clients: Clients | None = None) -> None:
        self.job = job
        self._uri = job.source
        access = Access.to_source(job)
        self._workers = access.workers
        self._cache = cache
        self._open = functools.partial(open_path, access=access, cache=cache, clients=clients)
        self._root = self._open(job.source)
        self._threads = threading.local()

    def inventory(self) -> Inventory:
        """Every file below the source. Raises SourceNotFoundError if there is none, StorageError."""
        with storage_errors(self._uri):
            files = list(_list(self._root))
        if not files:
            raise SourceNotFoundError(
                "source is missing or empty",
                where=self._uri,
                why="no file is there",
                remedy="check CYTOBATCH_SOURCE and that the upload has finished",
            )
        if len(files) == 1 and not files[0].path:
            self._root = self._root.parent
            name = self._uri.rstrip("/").rsplit("/", 1)[-1]
            return Inventory.of(str(self._root), [replace(files[0], path=name)])
        return Inventory.of(self._uri, files)

    def head(self, file: SourceFile, size: int) -> bytes:
        """The first bytes of a file, without fetching the rest from S3. Raises StorageError."""
        path = self._root / file.path
        with storage_errors(str(path)):
            if isinstance(path, S3Path):
                extra = path.client.boto3_dl_extra_args
                span = f"bytes=0-{size - 1}"
                answer = path.client.client.get_object(Bucket=path.bucket, Key=path.key, Range=span, **extra)
                return bytes(answer["Body"].read())
            with path.open("rb") as stream:
                return bytes(stream.read(size))

    def inputs(self, files: Iterable[SourceFile], room: int) -> LocalFiles | FetchedFiles:
        """Return the files on the local disk, fetched into the cache if the source is remote.

        About `room` bytes of expected files wait there to be read.
        """
        if isinstance(self._root, Path):
            return LocalFiles(self._root)
        keeps = self.job.cache_mode is CacheMode.PERSISTENT
        use = CachePolicy(room, keeps)
        if not isinstance(self._root, S3Path):
            return FetchedFiles(files, self._fetch_other, self._workers, use)
        return FetchedFiles(files, Objects(self._root, self._cache, keeps=keeps).fetch, self._workers, use)

    def _fetch_other(self, file: SourceFile, _size: int) -> Path:
        # The clients of some stores may not be shared by threads.
        if not hasattr(self._threads, "root"):
            self._threads.root = self._open(str(self._root))
        path = self._threads.root / file.path
        with storage_errors(str(path)):
            return Path(path.fspath)


def _list(root: Path | CloudPath) -> Iterable[SourceFile]:
    return list_objects(root, ObstoreClient(root)) if isinstance(root, S3Path) else _list_path(root)


def _list_path(root: Path | CloudPath) -> Iterator[SourceFile]:
    if root.is_file():
        yield SourceFile("", root.stat().st_size, modified=root.stat().st_mtime)
        return
    if not root.exists():
        return
    for path in root.rglob("*"):
        if path.is_file():
            # Both kinds of path have parts; those of the root are a path's first.
            below = path.parts[len(root.parts) :]
            yield SourceFile("/".join(below), path.stat().st_size, modified=path.stat().st_mtime)
