"""Reads of S3 objects: by obstore, and by botocore what obstore cannot read.

Other stores are read by cloudpathlib.
"""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.exceptions import HTTPClientError, IncompleteReadError, ReadTimeoutError
from cloudpathlib import S3Path
from urllib3.exceptions import HTTPError

from cytobatch.errors import SourceChangedError
from cytobatch.planning.inventory import SourceFile
from cytobatch.storage.etags import unquoted
from cytobatch.storage.obstore_client import ObstoreClient, Span
from cytobatch.storage.time_limits import RetryBudget, TimeLimits

RANGE = 16 * 2**20
"""The most bytes of one request, as AWS recommends.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html
"""
CHANGED_REMEDY = "run again once the upload has finished"
_CHUNK = 2**18
_PARTIAL_CONTENT = 206
_BROKEN = (HTTPClientError, BotoConnectionError, IncompleteReadError, HTTPError)
"""Errors of a connection: botocore's, and those of urllib3 while a body is read."""


class S3Reader:
    """Reads objects of a path's bucket. Several threads may use it at once."""

    def __init__(self, root: S3Path, obstore: ObstoreClient) -> None:
        self._root = root
        self._obstore = obstore

    def copy(self, key: str, version: SourceFile, end: int, local: io.FileIO) -> None:
        """Write an object's bytes to its local copy, from the copy's position up to `end`, in ranges.

        Fewer bytes come of an object that has become shorter. Raises SourceChangedError, and ClientError or
        BotoCoreError, also if the object is not of the listed version any more.
        """
        while (begin := local.tell()) < end:
            stop = min(end, begin + RANGE)
            self._copy_range(key, version, stop, local)
            if local.tell() < stop:
                return

    def _copy_range(self, key: str, version: SourceFile, stop: int, local: io.FileIO) -> None:
        budget = RetryBudget(time_limits(self._root), local.tell())
        span = _span(version, local.tell(), stop)
        if not self._obstore.get(key, version.etag, span, local.write) and local.tell() < stop:
            budget.note(local.tell())
            _copy_rest(_Wanted(self._root, key, version, stop), local, budget)


def read_object(root: S3Path, key: str, span: Span | None = None, etag: str | None = None) -> bytes:
    """Return the bytes of a small object of a path's bucket, or its first bytes up to the end of a span.

    Raises SourceChangedError if it is not of the version with the ETag, ClientError, BotoCoreError or TimeoutError.
    """
    return read_with_etag(root, key, span, etag)[0]


def read_with_etag(
    root: S3Path, key: str, span: Span | None = None, etag: str | None = None, most: int | None = None
) -> tuple[bytes, str | None]:
    """Return what `read_object` returns, and the ETag of the version that was read.

    Raises FileTooLargeError, before the content comes, if it has more than `most` bytes.
    """
    content, response = io.BytesIO(), _get(root, key, span, etag)
    if most is not None and _length(response) > most:
        response["Body"].close()
        raise FileTooLargeError(most)
    version = SourceFile("", _length(response), _etag(response) or etag)
    _copy_rest(_Wanted(root, key, version, version.size), content, RetryBudget(time_limits(root)), response)
    return content.getvalue(), version.etag


def object_version(root: S3Path, key: str) -> SourceFile:
    """Return size and ETag of an object as it is now, with an empty path. Raises ClientError and BotoCoreError."""
    facts = root.client.client.head_object(Bucket=root.bucket, Key=key, **root.client.boto3_dl_extra_args)
    return SourceFile("", _length(facts), _etag(facts))


def read_span(root: S3Path, key: str, version: SourceFile, span: Span) -> bytes:
    """Return the bytes of one span of a version of an object; fewer if the object ends before.

    Raises what `read_object` raises.
    """
    content = _SpanOfObject(span[0])
    wanted = _Wanted(root, key, version, min(span[1], version.size))
    _copy_rest(wanted, content, RetryBudget(time_limits(root), span[0]))
    return content.getvalue()


class _SpanOfObject(io.BytesIO):
    """The bytes of an object from an offset on. Positions are those in the object."""

    def __init__(self, begin: int) -> None:
        super().__init__()
        self._begin = begin

    def tell(self) -> int:
        return self._begin + super().tell()


