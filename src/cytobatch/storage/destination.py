"""The destination of a profile: files appear whole or not at all, and the report comes last."""

import errno
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError
from cloudpathlib import CloudPath, S3Path

from cytobatch.config.options import SINGLE_CELLS, PlateJob
from cytobatch.errors import StorageError
from cytobatch.output.written_file import files_below
from cytobatch.report.model import output_paths
from cytobatch.storage.access import (
    ABSENT,
    HIDDEN,
    Access,
    Clients,
    error_code,
    open_path,
    read_content,
    storage_errors,
)

_PART = ".cytobatch-part"
REPORT = "run-report.json"
"""The name of the report in a folder, and the end of its name beside a single file."""


class Destination:
    """The destination of a plate's profile: a folder, or a single file with others beside it."""

    def __init__(self, job: PlateJob, clients: Clients | None = None) -> None:
        self._job = job
        uri = job.destination
        self._target = open_path(uri, Access.to_destination(job), clients=clients)
        self._folder = self._target.parent if job.single_file else self._target

    @property
    def report_uri(self) -> str:
        """The report's path: `run-report.json` in the folder, `<name>.run-report.json` beside a single file."""
        return str(self._report())

    def _report(self) -> Path | CloudPath:
        return report_path(self._job, self._target)

    def check(self) -> None:
        """Raise StorageError if the destination may not be written: now, before anything is spent."""
        with storage_errors(self._job.destination):
            report = self._report()
            if isinstance(report, S3Path):
                _check_s3(report)
            elif isinstance(self._folder, Path):
                _check_local(self._folder)
                if self._job.single_file and Path(str(self._target)).is_dir():
                    raise IsADirectoryError(str(self._target))

    def uri_of(self, name: str) -> str:
        """Return the full path of an output by its name below the destination."""
        return str(self._path_of(name))

    def _path_of(self, name: str) -> Path | CloudPath:
        if not self._job.single_file:
            return self._folder / name
        # The joined profile is the target itself. Names of other outputs begin with the target's.
        output, _, below = name.partition("/")
        stem = self._target.stem
        own = output.removeprefix(SINGLE_CELLS) if output.startswith(f"{SINGLE_CELLS}.") else f".{output}"
        path = self._target.with_name(f"{stem}{own}")
        return path / below if below else path

    def publish(self, outputs: Mapping[str, Path]) -> None:
        """Move files, and folders' files, in place under their names.

        Files of an earlier run that are not written again are removed, its report first. If a file fails, those that
        were moved are removed, and StorageError is raised.
        """
        files = dict(_each_file(outputs))
        earlier = self._earlier_outputs()
        if earlier is not None:
            self._remove(self._report())
        done: list[Path | CloudPath] = []
        try:
            for name, local in files.items():
                target = self._path_of(name)
                with storage_errors(str(target)):
                    done.append(target)
                    put(local, target)
        except StorageError:
            for target in done:
                self._remove(target)
            raise
        for uri in set(earlier or ()) - {str(target) for target in done}:
            path = self._folder / uri.removeprefix(f"{self._folder}/")
            self._remove(path)
            if isinstance(path, Path) and isinstance(self._folder, Path):
                remove_empty(path.parent, self._folder)

    def _earlier_outputs(self) -> list[str] | None:
        """Return the paths below the destination in an earlier run's report, or None if there is no report."""
        text = self.earlier_report()
        named = output_paths(text) if text is not None else None
        # A report may be a stranger's: what it names outside the folder is not ours to remove.
        return named and [path for path in named if path.startswith(f"{self._folder}/") and ".." not in path.split("/")]

    def earlier_report(self) -> bytes | None:
        """Return the text of the report that an earlier run has published, or None. Raises StorageError."""
        report = self._report()
        with storage_errors(str(report)):
            try:
                return read_content(report)
            except FileNotFoundError:
                return None
            except ClientError as error:
                # An object that does not exist is forbidden to a role that may not list its bucket.
                if error_code(error) in ABSENT | HIDDEN:
                    return None
                raise

    def size_of(self, uri: str, files: Sequence[str] = ()) -> int | None:
        """Return the bytes of a published file, or of all `files` below a published folder. None if one is missing."""
        paths = [f"{uri}/{name}" for name in files] or [uri]
        sizes = [_size(self._folder / path.removeprefix(f"{self._folder}/")) for path in paths]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    def publish_report(self, text: str, scratch: Path) -> None:
        """Put the report in place."""
        local = scratch / REPORT
        local.write_text(text, encoding="utf-8")
        target = self._report()
        with storage_errors(str(target)):
            put(local, target)

    def _remove(self, target: Path | CloudPath) -> None:
        with storage_errors(str(target)):
            if isinstance(target, S3Path):
                target.client.client.delete_object(Bucket=target.bucket, Key=target.key)
            else:
                target.unlink(missing_ok=True)


