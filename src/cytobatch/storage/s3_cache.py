"""Objects of S3 as local files, which hold the bytes of the listed version."""

import contextlib
import hashlib
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from cloudpathlib import S3Path

from cytobatch.errors import StorageError
from cytobatch.planning.inventory import SourceFile
from cytobatch.storage.access import storage_errors
from cytobatch.storage.obstore_client import ObstoreClient
from cytobatch.storage.s3_read import S3Reader, folder_key

# Sizes of parts that AWS recommends: https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html
_LARGE = 64 * 2**20
_PART = 16 * 2**20
_PARTS_AT_ONCE = 8
_ODD_KEYS = ".keys"
"""The folder of a cache for objects whose keys are no paths."""


class S3Cache:
    """The objects below `root` as local files.

    A cache that `keeps` them has the paths that cloudpathlib gives them; its own download sends a store three requests
    for each object, and takes seven times as long. Any other cache is one folder: making a folder for each site takes
    longer than fetching the beginnings of its files.
    """

    def __init__(self, root: S3Path, obstore: ObstoreClient, folder: Path, *, keeps: bool) -> None:
        self._bucket = root.bucket
        # A path for each object, made of thousands, would take as long as its GET.
        self._prefix = folder_key(root)
        self._reader = S3Reader(root, obstore)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._keeps = keeps
        self._local: dict[str, Path] = {}
        self._folder_numbers: dict[str, int] = {}
        self._numbers = itertools.count()

    def fetch(self, file: SourceFile, size: int) -> Path:
        """Return the local file, with at least the first `size` bytes. No byte is fetched twice.

        Raises StorageError, also if the object is not of the listed version any more.
        """
        where = f"s3://{self._bucket}/{self._key(file)}"
        if ".." in file.path.split("/"):
            raise StorageError(
                "object's name leads out of its folder", where=where, why="it has '..' in it", remedy="rename it"
            )
        with storage_errors(where):
            local = self._local.get(file.path) or self._new_local(file)
            if _size(local) >= size:
                return local
            self._add(file, size, local, where)
            _check_size(_size(local), size, where)
            if self._keeps and size == file.size and file.modified is not None:
                os.utime(local, (file.modified, file.modified))
        return local

    def _key(self, file: SourceFile) -> str:
        return self._prefix + file.path if file.key is None else file.key

    def _add(self, file: SourceFile, size: int, local: Path, where: str) -> None:
        """Add what a local file lacks of the first `size` bytes."""
        if size >= _LARGE and not _size(local):
            # Files that have a beginning are CSV tables: several come at once, and each may be read as it grows.
            self._fetch_in_parts(file, size, local, where)
        else:
            with local.open("ab", buffering=0) as stream:
                self._reader.copy(self._key(file), file, size, stream)

    def _fetch_in_parts(self, file: SourceFile, size: int, local: Path, where: str) -> None:
        """Fetch an object in parts side by side, because one stream does not fill a network."""
        parts = local.with_name(f"{local.name}.parts")
        parts.touch()
        try:
            with ThreadPoolExecutor(_PARTS_AT_ONCE, "part") as pool:
                # Reading all results raises the first error and cancels the parts that have not begun.
                list(pool.map(partial(self._fetch_part, file, size, parts, where), range(0, size, _PART)))
            parts.replace(local)
        finally:
            parts.unlink(missing_ok=True)

    def _fetch_part(self, file: SourceFile, size: int, parts: Path, where: str, begin: int) -> None:
        end = min(begin + _PART, size)
        with parts.open("r+b", buffering=0) as stream:
            stream.seek(begin)
            self._reader.copy(self._key(file), file, end, stream)
            _check_size(stream.tell(), end, where)

    def _new_local(self, file: SourceFile) -> Path:
        """Return the path of a local file: an earlier run's if that is whole and of the listed time, or a new one."""
        local = self._kept(file) if self._keeps else self._folder / self._flat_name(file)
        if not file.size:
            local.touch()
        self._local[file.path] = local
        return local

    def _kept(self, file: SourceFile) -> Path:
        local = self._folder / self._bucket / _local_path(self._key(file))
        local.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            status = local.stat()
            if (status.st_size, status.st_mtime) != (file.size, file.modified):
                # Another run may share a persistent cache.
                local.unlink(missing_ok=True)
        return local

    def _flat_name(self, file: SourceFile) -> str:
        """Return the file's name after its folder's number. Files of one folder stay together, as SQLite's must."""
        folder, _, name = file.path.rpartition("/")
        # Several threads may be here. Each takes another number, and the first one is used.
        return f"{self._folder_numbers.setdefault(folder, next(self._numbers))}-{name}"


def _local_path(key: str) -> str:
    """Return the path of a key in a cache. A key with empty segments gets one of its own, because paths drop them."""
    segments = key.split("/")
    if not {"", "."} & set(segments):
        return key
    return f"{_ODD_KEYS}/{hashlib.sha256(key.encode()).hexdigest()}/{segments[-1] or 'object'}"


def _size(local: Path) -> int:
    try:
        return local.stat().st_size
    except FileNotFoundError:
        return 0


def _check_size(fetched: int, size: int, where: str) -> None:
    if fetched < size:
        raise StorageError(
            "object is shorter than it was listed",
            where=where,
            why=f"{fetched} of {size} bytes came",
            remedy="run again once the upload has finished",
        )
