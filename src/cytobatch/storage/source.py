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
from cytobatch.storage.local_list import is_dangling, list_local_files
from cytobatch.storage.obstore_client import ObstoreClient
from cytobatch.storage.prefetch import CachePolicy, Fetch, FetchedFiles, LocalFiles
from cytobatch.storage.s3_cache import S3Cache
from cytobatch.storage.s3_list import list_common_prefixes, list_folder, list_objects
from cytobatch.storage.s3_read import object_key, read_object


def list_folders(uri: str, access: Access) -> list[str]:
    """Return the names of the folders in a folder, in natural order, or an empty list if there is no such folder.

    Raises StorageError.
    """
    with storage_errors(uri):
        path = open_path(uri.rstrip("/"), access)
        if isinstance(path, S3Path):
            names = list(list_common_prefixes(path))
        else:
            names = [child.name for child in path.iterdir() if child.is_dir()] if path.is_dir() else []
    return sorted(names, key=natural_key)


class Source:
    """The measurements of a plate. Fetched files are in `cache` until they are released."""

    def __init__(self, job: PlateJob, cache: Path, clients: Clients | None = None) -> None:
        self.job = job
        self._uri = job.source
        access = Access.to_source(job)
        self._workers = access.workers
        self._cache = cache
        self._open = functools.partial(open_path, access=access, cache=cache, clients=clients)
        self._root = self._open(job.source)
        self._obstore = ObstoreClient(self._root) if isinstance(self._root, S3Path) else None
        self._is_file = False
        self._threads = threading.local()

    def inventory(self) -> Inventory:
        """List every file below the source. Raises SourceNotFoundError if there is no file, StorageError."""
        with storage_errors(self._uri):
            files = self._list()
        if not files:
            raise SourceNotFoundError(
                "source is missing or empty",
                where=self._uri,
                why="no file is there",
                remedy="check CYTOBATCH_SOURCE and that the upload has finished",
            )
        if len(files) == 1 and not files[0].path:
            self._root, self._is_file = self._root.parent, True
            name = self._uri.rstrip("/").rsplit("/", 1)[-1]
            return Inventory.of(str(self._root), [replace(files[0], path=name)])
        return Inventory.of(self._uri, files)

    def siblings(self) -> list[SourceFile]:
        """List the files in the folder of a source that is one file, itself included; nothing for a source of folders.

        Raises StorageError.
        """
        if not self._is_file:
            return []
        with storage_errors(str(self._root)):
            if isinstance(self._root, S3Path):
                return list_folder(self._root)
            return [SourceFile(path.name, path.stat().st_size) for path in self._root.iterdir() if path.is_file()]

    def head(self, file: SourceFile, size: int) -> bytes:
        """Return the first bytes of a file, without fetching the rest from S3. Raises StorageError."""
        if isinstance(self._root, S3Path):
            key = object_key(self._root, file)
            with storage_errors(f"s3://{self._root.bucket}/{key}"):
                return read_object(self._root, key, (0, size))
        path = self._root / file.path
        with storage_errors(str(path)), path.open("rb") as stream:
            return bytes(stream.read(size))

    def inputs(self, files: Iterable[SourceFile], room: int) -> LocalFiles | FetchedFiles:
        """Return the files on the local disk, fetched into the cache if the source is remote.

        About `room` bytes of expected files wait there to be read.
        """
        if isinstance(self._root, Path):
            return LocalFiles(self._root)
        keeps = self.job.cache_mode is CacheMode.PERSISTENT
        fetch: Fetch = self._fetch_other
        if isinstance(self._root, S3Path) and self._obstore:
            fetch = S3Cache(self._root, self._obstore, self._cache, keeps=keeps).fetch
        return FetchedFiles(files, fetch, self._workers, CachePolicy(room, keeps))

    def _list(self) -> list[SourceFile]:
        if isinstance(self._root, S3Path) and self._obstore:
            return list_objects(self._root, self._obstore)
        return list(_list_path(self._root))

    def _fetch_other(self, file: SourceFile, _size: int) -> Path:
        # Threads may not share the clients of some stores.
        if not hasattr(self._threads, "root"):
            self._threads.root = self._open(str(self._root))
        path = self._threads.root / file.path
        with storage_errors(str(path)):
            return Path(path.fspath)


def _list_path(root: Path | CloudPath) -> Iterator[SourceFile]:
    if root.is_file():
        yield SourceFile("", root.stat().st_size, modified=root.stat().st_mtime)
        return
    if not root.exists():
        return
    paths = list_local_files(root) if isinstance(root, Path) else (path for path in root.rglob("*") if path.is_file())
    for path in paths:
        # Local and cloud paths both have parts, and a path's first parts are those of the root.
        below = "/".join(path.parts[len(root.parts) :])
        if isinstance(path, Path) and is_dangling(path):
            yield SourceFile(below, 0, modified=path.lstat().st_mtime, is_dangling=True)
        else:
            facts = path.stat()
            yield SourceFile(below, facts.st_size, modified=facts.st_mtime)
