"""Requests to S3 that hold Python's lock for a moment only.

botocore makes a request and reads its answer in Python: about 2 ms for each of thousands of files, under a lock that
the threads which read and join wait for. obstore does the same in Rust. It lacks some of what may stand between a job
and a bucket (redirects to another region, unusual host names, SSE-C), so every method reports a failure instead of
raising, and the caller asks botocore.
"""

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import botocore
import obstore
from cloudpathlib import S3Path
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError, InvalidPathError
from obstore.store import S3Store

from cytobatch.planning.inventory import SourceFile
from cytobatch.storage.etags import unquoted
from cytobatch.storage.time_limits import TimeLimits, in_time

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

Span = tuple[int, int]
"""The bytes of an object from the first offset up to the second."""

# A chunk that is written at once is still in the CPU's cache.
_CHUNK = 256 * 2**10
_LISTED_AT_ONCE = 1000
_RETRIES = 3
_LONGEST_PAUSE = timedelta(seconds=5)
_REQUESTER_PAYS = {"RequestPayer": "requester"}
_REGION = "us-east-1"
# botocore renews credentials at the latest ten minutes before they expire.
_CREDENTIALS_FOR = timedelta(minutes=5)


class ObstoreClient:
    """A client for the bucket of a path, with the credentials and endpoint of the path's own client.

    Several threads may use it at once. After the first failed GET it makes no more GETs, because the next ones would
    fail for the same reason.
    """

    def __init__(self, path: S3Path) -> None:
        self._path = path
        self._gets = True

    @functools.cached_property
    def _store(self) -> S3Store | None:
        """The store, made when it is first used: that takes 4 ms of CPU, and may ask a server for credentials."""
        return _store(self._path)

    def get(self, key: str, etag: str | None, span: Span | None, write: Callable[[Any], object]) -> bool:
        """Write an object of this version, or a span of it, in chunks. Return False if it may have been cut short."""
        if self._store is None or not self._gets or _is_altered(key):
            return False
        written = 0
        try:
            answer = obstore.get(self._store, key, options=_options(etag, span))
            if not _is_version(answer.meta["e_tag"], etag):
                # A store that ignores the condition of a request.
                return False
            for chunk in answer.stream(min_chunk_size=_CHUNK):
                write(chunk)
                written += len(chunk)
        except (ValueError, InvalidPathError):
            # obstore refuses some keys, as those with an empty path segment.
            return False
        except (BaseError, FileNotFoundError):
            # A response that breaks off is no reason to make the next request by botocore.
            self._gets = written > 0
            return False
        return True

    def list(self, prefix: str) -> list[SourceFile] | None:
        """Return all objects below a folder, by their paths there, or None if they cannot be listed.

        Paths lack a `/` at the end of keys: the marker of a folder looks like an empty object, that of the folder
        itself has an empty path.
        """
        if self._store is None or _is_altered(prefix):
            return None
        store, limits = self._store, TimeLimits(self._path.client.client.meta.config.read_timeout)
        try:
            pages = iter(obstore.list(store, prefix or None, chunk_size=_LISTED_AT_ONCE))
            files: list[SourceFile] = []
            while page := in_time(lambda: next(pages, None), limits.operation):
                files += [_source_file(entry, prefix) for entry in page]
        except (ValueError, BaseError, FileNotFoundError, TimeoutError):
            return None
        return files


def _source_file(entry: "ObjectMeta", prefix: str) -> SourceFile:
    path = entry["path"][len(prefix) :].lstrip("/")
    return SourceFile(path, entry["size"], unquoted(entry["e_tag"]), entry["last_modified"].timestamp())


def _is_version(answered: str | None, etag: str | None) -> bool:
    """Whether a response is of the version with an ETag, as far as both are known."""
    return not answered or not etag or unquoted(answered) == etag


def _is_altered(key: str) -> bool:
    """Whether obstore would ask for another key: it drops a `/` at either end."""
    return key != key.strip("/")


def _options(etag: str | None, span: Span | None) -> "GetOptions":
    options: GetOptions = {}
    if etag:
        options["if_match"] = f'"{etag}"'
    if span:
        options["range"] = span
    return options


def _store(path: S3Path) -> S3Store | None:
    """Return a bucket's store, or None if obstore does not support the client's settings."""
    client, extra_args = path.client.client, path.client.boto3_dl_extra_args
    signed = client.meta.config.signature_version is not botocore.UNSIGNED
    if extra_args not in ({}, _REQUESTER_PAYS):
        return None
    session = path.client.sess
    if signed and session.get_credentials() is None:
        return None
    endpoint, limits = client.meta.endpoint_url, TimeLimits(client.meta.config.read_timeout)
    # Every setting that obstore would otherwise read from the environment: its variables are meant for boto3.
    return S3Store(
        path.bucket,
        endpoint=endpoint,
        aws_endpoint_url_s3=endpoint,
        region=client.meta.region_name or _REGION,
        virtual_hosted_style_request=False,
        skip_signature=not signed,
        request_payer=extra_args == _REQUESTER_PAYS,
        credential_provider=Boto3CredentialProvider(session, ttl=_CREDENTIALS_FOR) if signed else None,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=limits.connect),
            "read_timeout": timedelta(seconds=limits.read),
            "timeout": timedelta(seconds=limits.request),
        },
        retry_config={
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=limits.retries),
            "backoff": {"max_backoff": _LONGEST_PAUSE},
        },
    )
