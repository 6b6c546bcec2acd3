"""The run report as data: every input of a plate, every count, every difference. It is written as JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cytobatch.report.wells import PlateWell

FORMAT_VERSION = 1
OUTPUT_VERSION = 1
"""It grows by one whenever the same inputs and options give other rows, columns or values."""


class ReportState(StrEnum):
    """How far the publication is that a report describes."""

    PUBLISHING = "publishing"
    """The text is a journal: some of its files may be in place, and others not."""
    COMPLETE = "complete"


class Outcome(StrEnum):
    """The outcome of an input."""

    CONVERTED = "converted"
    EMPTY = "empty"
    """Valid, and without any object: a site without cells."""
    FAILED = "failed"
    """Invalid itself; the entry has the reason."""
    LEFT_OUT = "left_out"
    """Valid, but its export failed, so that it has no complete profile rows."""
    IGNORED = "ignored"
    """No table of the plate's layout."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)


class LedgerEntry(_Model):
    """The outcome of one input, or of one table that is missing, and the reason if it was not converted."""

    path: str
    outcome: Outcome
    export: str | None = None
    table: str | None = None
    size: int | None = None
    etag: str | None = None
    rows: int | None = None
    reason: str | None = None


class SchemaDifference(_Model):
    """A column that other exports have and this one lacks. Its values are null for this export."""

    export: str
    table: str
    column: str


class ValueRepair(_Model):
    """Text in a numeric column of one table, and the value that replaced it.

    `count` values in `exports` exports, of which `first_exports` are the first.
    """

    table: str
    column: str
    text: str
    became: str
    count: int
    exports: int
    first_exports: list[str]


class NonFiniteValues(_Model):
    """How many values of an output column of floats are null, NaN or infinite."""

    column: str
    nulls: int
    nans: int
    infinities: int


class ReportWarning(_Model):
    """A fact that users of the profile should know, though nothing failed.

    `count` objects in `exports` exports, of which `first_exports` are the first.
    """

    what: str
    table: str | None = None
    count: int | None = None
    exports: int | None = None
    first_exports: list[str] = []


class SoftwareVersion(_Model):
    """A version of a program by which `exports` exports were measured."""

    name: str
    version: str
    exports: int


class AnnotationFile(_Model):
    """A platemap or LoadData file that was joined to the plate; `sha256` is the checksum of its text in UTF-8."""

    path: str
    sha256: str


class StoredFile(_Model):
    """One published file as its store has it.

    `etag` and `checksum` are the store's own. `version_id` is that of a bucket with versions.
    """

    path: str
    bytes: int
    sha256: str
    etag: str | None = None
    version_id: str | None = None
    checksum: str | None = None


class OutputFile(_Model):
    """One published output: a file, or a folder that is one store.

    `files` are the paths of a folder's files below it. A folder's `sha256` is the checksum of a list of their names and
    checksums. `stored` has each of the output's files as it is stored.
    """

    path: str
    rows: int
    columns: int
    bytes: int
    sha256: str
    files: list[str] = []
    stored: list[StoredFile] = []


class Counts(_Model):
    """The counts of the inputs and the output."""

    exports: int
    failed_exports: int
    objects: dict[str, int]
    rows: int
    rows_dropped_as_null: int
    columns: int
    plates: int
    wells: int
    sites: int
    features: int = 0


class RunLimits(_Model):
    """The CPUs and memory of the run, as the job, the container or the machine limits them."""

    workers: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class FailedExport:
    """An export that failed and is not in the output, with its first defect.

    `path` is the file that has the defect, or that is missing; `table` is its table, None for a file that is none.
    """

    export: str
    table: str | None
    path: str
    reason: str


