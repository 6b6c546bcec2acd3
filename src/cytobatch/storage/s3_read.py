"""Reads of S3 objects: by obstore, and by botocore what obstore cannot read.

Other stores are read by cloudpathlib.
"""

from io import FileIO
from typing import Any

from botocore.exceptions import HTTPClientError, IncompleteReadError
from cloudpathlib import S3Path
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from cytobatch.planning.inventory import SourceFile
from cytobatch.storage.obstore_client import ObstoreClient, Span

_CHUNK = 2**20
_ATTEMPTS = 5


class S3Reader:
    """Reads objects of a path's bucket. Several threads may use it at once."""

    def __init__(self, root: S3Path, obstore: ObstoreClient) -> None:
        self._root = root
        self._obstore = obstore

    def copy(self, key: str, version: SourceFile, end: int, local: FileIO) -> None:
        """Write an object's bytes to its local copy, from the copy's position up to `end`.

        Fewer bytes come of an object that has become shorter. Raises ClientError or BotoCoreError, also if the object
        is not of the listed version any more.
        """
        span = _span(version, local.tell(), end)
        if not self._obstore.get(key, version.etag, span, local.write) and local.tell() < end:
            _copy_rest(self._root, key, version, end, local)


def read_object(root: S3Path, key: str, span: Span | None = None) -> bytes:
    """Return the bytes of a small object of a path's bucket, or a span. Raises ClientError or BotoCoreError."""
    return bytes(_get(root, key, span).read())


def folder_key(root: S3Path) -> str:
    """Return what the keys of the objects below a root begin with: its own key and a slash, or nothing for a bucket."""
    key = root.key.rstrip("/")
    return f"{key}/" if key else ""


def object_key(root: S3Path, file: SourceFile) -> str:
    """Return the key of an object as it was listed. Joining paths would drop empty segments."""
    return file.key if file.key is not None else f"{folder_key(root)}{file.path}"


@retry(
    retry=retry_if_exception_type((HTTPClientError, IncompleteReadError)),
    stop=stop_after_attempt(_ATTEMPTS),
    wait=wait_exponential_jitter(multiplier=0.2, max=20),
    reraise=True,
)
def _copy_rest(root: S3Path, key: str, version: SourceFile, end: int, local: FileIO) -> None:
    """Write what a local copy lacks. A stream that breaks off is continued where it broke."""
    condition = {"IfMatch": f'"{version.etag}"'} if version.etag else {}
    for chunk in _get(root, key, _span(version, local.tell(), end), **condition).iter_chunks(_CHUNK):
        local.write(chunk)


def _get(root: S3Path, key: str, span: Span | None, **condition: str) -> Any:
    """Return botocore's stream of an object: the one place that gets objects through it."""
    arguments = root.client.boto3_dl_extra_args | condition
    if span:
        arguments["Range"] = f"bytes={span[0]}-{span[1] - 1}"
    return root.client.client.get_object(Bucket=root.bucket, Key=key, **arguments)["Body"]


def _span(version: SourceFile, begin: int, end: int) -> Span | None:
    """Return the bytes to ask for, or None for the whole object."""
    return (begin, end) if begin or end < version.size else None