def report_path(job: PlateJob, target: Path | CloudPath) -> Path | CloudPath:
    """Return the path of a plate's report whose destination is `target`.

    It is `run-report.json` in the folder, or `<name>.run-report.json` beside a single file.
    """
    return report_beside(target) if job.single_file else target / REPORT


def report_beside(file: Path | CloudPath) -> Path | CloudPath:
    """Return the path of the report beside a destination that is one file."""
    return file.with_name(f"{file.stem}.{REPORT}")


def _each_file(outputs: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    for name, path in outputs.items():
        if path.is_dir():
            yield from ((f"{name}/{below}", path / below) for below in sorted(files_below(path)))
        else:
            yield name, path


def remove_empty(folder: Path, root: Path) -> None:
    """Remove a folder, and those above it below `root`, if removing an earlier run's files has left them empty."""
    while folder != root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _check_s3(target: S3Path) -> None:
    """Start an upload and abort it, which shows that the bucket exists and may be written, and leaves nothing."""
    client = target.client.client
    upload = client.create_multipart_upload(Bucket=target.bucket, Key=target.key)
    client.abort_multipart_upload(Bucket=target.bucket, Key=target.key, UploadId=upload["UploadId"])


def _size(path: Path | CloudPath) -> int | None:
    with storage_errors(str(path)):
        try:
            if not isinstance(path, S3Path):
                return path.stat().st_size
            return int(path.client.client.head_object(Bucket=path.bucket, Key=path.key)["ContentLength"])
        except FileNotFoundError:
            return None
        except ClientError as error:
            if error_code(error) in ABSENT | HIDDEN:
                return None
            raise


def _check_local(folder: Path) -> None:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise StorageError(
            "destination is not a folder",
            where=str(folder),
            why=f"{existing} is a file",
            remedy="name a folder, or a file that ends in .parquet",
        )
    # A file without a fixed name, because several runs may check one folder at once.
    with tempfile.TemporaryFile(dir=existing):
        pass


def put(local: Path, target: Path | CloudPath) -> None:
    """Move a file into place, whole or not at all."""
    if isinstance(target, S3Path):
        # cloudpathlib's upload_from requests the target first, which a write-only role may not.
        try:
            target.client.client.upload_file(str(local), target.bucket, target.key)
        except S3UploadFailedError as error:
            # boto3 raises it in place of the client's error, which has the code.
            raise error.__context__ or error from None
        return
    if isinstance(target, CloudPath):
        target.upload_from(local, force_overwrite_to_cloud=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}{_PART}")
    try:
        _move(local, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def fetch(path: CloudPath, local: Path) -> None:
    """Fetch an object to a local file. Raises the errors of its store."""
    if isinstance(path, S3Path):
        # cloudpathlib would request the object several times, and keep it in a cache.
        path.client.client.download_file(path.bucket, path.key, str(local))
    else:
        path.download_to(local)


def write_text(uri: str, text: str, access: Access) -> None:
    """Write one small file, whole or not at all. Raises StorageError."""
    with storage_errors(uri), tempfile.TemporaryDirectory(prefix="cytobatch-") as scratch:
        local = Path(scratch) / "text"
        local.write_text(text, encoding="utf-8")
        put(local, open_path(uri, access))


def _move(local: Path, part: Path) -> None:
    """Move a file to another folder: at once on one disk, else by a copy."""
    try:
        local.rename(part)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(local, part)
