"""Object stores and local folders behind one face: list, stage into the cache, publish.

The only importer of cloudpathlib and boto3. Listing a bucket is one paginated request a thousand objects, with sizes
and ETags; cloudpathlib would ask again for each. Every fault of a store becomes a StorageError that names the object
and the remedy, told apart by error code and never by text.
"""

import contextlib
import functools
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from cloudpathlib import AnyPath, CloudPath, S3Client, S3Path
from cloudpathlib.exceptions import CloudPathException, MissingDependenciesError

from cytobatch.errors import CytobatchError, SourceNotFoundError, StorageError
from cytobatch.inventory import Inventory, SourceFile
from cytobatch.jobspec import PlateJob
from cytobatch.report import output_paths

_ATTEMPTS = 5
_WORKERS = 8
_DENIED = frozenset({"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})
_ABSENT = frozenset({"NoSuchBucket", "NoSuchKey", "404", "NotFound"})
_PART = ".cytobatch-part"


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a store: credentials, endpoint, and what to tell its API."""

    profile: str | None = None
    endpoint_url: str | None = None
    no_sign_request: bool = False
    extra_args: tuple[tuple[str, Any], ...] = ()
    workers: int = _WORKERS

    @classmethod
    def to_source(cls, job: PlateJob) -> "Access":
        """As the job says for its source."""
        extra = dict(job.extra_args) | ({"RequestPayer": "requester"} if job.requester_pays else {})
        return cls(job.profile, job.endpoint_url, job.no_sign_request, tuple(extra.items()), job.workers or _WORKERS)

    @classmethod
    def to_destination(cls, job: PlateJob) -> "Access":
        """As the job says for its destination; always signed."""
        return cls(
            job.destination_profile or job.profile,
            job.destination_endpoint_url or job.endpoint_url,
            workers=job.workers or _WORKERS,
        )


def is_remote(uri: str) -> bool:
    """Whether a path is in an object store."""
    return "://" in uri


@contextlib.contextmanager
def faults(where: str) -> Iterator[None]:
    """Turns faults of stores and disks into StorageErrors that name `where`."""
    try:
        yield
    except CytobatchError:
        raise
    except ClientError as error:
        raise _client_error(error, where) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise StorageError(
            "no credentials", where=where, why=str(error),
            remedy="give the job a role or AWS credentials; for a public source set CYTOBATCH_NO_SIGN_REQUEST=1",
        ) from error  # fmt: skip
    except EndpointConnectionError as error:
        raise StorageError(
            "store does not answer", where=where, why=str(error), remedy="check the endpoint URL and the network"
        ) from error
    except MissingDependenciesError as error:
        raise StorageError(
            "support for this store is not installed", where=where, why=str(error).splitlines()[0],
            remedy="install cytobatch[gs] or cytobatch[azure]",
        ) from error  # fmt: skip
    except FileNotFoundError as error:
        raise StorageError("no such file", where=where, why=str(error), remedy="check the path") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise StorageError(
            "a folder where a file should be, or the reverse", where=where, why=str(error), remedy="check the path"
        ) from error
    except PermissionError as error:
        raise StorageError(
            "no permission", where=where, why=str(error), remedy="check the owner and mode of the path"
        ) from error
    except (BotoCoreError, CloudPathException, OSError) as error:
        raise StorageError(
            "store failed", where=where, why=str(error) or type(error).__name__, remedy="try again"
        ) from error


def _client_error(error: ClientError, where: str) -> StorageError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", "")) or code
    if code in _DENIED:
        return StorageError(
            "no permission", where=where, why=f"{code}: {message}",
            remedy="grant the job's role s3:ListBucket and s3:GetObject on the source, s3:PutObject on the destination",
        )  # fmt: skip
    if code in _ABSENT:
        return StorageError(
            "no such bucket" if code == "NoSuchBucket" else "no such object", where=where, why=f"{code}: {message}",
            remedy="check the name; cytobatch makes no buckets",
        )  # fmt: skip
    return StorageError("store refused", where=where, why=f"{code}: {message}", remedy="try again")


def _s3_client(access: Access, cache: Path | None) -> S3Client:
    session = botocore.session.get_session()
    session.set_default_client_config(
        Config(retries={"mode": "standard", "max_attempts": _ATTEMPTS}, max_pool_connections=2 * access.workers)
    )
    return S3Client(
        boto3_session=Session(botocore_session=session, profile_name=access.profile),
        no_sign_request=access.no_sign_request,
        endpoint_url=access.endpoint_url,
        extra_args=dict(access.extra_args),
        local_cache_dir=cache,
        file_cache_mode="persistent" if cache else "tmp_dir",
    )


def open_path(uri: str, access: Access, cache: Path | None = None) -> Path | CloudPath:
    """A local path or a cloud path with its client. Raises StorageError."""
    with faults(uri):
        if uri.startswith("s3://"):
            return S3Path(uri, client=_s3_client(access, cache))
        path = AnyPath(uri)
        if isinstance(path, CloudPath) and cache is not None:
            path = type(path.client)(local_cache_dir=cache, file_cache_mode="persistent").CloudPath(uri)
        return path if isinstance(path, CloudPath) else Path(uri).expanduser()


def read_text(uri: str, access: Access) -> str:
    """The text of one small file. Raises StorageError."""
    with faults(uri):
        path = open_path(uri, access)
        try:
            content: bytes = path.read_bytes()
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise StorageError("not UTF-8 text", where=uri, why=str(error), remedy="save it as UTF-8") from error


class Source:
    """Where a plate's measurements are. `cache` is where fetched files are kept until they are released."""

    def __init__(self, job: PlateJob, cache: Path) -> None:
        self._uri = job.source
        access = Access.to_source(job)
        self._workers = access.workers
        self._open = functools.partial(open_path, access=access, cache=cache)
        self._root = self._open(job.source)
        self._threads = threading.local()

    def inventory(self) -> Inventory:
        """Every file below the source. Raises SourceNotFoundError if there is none, StorageError."""
        with faults(self._uri):
            files = list(_list_s3(self._root) if isinstance(self._root, S3Path) else _list_path(self._root))
        if not files:
            raise SourceNotFoundError(
                "source is missing or empty", where=self._uri, why="no file is there",
                remedy="check CYTOBATCH_SOURCE and that the upload has finished",
            )  # fmt: skip
        if len(files) == 1 and not files[0].path:
            self._root = self._root.parent
            name = self._uri.rstrip("/").rsplit("/", 1)[-1]
            return Inventory.of(str(self._root), [SourceFile(name, files[0].size, files[0].etag)])
        return Inventory.of(self._uri, files)

    def head(self, file: SourceFile, size: int) -> bytes:
        """The first bytes of a file, without fetching the rest from S3. Raises StorageError."""
        path = self._root / file.path
        with faults(str(path)):
            if isinstance(path, S3Path):
                extra = path.client.boto3_dl_extra_args
                span = f"bytes=0-{size - 1}"
                answer = path.client.client.get_object(Bucket=path.bucket, Key=path.key, Range=span, **extra)
                return bytes(answer["Body"].read())
            with path.open("rb") as stream:
                return bytes(stream.read(size))

    def stage(self, files: list[SourceFile]) -> dict[str, Path]:
        """Local paths of the files by their path at the source, fetched into the cache side by side."""
        if isinstance(self._root, Path):
            return {file.path: self._root / file.path for file in files}
        with ThreadPoolExecutor(self._workers) as pool:
            return dict(zip((file.path for file in files), pool.map(self._fetch, files), strict=True))

    def _fetch(self, file: SourceFile) -> Path:
        # cloudpathlib downloads through boto3's resources, which threads may not share.
        if not hasattr(self._threads, "root"):
            self._threads.root = self._open(str(self._root))
        path = self._threads.root / file.path
        with faults(str(path)):
            return Path(path.fspath)


def _list_s3(root: S3Path) -> Iterator[SourceFile]:
    """All objects below a prefix; or the one object of that very key, its path then being empty."""
    client, prefix = root.client, root.key.rstrip("/")
    pages = client.client.get_paginator("list_objects_v2").paginate(
        Bucket=root.bucket, Prefix=prefix, **client.boto3_list_extra_args
    )
    for page in pages:
        for entry in page.get("Contents", []):
            key: str = entry["Key"]
            below = not prefix or key == prefix or key.startswith(f"{prefix}/")
            if below and not key.endswith("/"):
                yield SourceFile(
                    key[len(prefix) :].lstrip("/"), entry["Size"], entry.get("ETag", "").strip('"') or None
                )


def _list_path(root: Path | CloudPath) -> Iterator[SourceFile]:
    if root.is_file():
        yield SourceFile("", root.stat().st_size)
        return
    if not root.exists():
        return
    for path in root.rglob("*"):
        if path.is_file():
            # Both kinds of path have parts; those of the root are a path's first.
            below = path.parts[len(root.parts) :]
            yield SourceFile("/".join(below), path.stat().st_size)


class Destination:
    """Where a plate's profile goes: files appear whole or not at all, and the report comes last."""

    def __init__(self, job: PlateJob) -> None:
        self._job = job
        uri = job.destination
        self._target = open_path(uri, Access.to_destination(job))
        self._folder = self._target.parent if job.single_file else self._target

    @property
    def report_uri(self) -> str:
        """Where the report goes: `run-report.json` in the folder, `<name>.run-report.json` beside a single file."""
        return str(self._report())

    def _report(self) -> Path | CloudPath:
        name = f"{self._target.stem}.run-report.json" if self._job.single_file else "run-report.json"
        return self._folder / name

    def check(self) -> None:
        """Raises StorageError now, before anything is spent, if the destination may not be written."""
        with faults(self._job.destination):
            report = self._report()
            if isinstance(report, S3Path):
                _check_s3(report)
            elif isinstance(self._folder, Path):
                _check_local(self._folder)
                if self._job.single_file and Path(str(self._target)).is_dir():
                    raise IsADirectoryError(str(self._target))

    def uri_of(self, name: str) -> str:
        """The full path of an output by its name below the destination."""
        return str(self._path_of(name))

    def _path_of(self, name: str) -> Path | CloudPath:
        return self._target if self._job.single_file else self._folder / name

    def publish(self, files: dict[str, Path]) -> None:
        """Puts files in place under their names, and takes away those of an earlier run, its report first.

        On a fault takes back those that it put, and raises StorageError.
        """
        earlier = self._earlier_outputs()
        if earlier is not None:
            self._remove(self._report())
        done: list[Path | CloudPath] = []
        try:
            for name, local in files.items():
                target = self._path_of(name)
                with faults(str(target)):
                    done.append(target)
                    _put(local, target)
        except StorageError:
            for target in done:
                self._remove(target)
            raise
        for uri in set(earlier or ()) - {str(target) for target in done}:
            path = self._folder / uri.removeprefix(f"{self._folder}/")
            self._remove(path)
            if isinstance(path, Path) and path.parent != self._folder and not any(path.parent.iterdir()):
                path.parent.rmdir()

    def _earlier_outputs(self) -> list[str] | None:
        """The paths below the destination that an earlier run's report names; None if there is no such report."""
        report = self._report()
        with faults(str(report)):
            try:
                text = report.read_bytes() if isinstance(report, Path) else _read_object(report)
            except FileNotFoundError:
                return None
        named = output_paths(text) if text is not None else None
        return named and [path for path in named if path.startswith(f"{self._folder}/")]

    def publish_report(self, text: str, scratch: Path) -> None:
        """Puts the report in place."""
        local = scratch / "run-report.json"
        local.write_text(text, encoding="utf-8")
        target = self._report()
        with faults(str(target)):
            _put(local, target)

    def _remove(self, target: Path | CloudPath) -> None:
        with faults(str(target)):
            if isinstance(target, S3Path):
                target.client.client.delete_object(Bucket=target.bucket, Key=target.key)
            else:
                target.unlink(missing_ok=True)


def _check_s3(target: S3Path) -> None:
    """Begins an upload and drops it: shows that the bucket is there and may be written, and leaves nothing."""
    client = target.client.client
    begun = client.create_multipart_upload(Bucket=target.bucket, Key=target.key)
    client.abort_multipart_upload(Bucket=target.bucket, Key=target.key, UploadId=begun["UploadId"])


def _read_object(path: CloudPath) -> bytes | None:
    """An object's content; None if there is none, or none that this role may see."""
    if not isinstance(path, S3Path):
        return bytes(path.read_bytes()) if path.exists() else None
    try:
        return bytes(path.client.client.get_object(Bucket=path.bucket, Key=path.key)["Body"].read())
    except ClientError as error:
        # To a role that may not list a bucket, an object that is not there is forbidden.
        if str(error.response.get("Error", {}).get("Code", "")) in _ABSENT | _DENIED:
            return None
        raise


def _check_local(folder: Path) -> None:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise StorageError(
            "destination is not a folder", where=str(folder), why=f"{existing} is a file",
            remedy="name a folder, or a file that ends in .parquet",
        )  # fmt: skip
    probe = existing / _PART
    probe.touch()
    probe.unlink()


def _put(local: Path, target: Path | CloudPath) -> None:
    if isinstance(target, S3Path):
        # cloudpathlib's upload_from asks the bucket about the target first, which a write-only role may not.
        target.client.client.upload_file(str(local), target.bucket, target.key)
        return
    if isinstance(target, CloudPath):
        target.upload_from(local, force_overwrite_to_cloud=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}{_PART}")
    try:
        shutil.copyfile(local, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
