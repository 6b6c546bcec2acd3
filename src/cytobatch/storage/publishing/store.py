"""The protocol of the stores that a result is published in: S3, a disk, and stores without conditional writes."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from cytobatch.errors import StorageError
from cytobatch.output.file_content import FileContent
from cytobatch.output.written_file import ITSELF, WrittenFile
from cytobatch.report.journal import Journal, OldFile, PreparedFile, parse_journal
from cytobatch.report.model import StoredFile


@dataclass(frozen=True)
class Snapshot:
    """What stands in the report's place at one moment.

    Attributes
    ----------
    content
        The text of a report or a journal; None if there is none, or none that the role may see.
    version
        What changes with the content: the ETag of an object, the checksum of a file.
    hidden
        Whether the role may not read what is there, or may not know that nothing is.
    """

    content: bytes | None = None
    version: str | None = None
    hidden: bool = False

    @cached_property
    def journal(self) -> Journal | None:
        """The journal that the content is; None if it is none that this version of cytobatch can read."""
        return parse_journal(self.content) if self.content is not None else None


@dataclass(frozen=True, slots=True)
class PendingFile:
    """A file on the scratch disk, what was written to it, and the path where it will be."""

    path: str
    local: Path
    content: FileContent


@dataclass(frozen=True, slots=True)
class PendingOutput:
    """A finished output on the scratch disk, which may be a folder, and the path where it will be."""

    path: str
    written: WrittenFile

    def files(self) -> list[PendingFile]:
        """Return its files."""
        return [
            PendingFile(self.path if name == ITSELF else f"{self.path}/{name}", self.written.path / name, content)
            for name, content in self.written.files.items()
        ]


@dataclass(frozen=True, slots=True)
class Orphan:
    """An upload in parts that no run of today completes."""

    path: str
    upload: str


class OvertakenError(StorageError):
    """Another run has published at the destination, or has begun to, since this run began."""


class PublishingStore(Protocol):
    """Where one run publishes its files. All methods raise StorageError."""

    @property
    def conditional(self) -> bool:
        """Whether the store refuses to replace a report that another run has replaced. Known after `put_report`."""
        ...

    def read_report(self) -> Snapshot:
        """Return what stands in the report's place."""
        ...

    def prepare(self, files: Sequence[PendingFile]) -> list[PreparedFile]:
        """Store files whole where no reader looks, and compare what is stored with what was written."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other runs from publishing here, if the store can. Waits for one that does."""
        ...

    def put_report(self, content: bytes, expected: Snapshot) -> Snapshot:
        """Replace what stands in the report's place. Raises OvertakenError if that is not `expected` any more."""
        ...

    def complete(self, files: Sequence[PreparedFile], run: str) -> list[StoredFile]:
        """Put the files in place that a run has prepared. Those that are in place already are left.

        Raises OvertakenError if one is neither prepared nor in place.
        """
        ...

    def remove(self, files: Collection[OldFile]) -> None:
        """Remove files of an earlier result, if they are still those."""
        ...

    def discard(self, *, quickly: bool) -> None:
        """Take away what this run has prepared and not put in place. `quickly` if the process is about to end."""
        ...

    def leave(self) -> None:
        """Leave what this run has prepared to the run that completes its journal."""
        ...

    def abandon(self, journal: Journal) -> None:
        """Take away what another run has prepared, so that it cannot put it in place any more."""
        ...

    def orphans(self, journal: Journal) -> list[Orphan]:
        """Return the uploads of others to the paths of a journal that is not in place yet.

        Their runs are dead, or began before this one publishes, and would be refused.
        """
        ...

    def clean(self, orphans: Sequence[Orphan]) -> None:
        """Take away orphans, and what else killed runs have left here."""
        ...


def overtaken(where: str, why: str) -> OvertakenError:
    """Return the error of a run that another one has overtaken."""
    return OvertakenError(
        "another run has published here",
        where=where,
        why=why,
        remedy="keep its result, or run again to replace it; give runs with other options destinations of their own",
    )
