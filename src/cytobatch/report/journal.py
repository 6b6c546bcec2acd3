"""The journal of a publication: what a run is about to put in place, so that a later run can complete it.

It stands in the report's place from the moment on at which the first output may be replaced, and the final report
replaces it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cytobatch.report.model import FORMAT_VERSION, ReportState, RunReport

# A journal may be a stranger's: these become parts of paths.
_RUN_ID, _STAGED = r"^[0-9a-f]{32}$", r"^[0-9]{1,9}$"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UploadedPart(_Model):
    """One part of a file that is uploaded and not complete. `etag` and `crc32` are the store's."""

    etag: str
    crc32: str | None = None


class PreparedFile(_Model):
    """One file that is stored whole where no reader looks.

    Attributes
    ----------
    path
        Where it will be.
    bytes, sha256
        Its size and the checksum of its content.
    staged
        Its name in the run's folder of prepared files; None in a store that has uploads in parts.
    upload
        The id of its upload in parts; None elsewhere.
    parts
        The parts of its upload, in order.
    """

    path: str
    bytes: int
    sha256: str
    staged: str | None = Field(None, pattern=_STAGED)
    upload: str | None = None
    parts: list[UploadedPart] = []


class OldFile(_Model):
    """A file of an earlier result that the new one does not have. `etag` is the store's, None if it is not known."""

    path: str
    etag: str | None = None


class Journal(_Model):
    """What a run is about to publish.

    Attributes
    ----------
    run
        The id of the run: 32 hexadecimal digits.
    files
        The prepared files.
    old
        The files to remove after the prepared ones are in place.
    report
        The report of the run. Its outputs lack what only the finished publication knows.
    """

    format_version: int = FORMAT_VERSION
    state: Literal[ReportState.PUBLISHING] = ReportState.PUBLISHING
    run: str = Field(pattern=_RUN_ID)
    files: list[PreparedFile]
    old: list[OldFile]
    report: RunReport

    def paths(self) -> list[str]:
        """Return the paths of all files, new ones and old ones."""
        return [*(file.path for file in self.files), *(file.path for file in self.old)]

    def to_json(self) -> str:
        """Return the journal as JSON text."""
        return self.model_dump_json(indent=2)


def parse_journal(text: bytes) -> Journal | None:
    """Return the journal that a text is, or None if it is none that this version of cytobatch can read."""
    try:
        journal = Journal.model_validate_json(text)
    except ValidationError:
        return None
    return journal if journal.format_version <= FORMAT_VERSION else None
