"""Objects of S3 as local files, which hold the bytes of the listed version."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from botocore.exceptions import ClientError
from cloudpathlib import S3Path

from cytobatch.errors import StorageError
from cytobatch.planning.inventory import SourceFile
from cytobatch.storage.access import GONE, error_code, storage_errors
from cytobatch.storage.kept_objects import KeptObjects
from cytobatch.storage.md5 import check_content
from cytobatch.storage.obstore_client import ObstoreClient
from cytobatch.storage.s3_read import RANGE, S3Reader, changed, folder_key
from cytobatch.storage.time_limits import STORE_THREADS

_LARGE = 64 * 2**20
_PART = RANGE
_PARTS_AT_ONCE = 8


class S3Cache:
    """The objects below `root` as local files, in one folder: making a folder for each site takes longer than fetching.

    cloudpathlib's own download sends a store three requests for each object, and takes seven times as long. `kept` has
    the objects that earlier runs have fetched. With `check_md5` the bytes of whole objects are compared with their
    ETags.
    """

    def __init__(
        self, root: S3Path, obstore: ObstoreClient, folder: Path, kept: KeptObjects | None, *, check_md5: bool
    ) -> None:
        self._root = root
        # A path for each object, made of thousands, would take as long as its GET.
        self._prefix = folder_key(root)
        self._reader = S3Reader(root, obstore)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._kept = kept
        self._check_md5 = check_md5
        self._local: dict[str, Path] = {}
        self._folder_numbers: dict[str, int] = {}
        self._numbers = itertools.count()

    def fetch(self, file: SourceFile, size: int) -> Path:
        """Return the local file, with at least the first `size` bytes. No byte is fetched twice.

        Raises StorageError; SourceChangedError if the object is not of the listed version any more.
        """
        where = f"s3://{self._root.bucket}/{self._key(file)}"
        if ".." in file.path.split("/"):
            raise StorageError(
                "object's name leads out of its folder", where=where, why="it has '..' in it", remedy="rename it"
            )
        with storage_errors(where):
            try:
                return self._fetch(file, size, where)
            except ClientError as error:
                if error_code(error) in GONE:
                    raise changed(where, "it is gone since it was listed") from error
                raise

    def _fetch(self, file: SourceFile, size: int, where: str) -> Path:
        local = self._local.get(file.path) or self._new_local(file, where)
        if _size(local) >= size:
            return local
        self._add(file, size, local, where)
        _check_size(_size(local), size, where)
        if size == file.size:
            self._check(file, local, where)
            if self._kept:
                self._kept.keep(where, file, local)
        return local

    def _check(self, file: SourceFile, local: Path, where: str) -> None:
        """Compare the bytes of a whole local file with its ETag."""
        if not self._check_md5:
            return
        try:
            check_content(self._root, self._key(file), file.etag, local)
        except StorageError:
            local.unlink()
            if self._kept:
                self._kept.drop(where, file)
            raise

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
        pool = ThreadPoolExecutor(_PARTS_AT_ONCE, f"{STORE_THREADS}part")
        try:
            # Reading all results raises the first error and cancels the parts that have not begun.
            list(pool.map(partial(self._fetch_part, file, size, parts, where), range(0, size, _PART)))
            parts.replace(local)
        finally:
            # The other parts may wait for a silent store, and then write to a file that has no name any more.
            pool.shutdown(wait=False, cancel_futures=True)
            parts.unlink(missing_ok=True)

    def _fetch_part(self, file: SourceFile, size: int, parts: Path, where: str, begin: int) -> None:
        end = min(begin + _PART, size)
        with parts.open("r+b", buffering=0) as stream:
            stream.seek(begin)
            self._reader.copy(self._key(file), file, end, stream)
            _check_size(stream.tell(), end, where)

    def _new_local(self, file: SourceFile, where: str) -> Path:
        """Return the path of a local file: one with an object that an earlier run has kept, or a new one."""
        local = self._folder / self._flat_name(file)
        if not file.size:
            local.touch()
        elif self._kept and self._kept.take(where, file, local):
            self._check(file, local, where)
        self._local[file.path] = local
        return local

    def _flat_name(self, file: SourceFile) -> str:
        """Return the file's name after its folder's number. Files of one folder stay together, as SQLite's must."""
        folder, _, name = file.path.rpartition("/")
        # Several threads may be here. Each takes another number, and the first one is used.
        return f"{self._folder_numbers.setdefault(folder, next(self._numbers))}-{name}"


def _size(local: Path) -> int:
    try:
        return local.stat().st_size
    except FileNotFoundError:
        return 0


def _check_size(fetched: int, size: int, where: str) -> None:
    if fetched != size:
        raise changed(where, f"{fetched} of {size} bytes came")
