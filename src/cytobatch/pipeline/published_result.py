"""A published result as it lies at its destination: its report, and which of its outputs is what."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ValidationError

from cytobatch.config.options import COLUMNS, PARQUET, PROFILES, SINGLE_CELLS
from cytobatch.errors import InputDataError
from cytobatch.output.column_list import SUFFIX
from cytobatch.report.model import OutputFile, ReportState, RunReport, UnreadableReportError, parse_report
from cytobatch.storage.access import Access
from cytobatch.storage.published_files import PublishedFiles

COLUMN_LIST = f"{COLUMNS}{SUFFIX}"


@dataclass(frozen=True)
class PublishedResult:
    """A result: its files, and its report, which may be that of a run at another location."""

    files: PublishedFiles
    report: RunReport

    @classmethod
    def open(cls, result: str, access: Access, scratch: Path) -> "PublishedResult":
        """Open a result by its folder, its `.parquet` file, or its report. Fetched files lie in `scratch`.

        Raises
        ------
        InputDataError
            If the report cannot be read, or is a journal.
        StorageError
            If there is no report, or it cannot be reached.
        """
        files = PublishedFiles.open(result, access, scratch)
        return cls(files, _parsed(files))

    @classmethod
    def of(cls, report: RunReport, location: str, access: Access, scratch: Path) -> "PublishedResult":
        """Return the result of a report that was read before, and lies at `location`. Raises StorageError."""
        return cls(PublishedFiles.open(location, access, scratch), report)

    @property
    def location(self) -> str:
        """The path or URI of the report."""
        return str(self.files.report)

    @cached_property
    def outputs(self) -> Mapping[str, OutputFile]:
        """The outputs by their paths below the folder of the result, which may have been moved."""
        folder = self.report.report.rpartition("/")[0]
        return {output.path.removeprefix(f"{folder}/"): output for output in self.report.outputs}

    @property
    def profile(self) -> str | None:
        """The name of the one joined Parquet file, or None: the tables or the exports have a file each."""
        return self._parquet(SINGLE_CELLS) if self._is_joined else None

    @property
    def well_profile(self) -> str | None:
        """The name of the Parquet file of the well-level profile, or None."""
        return self._parquet(PROFILES) if self.report.options.get("well_profiles") else None

    @property
    def column_list(self) -> str | None:
        """The name of the list of the joined profile's columns, or None without a profile."""
        if self.profile is None:
            return None
        stem = self.profile.removesuffix(PARQUET)
        beside = stem.removesuffix(SINGLE_CELLS) if not self.report.destination.endswith(PARQUET) else f"{stem}."
        return next((name for name in self.outputs if name == f"{beside}{COLUMN_LIST}"), None)

    @property
    def _is_joined(self) -> bool:
        options = self.report.options
        return bool(options.get("join", True) and options.get("concat", True))

    def _parquet(self, stem: str) -> str | None:
        if self.report.destination.endswith(PARQUET):
            own = self.report.destination.rpartition("/")[2]
            name = own if stem == SINGLE_CELLS else f"{own.removesuffix(PARQUET)}.{stem}{PARQUET}"
            return name if name in self.outputs else None
        # Outputs may lie in a folder of their own, by the option `generations`.
        name = f"{stem}{PARQUET}"
        return next((each for each in self.outputs if each == name or each.endswith(f"/{name}")), None)


class _Header(BaseModel):
    """The part of a report that distinguishes a journal from it."""

    state: str = ReportState.COMPLETE


def _parsed(files: PublishedFiles) -> RunReport:
    content = files.read_report()
    if _is_journal(content):
        raise InputDataError(
            "result is not finished",
            where=str(files.report),
            why="its report is a journal: a run publishes at this moment, or was ended while it did",
            remedy="wait for that run, or convert the plate again: the next run completes the result",
        )
    try:
        return parse_report(content)
    except UnreadableReportError as error:
        raise InputDataError(
            "run report is not readable", where=str(files.report), why=str(error), remedy="name the folder of a result"
        ) from error


def _is_journal(content: bytes) -> bool:
    with suppress(ValidationError):
        return _Header.model_validate_json(content).state == ReportState.PUBLISHING
    return False