def time_limits(root: S3Path) -> TimeLimits:
    """Return the time limits of a path's store, which its client has."""
    return TimeLimits(root.client.client.meta.config.read_timeout)


def folder_key(root: S3Path) -> str:
    """Return what the keys of the objects below a root begin with: its own key and a slash, or nothing for a bucket."""
    key = root.key.rstrip("/")
    return f"{key}/" if key else ""


def object_key(root: S3Path, file: SourceFile) -> str:
    """Return the key of an object as it was listed. Joining paths would drop empty segments."""
    return file.key if file.key is not None else f"{folder_key(root)}{file.path}"


class FileTooLargeError(Exception):
    """A file has more bytes than may be read of it. The argument is their number."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The bytes of a version of an object, up to `end`."""

    root: S3Path
    key: str
    version: SourceFile
    end: int

    def get(self, begin: int) -> Any:
        """Return a response with these bytes from `begin` on."""
        return _get(self.root, self.key, _span(self.version, begin, self.end), self.version.etag)


def _copy_rest(wanted: _Wanted, local: IO[bytes] | io.FileIO, budget: RetryBudget, response: Any = None) -> None:
    """Write what a local copy lacks, of a response that has begun or of new ones.

    A stream that breaks off, or takes too long, is continued where it broke.
    """
    while local.tell() < wanted.end:
        try:
            response = response or wanted.get(local.tell())
            for chunk in _chunks(response, wanted.end - local.tell(), budget.limits):
                local.write(chunk)
        except _BROKEN:
            if not budget.allows_another(local.tell()):
                raise
            response = None
        else:
            # The object is shorter if bytes are missing still.
            return


def _chunks(response: Any, wanted: int, limits: TimeLimits) -> Iterator[bytes]:
    """Yield the body of a response, up to the wanted bytes, as they come: a slow one does not wait for a whole chunk.

    Raises IncompleteReadError for a body that ends early, and ReadTimeoutError for one that takes too long.
    """
    length = _length(response)
    left, until = min(wanted, length), time.monotonic() + limits.request
    with response["Body"] as stream:
        while left:
            chunk = stream.read1(min(left, _CHUNK))
            if not chunk:
                raise IncompleteReadError(actual_bytes=length - left, expected_bytes=length)
            left -= len(chunk)
            yield chunk
            if left and time.monotonic() > until:
                raise ReadTimeoutError(endpoint_url="", error=f"the response took more than {limits.request:g} seconds")
        if wanted >= length:
            # The next request uses the connection again.
            stream.drain_conn()


def _get(root: S3Path, key: str, span: Span | None, etag: str | None) -> Any:
    """Return botocore's response with the stream of an object: the one place that gets objects through it.

    Raises SourceChangedError if it is not of the version with the ETag, ClientError, BotoCoreError and OSError.
    """
    arguments = dict(root.client.boto3_dl_extra_args)
    if etag:
        arguments["IfMatch"] = f'"{etag}"'
    if span:
        arguments["Range"] = f"bytes={span[0]}-{span[1] - 1}"
    response = root.client.client.get_object(Bucket=root.bucket, Key=key, **arguments)
    answered = _etag(response)
    if etag and answered and answered != etag:
        raise changed(f"s3://{root.bucket}/{key}", f"its ETag is {answered}, and was {etag}")
    if span and span[0] and response["ResponseMetadata"]["HTTPStatusCode"] != _PARTIAL_CONTENT:
        raise OSError("the store has sent another range than it was asked for")
    return response


def changed(where: str, why: str) -> SourceChangedError:
    """Return the error of an object that is not of the listed version any more."""
    return SourceChangedError("object changed while it was read", where=where, why=why, remedy=CHANGED_REMEDY)


def _length(response: Any) -> int:
    if "ContentLength" not in response:
        raise OSError("the store has not sent the length of the object")
    return int(response["ContentLength"])


def _etag(response: Any) -> str | None:
    return unquoted(response.get("ETag"))


def _span(version: SourceFile, begin: int, end: int) -> Span | None:
    """Return the bytes to ask for, or None for the whole object."""
    return (begin, end) if begin or end < version.size else None
