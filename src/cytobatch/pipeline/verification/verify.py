"""Verify a published result: against its report, and against its source by a second, slow reader.

The readers, formats and joins of a run are not used here (import-linter holds it), so that a fault of theirs is not
repeated.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from cytobatch.config.options import COLUMNS, PARQUET, SINGLE_CELLS, PlateJob
from cytobatch.errors import InputDataError
from cytobatch.output.column_list import FOOTER_KEY, SUFFIX
from cytobatch.output.parquet.reader import read_schema
from cytobatch.pipeline.verification.check import SourceCheck
from cytobatch.pipeline.verification.model import Difference, Verification
from cytobatch.pipeline.verification.published import output_differences
from cytobatch.pipeline.verification.source import derived_again
from cytobatch.report.model import OutputFile, ReportState, RunReport, UnreadableReportError, parse_report
from cytobatch.storage.access import Access
from cytobatch.storage.published_files import PublishedFiles

_COLUMN_LIST = f"{COLUMNS}{SUFFIX}"
_PROFILE = f"{SINGLE_CELLS}{PARQUET}"


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """What is verified.

    Attributes
    ----------
    job
        The access to result (`destination`) and source; its source is looked at only if `with_source`.
    with_source
        Whether rows are derived again from the source.
    cells
        How many rows are derived again; None for all.
    seed
        The same seed draws the same rows.
    """

    job: PlateJob
    with_source: bool
    cells: int | None
    seed: int = 0


def verify(request: VerifyRequest) -> Verification:
    """Verify a published result. It is read only.

    Raises
    ------
    InputDataError
        If the report cannot be read, or has no profile whose rows can be derived again.
    StorageError
        If result or source cannot be reached.
    """
    access = Access.to_destination(request.job)
    with tempfile.TemporaryDirectory(prefix="cytobatch-verify-", dir=request.job.scratch_dir) as scratch:
        files = PublishedFiles.open(request.job.destination, access, Path(scratch, "result"))
        report = _report(files)
        outputs = {_name_below(report, output): output for output in report.outputs}
        differences = [each for name, output in outputs.items() for each in _of_output(files, name, output)]
        checked = Verification(str(files.report), len(outputs), report.counts.rows, differences=tuple(differences))
        if not request.with_source:
            return checked
        found = derived_again(_source_check(request, report, files, outputs), Path(scratch, "source"))
    return replace(
        checked,
        cells=found.cells,
        values=found.values,
        not_derived=tuple(found.not_derived),
        differences=(*checked.differences, *found.differences),
    )


class _Header(BaseModel):
    """The part of a report that tells a journal from it."""

    state: str = ReportState.COMPLETE


def _report(files: PublishedFiles) -> RunReport:
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


def _name_below(report: RunReport, output: OutputFile) -> str:
    """Return an output's path below the folder of the result, which may have been moved since it was published."""
    folder = report.report.rpartition("/")[0]
    return output.path.removeprefix(f"{folder}/")


def _of_output(files: PublishedFiles, name: str, output: OutputFile) -> Iterator[Difference]:
    yield from output_differences(name, files.local(name, output.files), output)


def _source_check(
    request: VerifyRequest,
    report: RunReport,
    files: PublishedFiles,
    outputs: Mapping[str, OutputFile],
) -> SourceCheck:
    name = _profile_name(report, outputs)
    path = files.local(name) if name else None
    if name is None or path is None or not path.is_file():
        raise InputDataError(
            "no profile of joined rows is there",
            where=str(files.report),
            why="rows can be derived again from one joined Parquet file only",
            remedy="leave out --source to verify the files alone",
        )
    columns = _columns(path, files, outputs)
    return SourceCheck(request.job, report, name, path, columns, request.cells, request.seed)


def _profile_name(report: RunReport, outputs: Mapping[str, OutputFile]) -> str | None:
    if report.destination.endswith(PARQUET):
        own = report.destination.rpartition("/")[2]
        return own if own in outputs else None
    # Outputs may lie in a folder of their own, by the option `generations`.
    return next((name for name in outputs if name == _PROFILE or name.endswith(f"/{_PROFILE}")), None)


def _columns(path: Path, files: PublishedFiles, outputs: Mapping[str, OutputFile]) -> Sequence[dict[str, Any]]:
    """Return the list of the profile's columns: the one whose checksum its footer has."""
    metadata = read_schema(path).metadata or {}
    expected = metadata.get(FOOTER_KEY.encode(), b"").decode()
    lists = {output.sha256: name for name, output in outputs.items() if name.endswith(_COLUMN_LIST)}
    local = files.local(lists[expected]) if expected in lists else None
    if local is None or not local.is_file():
        raise InputDataError(
            "no list of the profile's columns is there",
            where=str(files.report),
            why="the footer's checksum fits none of its lists",
            remedy="convert the plate again",
        )
    columns: Sequence[dict[str, Any]] = json.loads(local.read_bytes())["columns"]
    return columns
