"""Objects of S3 as local files: by GETs of what is not there yet, of the version that was listed."""

import contextlib
import itertools
import os
from pathlib import Path

from botocore.exceptions import HTTPClientError, IncompleteReadError
from cloudpathlib import S3Path
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from cytobatch.errors import StorageError
from cytobatch.planning.inventory import SourceFile
from cytobatch.storage.access import storage_errors
from cytobatch.storage.obstore_client import ObstoreClient

_CHUNK = 2**20
_ATTEMPTS = 5
_LARGE = 64 * 2**20


class Objects:
    """The objects below `root` as local files.

    In a cache that `keeps` them they are where cloudpathlib would have them; its own download asks a store three times
    for each object, and takes seven times as long. In another, all are in one folder: making one for each site
    takes longer than what a site's files begin with takes to come.
    """

    def __init__(self, root: S3Path, cache: Path, *, keeps: bool) -> None:
        self._root = root
        self._cache = cache
        cache.mkdir(parents=True, exist_ok=True)
        self._keeps = keeps
        # A path for each object, made of thousands, would take as long as its GET.
        self._prefix = f"{root.key.rstrip('/')}/" if root.key else ""
        self._gets = ObstoreClient(root)
        self._local: dict[str, Path] = {}
        self._folders: dict[str, int] = {}
        self._numbers = itertools.count()

    def fetch(self, file: SourceFile, size: int) -> Path:
        """The local file, with at least `size` of the object's bytes; none are fetched twice.

        Raises StorageError, also where the object is not the one that was listed any more.
        """
        where = f"s3://{self._root.bucket}/{self._key(file)}"
        if ".." in file.path.split("/"):
            raise StorageError(
                "object's name leads out of its folder", where=where, why="it has '..' in it", remedy="rename it"
            )
        with storage_errors(where):
            local = self._local.get(file.path) or self._begun(file)
            if _size(local) >= size:
                return local
            self._add(file, size, local)
            if _size(local) < size:
                raise StorageError(
                    "object is shorter than it was listed",
                    where=where,
                    why=f"{_size(local)} of {size} bytes came",
                    remedy="run again once the upload has finished",
                )
            if self._keeps and size == file.size and file.modified is not None:
                os.utime(local, (file.modified, file.modified))
        return local

    def _key(self, file: SourceFile) -> str:
        return self._prefix + file.path

    def _add(self, file: SourceFile, size: int, local: Path) -> None:
        """Adds what a local file lacks of the first `size` bytes."""
        bucket, key, client = self._root.bucket, self._key(file), self._root.client
        if size >= _LARGE and not _size(local):
            # In parts side by side, as one stream alone does not fill a network; but where a beginning is there, as
            # of CSV files, these would fetch it again, and several files come at once.
            client.client.download_file(bucket, key, str(local), client.boto3_dl_extra_args)
        elif not self._append(file, size, local) and _size(local) < size:
            _fetch_rest(self._root / file.path, file, size, local)

    def _append(self, file: SourceFile, size: int, local: Path) -> bool:
        with local.open("ab", buffering=0) as stream:
            return self._gets.get(self._key(file), file.etag, _span(file, size, local), stream.write)

    def _begun(self, file: SourceFile) -> Path:
        """Where the local file is: an earlier run's, if it is whole and of the time that is listed, or yet to be."""
        local = self._kept(file) if self._keeps else self._cache / self._flat_name(file)
        if not file.size:
            local.touch()
        self._local[file.path] = local
        return local

    def _kept(self, file: SourceFile) -> Path:
        local = self._cache / self._root.bucket / self._key(file)
        local.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            found = local.stat()
            if (found.st_size, found.st_mtime) != (file.size, file.modified):
                # Another run may share a cache that persists.
                local.unlink(missing_ok=True)
        return local

    def _flat_name(self, file: SourceFile) -> str:
        """The file's own name behind its folder's number: those of one folder stay beside each other, as SQLite's."""
        folder, _, name = file.path.rpartition("/")
        # Several threads may be here: each takes another number, and the first one counts.
        return f"{self._folders.setdefault(folder, next(self._numbers))}-{name}"


def _size(local: Path) -> int:
    try:
        return local.stat().st_size
    except FileNotFoundError:
        return 0


def _span(file: SourceFile, size: int, local: Path) -> tuple[int, int] | None:
    """Where what a local file lacks of the first `size` bytes begins and ends; None where it is the whole object."""
    begin = _size(local)
    return (begin, size) if begin or size < file.size else None


@retry(
    retry=retry_if_exception_type((HTTPClientError, IncompleteReadError)),
    stop=stop_after_attempt(_ATTEMPTS),
    wait=wait_exponential_jitter(multiplier=0.2, max=20),
    reraise=True,
)
def _fetch_rest(path: S3Path, file: SourceFile, size: int, local: Path) -> None:
    """Adds what a local file lacks of the first `size` bytes; a broken stream is taken up where it broke."""
    said = dict(path.client.boto3_dl_extra_args)
    span = _span(file, size, local)
    if span:
        said["Range"] = f"bytes={span[0]}-{span[1] - 1}"
    if file.etag:
        said["IfMatch"] = f'"{file.etag}"'
    answer = path.client.client.get_object(Bucket=path.bucket, Key=path.key, **said)
    with local.open("ab") as stream:
        for chunk in answer["Body"].iter_chunks(_CHUNK):
            stream.write(chunk)