class RunReport(_Model):
    """The report of one plate's conversion. It is written last: the outputs that it names are complete.

    `digest` is the checksum of all that decides the outputs: see `inputs_digest`. `plate_wells` are the `wells` of the
    JSON: as a name in Python that is the table of them, of a `PlateResult`.
    """

    format_version: int = FORMAT_VERSION
    state: ReportState = ReportState.COMPLETE
    output_version: int = 0
    digest: str = ""
    cytobatch_version: str
    plate: str
    source: str
    destination: str
    report: str
    options: dict[str, Any] = {}
    preset: str
    layout: str
    joins: list[str]
    started: AwareDatetime
    finished: AwareDatetime
    seconds: dict[str, float]
    peak_memory_bytes: int
    limits: RunLimits
    counts: Counts
    plates: list[str] = []
    software: list[SoftwareVersion] = []
    outputs: list[OutputFile]
    warnings: list[ReportWarning]
    schema_differences: list[SchemaDifference]
    repairs: list[ValueRepair]
    odd_values: list[NonFiniteValues]
    annotations: list[AnnotationFile] = []
    page: str | None = None
    report_features: list[str] = []
    plate_wells: list[PlateWell] = Field([], alias="wells")
    ledger: list[LedgerEntry]

    @property
    def failed(self) -> list[FailedExport]:
        """The exports that failed, each once, in the order of the ledger, with the reasons."""
        first = first_failures(entry for entry in self.ledger if entry.export is not None)
        return [FailedExport(name, one.table, one.path, one.reason or "") for name, one in first.items()]

    def to_json(self) -> str:
        """Return the report as JSON text, indented for people."""
        return self.model_dump_json(indent=2)


def first_failures(ledger: Iterable[LedgerEntry]) -> dict[str, LedgerEntry]:
    """Return the first failed entry of each export by its name, and that of a file of no export by its path."""
    first: dict[str, LedgerEntry] = {}
    for entry in ledger:
        if entry.outcome is Outcome.FAILED:
            first.setdefault(entry.export or entry.path, entry)
    return first


class _Outputs(BaseModel):
    """The part of a report that names its outputs, in any version of the format."""

    class File(BaseModel):
        """One output."""

        path: str
        files: list[str] = []
        stored: list["_Outputs.Stored"] = []

    class Stored(BaseModel):
        """One file of an output."""

        path: str
        etag: str | None = None

    outputs: list[File]


class UnreadableReportError(Exception):
    """A text is no report, or one that this version of cytobatch cannot read. The message has the reason."""


def parse_report(text: str | bytes) -> RunReport:
    """Parse a report.

    Parameters
    ----------
    text
        JSON, in UTF-8 if bytes.

    Raises
    ------
    UnreadableReportError
        If the text is no report, or one of a later version of the format.
    """
    try:
        header = _Header.model_validate_json(text)
        if header.format_version > FORMAT_VERSION:
            raise UnreadableReportError(
                f"its format version is {header.format_version}, and this cytobatch reads {FORMAT_VERSION}: "
                "a later one is needed"
            )
        if header.state == ReportState.PUBLISHING:
            raise UnreadableReportError(
                "its run publishes at this moment, or was ended while it did: the next run of the plate completes it"
            )
        # Unknown keys are ignored, because a later cytobatch may add keys to the same version of the format.
        return RunReport.model_validate_json(text, extra="ignore")
    except ValidationError as error:
        raise UnreadableReportError(_first_defect(error)) from error


class _Header(BaseModel):
    """The part of a report that every version of the format has."""

    format_version: int
    state: str = ReportState.COMPLETE


def _first_defect(error: ValidationError) -> str:
    first, *more = error.errors(include_url=False, include_input=False)
    where = ".".join(map(str, first["loc"]))
    others = f" (and {len(more)} more)" if more else ""
    return f"it is no run report: {where + ': ' if where else ''}{first['msg']}{others}"


def named_files(text: str | bytes) -> list[tuple[str, str | None]]:
    """Return the files that a report of any version names, each with its ETag if the report has it.

    An empty list if the text is no report.
    """
    try:
        outputs = _Outputs.model_validate_json(text).outputs
    except ValidationError:
        return []
    etags = {file.path: file.etag for output in outputs for file in output.stored}
    return [(path, etags.get(path)) for output in outputs for path in file_paths(output.path, output.files)]


def file_paths(path: str, files: Sequence[str]) -> list[str]:
    """Return the paths of an output's files: those of a folder, or its own."""
    return [f"{path}/{name}" for name in files] or [path]
