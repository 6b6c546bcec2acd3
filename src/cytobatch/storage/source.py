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
from cytobatch.storage.kept_objects import KeptObjects
from cytobatch.storage.local_list import is_dangling, list_local_files, why_no_files
from cytobatch.storage.md5 import check_other_store
from cytobatch.storage.obstore_client import ObstoreClient
from cytobatch.storage.prefetch import Fetch, FetchedFiles, LocalFiles, close_nothing
from cytobatch.storage.ranged_object import RangedObject
from cytobatch.storage.s3_cache import S3Cache
from cytobatch.storage.s3_list import list_common_prefixes, list_folder, list_objects
from cytobatch.storage.s3_read import changed, object_key, read_object

_NO_OBJECT = (
    "no object in the bucket has a name that begins with it",
    "check the name, its upper and lower case, and that the upload has finished",
)


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
        self._inodes: dict[str, int] = {}
        self._threads = threading.local()

    def inventory(self) -> Inventory:
        """List every file below the source. Raises SourceNotFoundError if there is no file, StorageError."""
        with storage_errors(self._uri):
            files = self._list()
        if not files:
            why, remedy = _NO_OBJECT if isinstance(self._root, CloudPath) else why_no_files(self._root)
            raise SourceNotFoundError("source is missing or empty", where=self._uri, why=why, remedy=remedy)
        if len(files) == 1 and not files[0].path:
            self._root, self._is_file = self._root.parent, True
            name = self._uri.rstrip("/").rsplit("/", 1)[-1]
            self._inodes = {name if path == "" else path: inode for path, inode in self._inodes.items()}
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
                return read_object(self._root, key, (0, size), file.etag)
        path = self._root / file.path
        with storage_errors(str(path)), path.open("rb") as stream:
            return bytes(stream.read(size))

    def open_parts(self, file: SourceFile) -> RangedObject | None:
        """Return a file of a bucket whose reads are requests; None for other stores. Raises StorageError."""
        if not isinstance(self._root, S3Path):
            return None
        return RangedObject(self._root.client.CloudPath(f"s3://{self._root.bucket}/{object_key(self._root, file)}"))

    def inputs(self, files: Iterable[SourceFile], room: int) -> LocalFiles | FetchedFiles:
        """Return the files on the local disk, fetched into the cache if the source is remote.

        About `room` bytes of expected files wait there to be read.
        """
        files = tuple(files)
        if isinstance(self._root, Path):
            return LocalFiles(self._root, files, self._inodes)
        kept = KeptObjects(self._cache) if self.job.cache_mode is CacheMode.PERSISTENT else None
        folder = kept.folder if kept else self._cache
        fetch: Fetch = functools.partial(self._fetch_other, folder, kept)
        if isinstance(self._root, S3Path) and self._obstore:
            fetch = S3Cache(self._root, self._obstore, folder, kept, check_md5=self.job.check_md5).fetch
        close = kept.close if kept else close_nothing
        return FetchedFiles(files, fetch, self._workers, room, close)

    def _list(self) -> list[SourceFile]:
        if isinstance(self._root, S3Path) and self._obstore:
            return list_objects(self._root, self._obstore)
        return list(_list_path(self._root, self._inodes))

    def _fetch_other(self, folder: Path, kept: KeptObjects | None, file: SourceFile, _size: int) -> Path:
        # Threads may not share the clients of some stores.
        if not hasattr(self._threads, "root"):
            self._threads.root = self._open(str(self._root))
        path, local = self._threads.root / file.path, folder / file.path
        with storage_errors(str(path)):
            local.parent.mkdir(parents=True, exist_ok=True)
            if not local.exists() and not (kept and kept.take(str(path), file, local)):
                _download(path, file, local)
                if kept:
                    kept.keep(str(path), file, local)
            if self.job.check_md5:
                check_other_store(path, local)
            return local


def _download(path: CloudPath, listed: SourceFile, local: Path) -> None:
    """Fetch an object of gs:// or az:// whole or not at all. Raises SourceChangedError, and the errors of its store."""
    part = local.with_name(f".{local.name}.part")
    path.download_to(part)
    facts = path.stat()
    if (part.stat().st_size, facts.st_size, facts.st_mtime) != (listed.size, listed.size, listed.modified):
        raise changed(str(path), f"it had {listed.size} bytes when it was listed, or was written again since")
    part.replace(local)


def _list_path(root: Path | CloudPath, inodes: dict[str, int]) -> Iterator[SourceFile]:
    """Yield the files below a root. The inodes of local ones are added to `inodes`."""
    if root.is_file():
        facts = root.stat()
        if isinstance(root, Path):
            inodes[""] = facts.st_ino
        yield SourceFile("", facts.st_size, modified=facts.st_mtime)
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
            if isinstance(path, Path):
                inodes[below] = facts.st_ino
            yield SourceFile(below, facts.st_size, modified=facts.st_mtime)
