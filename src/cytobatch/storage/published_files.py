"""The files of a published result, for reading: local ones where they are, others fetched into a folder."""

from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError
from cloudpathlib import CloudPath, S3Path

from cytobatch.errors import AbsentFileError
from cytobatch.storage.access import ABSENT, Access, error_code, open_path, read_content, storage_errors

_REPORT = "run-report.json"
_PARQUET = ".parquet"


@dataclass(frozen=True, slots=True)
class PublishedFiles:
    """A result: `folder` holds its outputs, `report_name` is its report there. Fetched files lie in `scratch`."""

    folder: Path | CloudPath
    report_name: str
    scratch: Path

    @classmethod
    def open(cls, result: str, access: Access, scratch: Path) -> "PublishedFiles":
        """Open a result by its folder, its `.parquet` file, or its report. Raises StorageError."""
        path = open_path(result.rstrip("/"), access)
        if path.name.endswith(_REPORT):
            return cls(path.parent, path.name, scratch)
        if path.suffix == _PARQUET:
            return cls(path.parent, f"{path.stem}.{_REPORT}", scratch)
        return cls(path, _REPORT, scratch)

    @property
    def report_uri(self) -> str:
        """The path of the report."""
        return str(self.folder / self.report_name)

    def report(self) -> bytes:
        """Return the bytes of the report. Raises AbsentFileError, StorageError."""
        with storage_errors(self.report_uri):
            return read_content(self.folder / self.report_name)

    def local(self, name: str) -> Path:
        """Return a local file with the content of a file below the folder.

        If there is no such file at the result, the path that is returned does not exist. Raises StorageError.
        """
        path = self.folder / name
        if isinstance(path, Path):
            return path
        target = self.scratch / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with storage_errors(str(path)):
                _fetch(path, target)
        except AbsentFileError:
            target.unlink(missing_ok=True)
        return target


def _fetch(path: CloudPath, target: Path) -> None:
    if not isinstance(path, S3Path):
        path.download_to(target)
        return
    try:
        path.client.client.download_file(path.bucket, path.key, str(target))
    except ClientError as error:
        if error_code(error) in ABSENT:
            raise FileNotFoundError(str(path)) from error
        raise
