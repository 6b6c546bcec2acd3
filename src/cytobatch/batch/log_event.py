"""One line of a log in JSON: what `cytobatch run --log-format json` writes, and what `status` finds in a job's log."""

from datetime import UTC, datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from cytobatch.config.log_format import LogLevel
from cytobatch.errors import printable, without_secrets
from cytobatch.pipeline.steps import PlateStep

ERROR_PREFIX = "error: "
"""The beginning of an error in a log of text."""


class EventName(StrEnum):
    """The kinds of events."""

    RUN_STARTED = "run_started"
    """The plates of the run are known: `plates`."""
    STEP_STARTED = "step_started"
    """A step of a plate starts: `step`."""
    PROGRESS = "progress"
    """How far a plate is, every ten seconds at most."""
    NOTICE = "notice"
    """A text about a plate, or about the run."""
    WARNING = "warning"
    """A warning that is not of the plate's data."""
    EXPORT = "export"
    """The outcome of a table or file, with `--verbose`."""
    EXPORT_FAILED = "export_failed"
    """An export that failed and was allowed to. The first ten of a plate have an event each."""
    PLATE_LEFT_ALONE = "plate_left_alone"
    """The plate is done already. Its figures are those of the earlier report."""
    PLATE_DONE = "plate_done"
    """The plate is published. Its figures are those of its report."""
    PLATE_FAILED = "plate_failed"
    """The plate failed, and others go on."""
    RUN_PROGRESS = "run_progress"
    """How many plates have ended, every ten seconds at most."""
    RUN_ENDED = "run_ended"
    """All plates have ended."""
    ERROR = "error"
    """The command failed."""


class Figures(BaseModel):
    """The numbers of an event. Those that do not apply are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    plates: int | None = Field(None, ge=0)
    """Plates of the run."""
    plates_done: int | None = Field(None, ge=0)
    """Plates that are published, or were up to date."""
    plates_failed: int | None = Field(None, ge=0)
    """Plates that failed."""
    bytes_done: int | None = Field(None, ge=0)
    """Bytes of the source that are converted."""
    bytes: int | None = Field(None, ge=0)
    """Bytes of the source to convert."""
    exports_done: int | None = Field(None, ge=0)
    """Exports that are converted, or have failed."""
    exports: int | None = Field(None, ge=0)
    """Exports of the plate."""
    failed_exports: int | None = Field(None, ge=0)
    """Exports that failed."""
    rows: int | None = Field(None, ge=0)
    """Rows that are written; of an `export` event those of the table."""
    columns: int | None = Field(None, ge=0)
    """Columns of the widest output."""
    wells: int | None = Field(None, ge=0)
    """Wells of the rows."""
    sites: int | None = Field(None, ge=0)
    """Sites of the rows."""
    warnings: int | None = Field(None, ge=0)
    """Warnings in the report."""
    seconds: float | None = Field(None, ge=0)
    """Seconds since the beginning: of the conversion, the plate or the run."""
    seconds_left: float | None = Field(None, ge=0)
    """Seconds that are left of the conversion, or of the run, by an estimate."""
    exit_code: int | None = Field(None, ge=0)
    """The exit code that the error stands for."""


class LogEvent(BaseModel):
    """One event of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    time: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    """When it happened, in UTC."""
    level: LogLevel = LogLevel.INFO
    """How grave it is."""
    event: EventName
    """What happened."""
    plate: str | None = None
    """The plate's name, or what of the run it is about."""
    step: PlateStep | None = None
    """The step of the plate."""
    message: str
    """The same in words. An error has its four parts in lines: what and where, why, fix."""
    report: str | None = None
    """The location of the plate's report."""
    figures: Figures = Figures()
    """The numbers."""

    @field_validator("plate", "report")
    @classmethod
    def _shown(cls, text: str | None) -> str | None:
        return text and without_secrets(printable(text))

    @field_validator("message")
    @classmethod
    def _shown_message(cls, text: str, info: ValidationInfo) -> str:
        # The lines of an error are cytobatch's own. In other texts a line end is a character of a name.
        lines = text.split("\n") if info.data.get("level") is LogLevel.ERROR else [text]
        return "\n".join(without_secrets(printable(line)) for line in lines)

    def line(self) -> str:
        """Return the event as JSON in one line, without what does not apply."""
        return self.model_dump_json(exclude_none=True)


class _Line(BaseModel):
    """What is needed of a line, also of one that another version has written."""

    event: str
    message: str
    level: str = ""
    plate: str | None = None


def text_lines(line: str) -> list[str]:
    """Return a line of a log as the lines that a log of text has in its place: one of JSON may have several."""
    if not line.startswith("{"):
        return [line]
    try:
        found = _Line.model_validate_json(line)
    except ValidationError:
        return [line]
    is_error = found.level == LogLevel.ERROR and found.event != EventName.RUN_ENDED
    plate = f"{found.plate}: " if found.plate else ""
    return f"{ERROR_PREFIX if is_error else ''}{plate}{found.message}".split("\n")
