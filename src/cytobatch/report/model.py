"""What became of a plate: every input, every count, every difference. Data first; it is written as JSON."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

FORMAT_VERSION = 1


class Outcome(StrEnum):
    """What became of an input."""

    CONVERTED = "converted"
    EMPTY = "empty"
    """Sound, and without any object: a site without cells."""
    FAILED = "failed"
    """Unsound itself, for the reason given."""
    LEFT_OUT = "left_out"
    """Sound, but its export failed, so that no whole profile rows could be made from it."""
    IGNORED = "ignored"
    """No table of this layout."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LedgerEntry(_Model):
    """One input, or one table that should have been there: what became of it, and why if it was not converted."""

    path: str
    outcome: Outcome
    export: str | None = None
    table: str | None = None
    size: int | None = None
    etag: str | None = None
    rows: int | None = None
    reason: str | None = None


class SchemaDifference(_Model):
    """A column that other exports have and this one lacks; null there."""

    export: str
    table: str
    column: str


class ValueRepair(_Model):
    """Text met in a numeric column of one table, how often, and what it became.

    `count` values in `exports` exports; `first_exports` are some of them.
    """

    table: str
    column: str
    text: str
    became: str
    count: int
    exports: int
    first_exports: list[str]


class OddValues(_Model):
    """How many values of an output column of floats are null, NaN or infinite."""

    column: str
    nulls: int
    nans: int
    infinities: int


class ReportWarning(_Model):
    """Something that a reader of the profile should know, though nothing failed.

    `count` objects in `exports` exports; `first_exports` are some of them.
    """

    what: str
    table: str | None = None
    count: int | None = None
    exports: int | None = None
    first_exports: list[str] = []


class AnnotationFile(_Model):
    """A platemap or LoadData file that was joined to the plate's places; `sha256` is that of its text in UTF-8."""

    path: str
    sha256: str


class OutputFile(_Model):
    """One published output: a file, or a folder that holds one store.

    `files` are the paths of a folder's files below it; its `sha256` is that of a list of their names and checksums.
    """

    path: str
    rows: int
    columns: int
    bytes: int
    sha256: str
    files: list[str] = []


class Counts(_Model):
    """What went in and what came out."""

    exports: int
    failed_exports: int
    objects: dict[str, int]
    rows: int
    rows_dropped_as_null: int
    columns: int
    plates: int
    wells: int
    sites: int


class RunLimits(_Model):
    """What the run was allowed to take, by the job or by the container or machine."""

    workers: int
    memory_bytes: int


class RunReport(_Model):
    """The whole account of one plate's conversion. Written last: where it is, the Parquet beside it is complete."""

    format_version: int = FORMAT_VERSION
    cytobatch_version: str
    plate: str
    source: str
    destination: str
    report: str
    options: dict[str, Any] = {}
    preset: str
    layout: str
    joins: list[str]
    started: datetime
    finished: datetime
    seconds: dict[str, float]
    peak_memory_bytes: int
    limits: RunLimits
    counts: Counts
    outputs: list[OutputFile]
    warnings: list[ReportWarning]
    schema_differences: list[SchemaDifference]
    repairs: list[ValueRepair]
    odd_values: list[OddValues]
    annotations: list[AnnotationFile] = []
    ledger: list[LedgerEntry]

    def to_json(self) -> str:
        """The report as JSON text, for people and programs."""
        return self.model_dump_json(indent=2)


class _Outputs(BaseModel):
    """What any version of a report says of its files."""

    class File(BaseModel):
        """One of them."""

        path: str
        files: list[str] = []

    outputs: list[File]


class UnreadableReportError(Exception):
    """A text is no report, or none that this version of cytobatch reads; the message says why."""


def parse_report(text: str | bytes) -> RunReport:
    """A report. Raises UnreadableReportError for what is none, or of a later version of the format."""
    try:
        said = _Version.model_validate_json(text).format_version
        if said > FORMAT_VERSION:
            raise UnreadableReportError(
                f"its format version is {said}, and this cytobatch reads {FORMAT_VERSION}: a later one is needed"
            )
        # Keys may be added to a format version.
        return RunReport.model_validate_json(text, extra="ignore")
    except ValidationError as error:
        raise UnreadableReportError(_first_fault(error)) from error


class _Version(BaseModel):
    """What every version of a report has."""

    format_version: int


def _first_fault(error: ValidationError) -> str:
    first, *more = error.errors(include_url=False, include_input=False)
    where = ".".join(map(str, first["loc"]))
    noted = f" (and {len(more)} more)" if more else ""
    return f"it is no run report: {where + ': ' if where else ''}{first['msg']}{noted}"


def output_paths(text: str | bytes) -> list[str]:
    """The paths of the files that a report names, whatever its version; none if it is no report."""
    try:
        outputs = _Outputs.model_validate_json(text).outputs
    except ValidationError:
        return []
    return [path for out in outputs for path in ([f"{out.path}/{name}" for name in out.files] or [out.path])]
