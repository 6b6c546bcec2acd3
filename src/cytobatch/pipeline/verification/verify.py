"""Verify a published result: against its report, and against its source by a second, slow reader.

The readers, formats and joins of a run are not used here (import-linter holds it), so that a fault of theirs is not
repeated.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cytobatch.config.options import PlateJob
from cytobatch.errors import InputDataError
from cytobatch.output.column_list import FOOTER_KEY
from cytobatch.output.parquet.reader import read_schema
from cytobatch.pipeline.published_result import COLUMN_LIST, PublishedResult
from cytobatch.pipeline.verification.check import SourceCheck
from cytobatch.pipeline.verification.model import Difference, Verification
from cytobatch.pipeline.verification.published import output_differences
from cytobatch.pipeline.verification.source import derived_again
from cytobatch.report.model import OutputFile
from cytobatch.storage.access import Access
from cytobatch.storage.published_files import PublishedFiles
from cytobatch.storage.temporary_folder import temporary_folder


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
    with temporary_folder("cytobatch-verify-", request.job.scratch_dir) as scratch:
        result = PublishedResult.open(request.job.destination, access, scratch / "result")
        outputs = result.outputs
        differences = [each for name, output in outputs.items() for each in _of_output(result.files, name, output)]
        checked = Verification(result.location, len(outputs), result.report.counts.rows, differences=tuple(differences))
        if not request.with_source:
            return checked
        found = derived_again(_source_check(request, result), scratch / "source")
    return replace(
        checked,
        cells=found.cells,
        values=found.values,
        not_derived=tuple(found.not_derived),
        differences=(*checked.differences, *found.differences),
    )


def _of_output(files: PublishedFiles, name: str, output: OutputFile) -> Iterator[Difference]:
    yield from output_differences(name, files.local(name, output.files), output)


def _source_check(request: VerifyRequest, result: PublishedResult) -> SourceCheck:
    name, files = result.profile, result.files
    path = files.local(name) if name else None
    if name is None or path is None or not path.is_file():
        raise InputDataError(
            "no profile of joined rows is there",
            where=str(files.report),
            why="rows can be derived again from one joined Parquet file only",
            remedy="leave out --source to verify the files alone",
        )
    columns = _columns(path, files, result.outputs)
    return SourceCheck(request.job, result.report, name, path, columns, request.cells, request.seed)


def _columns(path: Path, files: PublishedFiles, outputs: Mapping[str, OutputFile]) -> Sequence[dict[str, Any]]:
    """Return the list of the profile's columns: the one whose checksum its footer has."""
    metadata = read_schema(path).metadata or {}
    expected = metadata.get(FOOTER_KEY.encode(), b"").decode()
    lists = {output.sha256: name for name, output in outputs.items() if name.endswith(COLUMN_LIST)}
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
