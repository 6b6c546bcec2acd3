"""Access to stores, and their errors.

Every error of a store becomes a StorageError that names the object and the remedy. It is chosen by error code and never
by text.
"""

import contextlib
import errno
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import s3transfer.exceptions
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from cloudpathlib import AnyPath, CloudPath, S3Client, S3Path
from cloudpathlib.exceptions import CloudPathException, MissingDependenciesError
from urllib3.exceptions import HTTPError

from cytobatch import __version__
from cytobatch.config.options import DEFAULT_STORE_TIMEOUT, PlateJob, PlateOptions
from cytobatch.config.uris import check_location
from cytobatch.engine.resources import FEWEST_FETCH_THREADS, resource_limits
from cytobatch.errors import (
    AbsentFileError,
    AccessError,
    ConfigurationError,
    CytobatchError,
    SourceChangedError,
    StorageError,
)
from cytobatch.storage.boto_session import bound_requests, make_session
from cytobatch.storage.credentials import StoreCredentials, find_credentials
from cytobatch.storage.local_list import why_absent
from cytobatch.storage.md5 import check_content
from cytobatch.storage.s3_read import CHANGED_REMEDY, FileTooLargeError, read_with_etag
from cytobatch.storage.time_limits import TimeLimits

_ATTEMPTS = 5
USER_AGENT = f"cytobatch/{__version__}"
"""Shows the owner of a bucket where requests came from."""
DENIED = frozenset(
    {"AccessDenied", "AllAccessDisabled", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)
EXPIRED = frozenset({"ExpiredToken", "RequestTimeTooSkewed"})
"""Codes of requests that are signed at the wrong time. Another attempt has new credentials, or another clock."""
HIDDEN = frozenset({"AccessDenied", "403", "Forbidden"})
"""Codes that a role which may not list a bucket gets for an object that does not exist.

Codes of a wrong key or token are not among them, because they do not show whether the object exists.
"""
CHANGED = frozenset({"PreconditionFailed", "412"})
GONE = frozenset({"NoSuchKey", "404", "NotFound"})
ABSENT = GONE | {"NoSuchBucket"}


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a store: who asks, endpoint, and further arguments of its API.

    `credentials` is a name, not a secret: an access is printed, and is a key of clients.
    """

    profile: str | None = None
    credentials: str | None = None
    endpoint_url: str | None = None
    no_sign_request: bool = False
    extra_args: tuple[tuple[str, Any], ...] = ()
    workers: int = FEWEST_FETCH_THREADS
    timeout: float = DEFAULT_STORE_TIMEOUT
    check_md5: bool = False

    @classmethod
    def to_source(cls, job: PlateJob) -> "Access":
        """Return the access to a job's source."""
        threads = resource_limits(job).fetch_threads
        return replace(cls.for_options(job), workers=threads)

    @classmethod
    def for_options(cls, options: PlateOptions) -> "Access":
        """Return the access to a source, from the options that a job is made of later."""
        return cls(
            options.profile,
            options.credentials,
            options.endpoint_url,
            bool(options.no_sign_request),
            _extra_args(options),
            timeout=options.store_timeout or DEFAULT_STORE_TIMEOUT,
            check_md5=bool(options.check_md5),
        )

    @classmethod
    def to_destination(cls, job: PlateJob) -> "Access":
        """Return the access to a job's destination. Its requests are always signed."""
        is_own = bool(job.destination_profile or job.destination_credentials)
        # A block may have an endpoint of its own.
        endpoint = None if job.destination_credentials else job.endpoint_url
        return cls(
            job.destination_profile if is_own else job.profile,
            job.destination_credentials if is_own else job.credentials,
            job.destination_endpoint_url or endpoint,
            workers=resource_limits(job).fetch_threads,
            timeout=job.store_timeout,
        )

    def stored_credentials(self) -> StoreCredentials | None:
        """Return the credentials of the name, or None without a name. Raises the errors of their loader."""
        return find_credentials(self.credentials) if self.credentials else None


def _extra_args(options: PlateJob | PlateOptions) -> tuple[tuple[str, Any], ...]:
    """Return further arguments of transfers from the source."""
    extra = dict(options.extra_args or {}) | ({"RequestPayer": "requester"} if options.requester_pays else {})
    return tuple(extra.items())


@contextlib.contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Turn errors of stores and disks into a StorageError, or a class below it, that names `where`."""
    try:
        yield
    except CytobatchError:
        raise
    except (Boto3Error, *_TRANSFER_ERRORS) as error:
        # boto3 and s3transfer raise these in place of the client's error, which has the code.
        with storage_errors(where):
            raise _client_cause(error) from error
    except ClientError as error:
        raise _client_error(error, where) from error
    except MissingDependenciesError as error:
        raise ConfigurationError(
            "support for this store is not installed",
            where=where,
            why=str(error).splitlines()[0],
            remedy="install cytobatch[gs] or cytobatch[azure]",
        ) from error
    except (BotoCoreError, HTTPError, CloudPathException, ResponseParserError, OSError) as error:
        raise _other_error(error, where) from error


_TRANSFER_ERRORS = (
    s3transfer.exceptions.RetriesExceededError,
    s3transfer.exceptions.S3UploadFailedError,
    s3transfer.exceptions.S3DownloadFailedError,
    s3transfer.exceptions.S3CopyFailedError,
    s3transfer.exceptions.FatalError,
)
"""What s3transfer raises: these have no class in common."""


def _client_cause(error: BaseException) -> Exception:
    """Return the error of the client behind one of boto3's or s3transfer's, or an OSError with its text."""
    cause = getattr(error, "last_exception", None) or error.__cause__ or error.__context__
    return cause if isinstance(cause, Exception) else OSError(str(error) or type(error).__name__)


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What errors of some classes mean: the class of cytobatch, what failed, and the remedy."""

    errors: tuple[type[Exception], ...]
    kind: type[StorageError]
    what: str
    remedy: str


_MEANINGS = (
    _Meaning(
        (NoCredentialsError, PartialCredentialsError, ProfileNotFound),
        AccessError,
        "no credentials",
        "give the job a role, AWS credentials, or a profile that exists (--profile); for a public source give "
        "--no-sign-request",
    ),
    _Meaning(
        (EndpointConnectionError,), StorageError, "store does not answer", "check the endpoint URL and the network"
    ),
    _Meaning(
        (ConnectTimeoutError, ReadTimeoutError, TimeoutError),
        StorageError,
        "store does not answer in time",
        "run it again; for a slow network give --store-timeout more seconds",
    ),
    _Meaning((FileNotFoundError,), AbsentFileError, "no such file", "check the path"),
    _Meaning(
        (IsADirectoryError, NotADirectoryError),
        AccessError,
        "a folder where a file should be, or the reverse",
        "check the path",
    ),
    _Meaning((PermissionError,), AccessError, "no permission", "check the owner and mode of the path"),
    _Meaning((Exception,), StorageError, "store failed", "check the path and the store, then run it again"),
)
"""The first that fits holds."""
_FULL = (
    StorageError,
    "the disk is full",
    "free space on it; for intermediate files give --scratch-dir another disk, for results name another destination",
)
_DISK_ERRORS: Mapping[int, tuple[type[StorageError], str, str]] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: (
        AccessError,
        "the file system can only be read",
        "name a folder that can be written; for intermediate files give --scratch-dir another disk",
    ),
}
"""Errors of disks by the number that the system gives them."""


