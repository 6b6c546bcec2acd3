"""The files of a published result, for reading: local ones where they are, others fetched into a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from cloudpathlib import CloudPath, S3Path

from cytobatch.config.options import PARQUET
from cytobatch.config.uris import is_remote
from cytobatch.errors import AbsentFileError, InputDataError
from cytobatch.storage.access import Access, open_path, read_content, storage_errors
from cytobatch.storage.destination import REPORT, fetch, report_beside
from cytobatch.storage.ranged_object import RangedObject


@dataclass(frozen=True, slots=True)
class PublishedFiles:
    """A result: `report` is its run report, beside its outputs. Fetched files lie in `scratch`."""

    report: Path | CloudPath
    scratch: Path

    @classmethod
    def open(cls, result: str, access: Access, scratch: Path) -> "PublishedFiles":
        """Open a result by its folder, its `.parquet` file, or its report. Raises StorageError."""
        path = open_path(result.rstrip("/"), access)
        if path.name.endswith(REPORT):
            return cls(path, scratch)
        return cls(report_beside(path) if path.suffix == PARQUET else path / REPORT, scratch)

    def read_report(self) -> bytes:
        """Return the bytes of the report. Raises AbsentFileError, StorageError."""
        try:
            with storage_errors(str(self.report)):
                return read_content(self.report)
        except AbsentFileError as error:
            raise AbsentFileError(
                "no result of cytobatch",
                where=str(self.report.parent),
                why=f"there is no {self.report.name}, which every result has",
                remedy="name the folder or the .parquet file that a run wrote, not the source",
            ) from error

    def local(self, name: str, files: Sequence[str] = ()) -> Path:
        """Return a local file with the content of an output, or a folder with `files` of one that is a folder.

        A file is fetched once. One that is missing at the result is missing at the path, too.

        Raises
        ------
        InputDataError
            If a name leads out of the result: a report may be a stranger's, and a fetched file would lie anywhere.
        StorageError
            If the result cannot be read.
        """
        for each in (name, *files):
            self._check_inside(each)
        path = self.report.parent / name
        if isinstance(path, Path):
            return path
        for below in files or ("",):
            self._fetch(path / below if below else path, self.scratch / name / below)
        return self.scratch / name

    @property
    def reads_parts(self) -> bool:
        """Whether a file can be read in parts; of other stores than S3 a whole file is fetched."""
        return isinstance(self.report, Path | S3Path)

    def open_file(self, name: str) -> Path | BinaryIO:
        """Return an output that is one file for reading: a local path, or a file whose reads are requests to S3.

        Files of other stores are fetched. Raises InputDataError as `local` does, and StorageError.
        """
        self._check_inside(name)
        path = self.report.parent / name
        if isinstance(path, S3Path):
            return cast(BinaryIO, RangedObject(path))
        local = self.local(name)
        with storage_errors(str(path)):
            local.stat()
        return local

    def _check_inside(self, name: str) -> None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or is_remote(name) or "\0" in name:
            raise InputDataError(
                "run report names a file outside its folder",
                where=str(self.report),
                why=f"it names {name!r}",
                remedy="verify a result as cytobatch has published it",
            )

    def _fetch(self, path: CloudPath, target: Path) -> None:
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with storage_errors(str(path)):
                fetch(path, target)
        except AbsentFileError:
            target.unlink(missing_ok=True)
