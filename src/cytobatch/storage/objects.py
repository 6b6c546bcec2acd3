"""Objects of S3 as local files: by GETs of what is not there yet, of the version that was listed."""

import os
from pathlib import Path

from botocore.exceptions import HTTPClientError, IncompleteReadError
from cloudpathlib import S3Path
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from cytobatch.errors import StorageError
from cytobatch.inventory import SourceFile
from cytobatch.storage.access import faults
from cytobatch.storage.gets import Gets

_CHUNK = 2**20
_ATTEMPTS = 5
_LARGE = 64 * 2**20


class Objects:
    """The objects below `root` as local files, where cloudpathlib would have them in its cache.

    cloudpathlib's own download asks a store three times for each object, and takes seven times as long.
    """

    def __init__(self, root: S3Path, cache: Path) -> None:
        self._root = root
        self._cache = cache
        self._gets = Gets(root)
        self._begun: set[str] = set()

    def fetch(self, file: SourceFile, size: int) -> Path:
        """The local file, with at least `size` of the object's bytes; none are fetched twice.

        Raises StorageError, also where the object is not the one that was listed any more.
        """
        if ".." in file.path.split("/"):
            raise StorageError(
                "object's name leads out of its folder", where=f"{self._root}/{file.path}", why="it has '..' in it",
                remedy="rename it",
            )  # fmt: skip
        path = self._root / file.path
        with faults(str(path)):
            local = self._local(path, file)
            if _size(local) >= size:
                return local
            if size >= _LARGE:
                # In parts side by side: one stream alone does not fill a network.
                path.client.client.download_file(path.bucket, path.key, str(local), path.client.boto3_dl_extra_args)
            elif not self._gets.append(path.key, file.etag, _span(file, size, local), local) and _size(local) < size:
                _fetch_rest(path, file, size, local)
            if _size(local) < size:
                raise StorageError(
                    "object is shorter than it was listed", where=str(path), why=f"{_size(local)} of {size} bytes came",
                    remedy="run again once the upload has finished",
                )  # fmt: skip
            if size == file.size and file.modified is not None:
                os.utime(local, (file.modified, file.modified))
        return local

    def _local(self, path: S3Path, file: SourceFile) -> Path:
        """Where the local file is: an earlier run's, if it is whole and of the time that is listed, or yet to be."""
        local = self._cache / path.bucket / path.key
        if file.path in self._begun:
            return local
        try:
            found = local.stat()
        except FileNotFoundError:
            local.parent.mkdir(parents=True, exist_ok=True)
        else:
            if (found.st_size, found.st_mtime) != (file.size, file.modified):
                # Another run may share a cache that persists.
                local.unlink(missing_ok=True)
        if not file.size:
            local.touch()
        self._begun.add(file.path)
        return local


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
    retry=retry_if_exception_type((HTTPClientError, IncompleteReadError)), stop=stop_after_attempt(_ATTEMPTS),
    wait=wait_exponential_jitter(multiplier=0.2, max=20), reraise=True,
)  # fmt: skip
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