def _other_error(error: Exception, where: str) -> StorageError:
    if isinstance(error, OSError) and error.errno is not None and error.errno in _DISK_ERRORS:
        kind, what, remedy = _DISK_ERRORS[error.errno]
        return kind(what, where=where, why=str(error), remedy=remedy)
    if isinstance(error, FileNotFoundError) and isinstance(error.filename, str):
        why, remedy = why_absent(Path(error.filename))
        return AbsentFileError("no such file", where=where, why=why, remedy=remedy)
    meaning = next(meaning for meaning in _MEANINGS if isinstance(error, meaning.errors))
    return meaning.kind(meaning.what, where=where, why=str(error) or type(error).__name__, remedy=meaning.remedy)


def error_code(error: ClientError) -> str:
    """Return S3's code for an error, such as `NoSuchKey`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _client_error(error: ClientError, where: str) -> StorageError:
    code = error_code(error)
    message = str(error.response.get("Error", {}).get("Message", "")) or code
    kind, what, remedy = StorageError, "store refused", "run it again; if it fails again, look up the code in S3's list"
    if code in DENIED:
        kind, what = AccessError, "no permission"
        remedy = "grant the job's role s3:ListBucket and s3:GetObject on the source, s3:PutObject on the destination"
    elif code in EXPIRED:
        what, remedy = "credentials have expired, or the clock is wrong", "renew the credentials, or set the clock"
    elif code in CHANGED:
        kind, what, remedy = SourceChangedError, "object changed while it was read", CHANGED_REMEDY
    elif code in ABSENT:
        kind, what = AbsentFileError, "no such bucket" if code == "NoSuchBucket" else "no such object"
        remedy = "check the name; cytobatch makes no buckets"
    return kind(what, where=where, why=f"{code}: {message}", remedy=remedy)


def _s3_client(access: Access, cache: Path | None) -> S3Client:
    credentials, limits = access.stored_credentials(), TimeLimits(access.timeout)
    config = Config(
        connect_timeout=limits.connect,
        read_timeout=limits.read,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=2 * access.workers,
        user_agent_extra=USER_AGENT,
    )
    client = S3Client(
        boto3_session=make_session(access.profile, config, credentials=credentials),
        no_sign_request=access.no_sign_request,
        endpoint_url=access.endpoint_url or (credentials.endpoint_url if credentials else None),
        extra_args=dict(access.extra_args),
        local_cache_dir=cache,
        file_cache_mode="persistent" if cache else "tmp_dir",
    )
    bound_requests(client.client, limits)
    return client


class Clients:
    """Clients of S3 for many plates: one for each access, because making one takes up to a tenth of a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, Path | None], S3Client] = {}

    def s3(self, access: Access, cache: Path | None) -> S3Client:
        """Return the client for an access. Threads may share it."""
        # Values in `extra_args` may have no hash.
        key = (repr(access), cache)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = _s3_client(access, cache)
            return self._clients[key]


def open_path(uri: str, access: Access, cache: Path | None = None, clients: Clients | None = None) -> Path | CloudPath:
    """Return a local path, or a cloud path with its client: for S3 one of `clients`, if given.

    Raises ConfigurationError for a location that is neither, and StorageError.
    """
    try:
        check_location(uri)
    except ValueError as error:
        raise ConfigurationError(
            "no location of a file",
            where=uri,
            why=str(error),
            remedy="download the file first, or give its own path in the store",
        ) from error
    with storage_errors(uri):
        if uri.startswith("s3://"):
            return S3Path(uri, client=(clients or Clients()).s3(access, cache))
        path = AnyPath(uri)
        if isinstance(path, CloudPath) and cache is not None:
            path = type(path.client)(local_cache_dir=cache, file_cache_mode="persistent").CloudPath(uri)
        if isinstance(path, CloudPath):
            return path
        return Path(uri).expanduser()


def read_content(path: Path | CloudPath, *, check_md5: bool = False, most: int | None = None) -> bytes:
    """Return the bytes of a small file, for S3 compared with its ETag if asked.

    Raises FileNotFoundError, and for S3 a ClientError, if it does not exist; StorageError for other bytes;
    FileTooLargeError if it has more than `most` bytes.
    """
    if isinstance(path, S3Path):
        # cloudpathlib would send seven requests in place of one, and keep the object in a cache.
        content, etag = read_with_etag(path, path.key, most=most)
        if check_md5:
            check_content(path, path.key, etag, content)
        return content
    if isinstance(path, CloudPath) and not path.exists():
        raise FileNotFoundError(str(path))
    if isinstance(path, CloudPath) and most is not None and path.stat().st_size > most:
        raise FileTooLargeError(most)
    with path.open("rb") as stream:
        # The size of a device or a pipe is not known before it is read.
        content = bytes(stream.read(-1 if most is None else most + 1))
    if most is not None and len(content) > most:
        raise FileTooLargeError(most)
    return content


def read_text(uri: str, access: Access, most: int | None = None) -> str:
    """Return the text of one small file. Raises StorageError, and FileTooLargeError beyond `most` bytes."""
    with storage_errors(uri):
        content = read_content(open_path(uri, access), check_md5=access.check_md5, most=most)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise StorageError("not UTF-8 text", where=uri, why=str(error), remedy="save it as UTF-8") from error
