"""One publication: prepare, journal, commit, report.

1. All files are stored whole where no reader looks. The old result stays as it was.
2. The journal takes the report's place, unless another run has been faster.
3. The files are put in place, and those of the old result that are not new are removed.
4. The report's page is put in place, and the final report takes the journal's place.

A run that ends before 2 leaves the old result. One that ends after it leaves a journal, which the next run completes.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from cytobatch.errors import StorageError
from cytobatch.report.journal import Journal, OldFile, PreparedFile
from cytobatch.report.model import ReportWarning, RunReport, StoredFile, file_paths, named_files
from cytobatch.storage.publishing.store import PendingOutput, PublishingStore, Snapshot, overtaken

_UNSEEN = (
    "the role may not read the destination: what an earlier run has published there, beside files of the names of this "
    "run, could not be found and may still be there"
)
_UNCONDITIONAL = (
    "the destination's store has no conditional writes or locks: two runs that publish here at one moment do not "
    "notice each other"
)


class _Phase(Enum):
    PREPARING = auto()
    COMMITTING = auto()
    """The journal is on its way, or in place."""
    DONE = auto()


@dataclass(slots=True)
class Publication:
    """The publication of one run. `earlier` is what stood in the report's place when the run began."""

    store: PublishingStore
    run: str
    folder: str
    earlier: Snapshot
    kept: re.Pattern[str] | None = None
    """What the paths below the folder begin with that stay, though the new result does not have them."""
    put_page: Callable[[RunReport], None] | None = None
    """Puts the final report's page in place."""
    _phase: _Phase = _Phase.PREPARING
    _journal: Journal | None = None
    _held: Snapshot = field(default_factory=Snapshot)
    _stored: dict[str, StoredFile] = field(default_factory=dict)
    _locks: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def open(self) -> Iterator["Publication"]:
        """Take away, at the end, what is prepared and not in place, unless the journal names it."""
        quickly, cleaned = True, False
        try:
            try:
                with self._locks:
                    yield self
                quickly = False
            except Exception:
                quickly = False
                raise
            finally:
                self._clean(quickly=quickly)
                cleaned = True
        except (KeyboardInterrupt, SystemExit):
            # A signal may have come just before, or have interrupted, what was about to be cleaned.
            if not cleaned:
                self._clean(quickly=True)
            raise

    def _clean(self, *, quickly: bool) -> None:
        if self._is_left_to_journal():
            self.store.leave()
        else:
            self.store.discard(quickly=quickly)

    def publish(self, outputs: Sequence[PendingOutput], report: RunReport) -> None:
        """Put outputs in place. `report` is what the journal has of the run.

        Raises OvertakenError if another run has published since this one began, and StorageError.
        """
        prepared = self.store.prepare([file for output in outputs for file in output.files()])
        self._locks.enter_context(self.store.exclusive())
        self._journal = self._journal_of(prepared, report)
        content, orphans = self._journal.to_json().encode(), self.store.orphans(self._journal)
        self._phase = _Phase.COMMITTING
        self._held = self.store.put_report(content, self.earlier)
        if (other := journal_in(self.earlier, self.folder)) is not None:
            self.store.abandon(other)
        self.store.clean(orphans)
        self._commit(self._journal)

    def complete(self, journal: Journal) -> RunReport:
        """Complete the publication of another run by its journal. Returns the final report, which is in place then.

        Raises OvertakenError if its prepared files are gone, or another run has published.
        """
        self._locks.enter_context(self.store.exclusive())
        if self.store.read_report().version != self.earlier.version:
            raise overtaken(journal.report.report, "another run has completed the publication")
        self._held = self.earlier
        self._commit(journal)
        final = self.finish(journal.report, ())
        self.store.abandon(journal)
        return final

    def finish(self, report: RunReport, warnings: Sequence[ReportWarning]) -> RunReport:
        """Put the page and the final report in place, with what the stores know of the files. Returns it."""
        outputs = [
            output.model_copy(update={"stored": [self._stored[path] for path in file_paths(output.path, output.files)]})
            for output in report.outputs
        ]
        notes = [ReportWarning(what=text) for text in self._notes()]
        final = report.model_copy(update={"outputs": outputs, "warnings": [*report.warnings, *notes, *warnings]})
        if self.put_page is not None:
            self.put_page(final)
        self._held = self.store.put_report(final.to_json().encode(), self._held)
        self._phase = _Phase.DONE
        return final

    def _notes(self) -> Iterator[str]:
        if self.earlier.hidden:
            yield _UNSEEN
        if not self.store.conditional:
            yield _UNCONDITIONAL

    def _commit(self, journal: Journal) -> None:
        self._stored = {file.path: file for file in self.store.complete(journal.files, journal.run)}
        self.store.remove(journal.old)

    def _journal_of(self, prepared: Sequence[PreparedFile], report: RunReport) -> Journal:
        new = {file.path for file in prepared}
        old = [
            file
            for file in old_files(self.earlier, self.folder)
            if file.path not in new and not (self.kept and self.kept.match(file.path.removeprefix(f"{self.folder}/")))
        ]
        return Journal(run=self.run, files=list(prepared), old=old, report=report)

    def _is_left_to_journal(self) -> bool:
        """Return whether a journal in the report's place names what this run has prepared.

        If an error has met the journal or the final report on its way, the store knows whether it has arrived.
        """
        if self._phase in {_Phase.PREPARING, _Phase.DONE}:
            return False
        try:
            journal = self.store.read_report().journal
        except StorageError:
            # The next run finds a journal, or orphans.
            return True
        return journal is not None and journal.run == self.run


def journal_in(snapshot: Snapshot, folder: str) -> Journal | None:
    """Return the journal of a snapshot, if all its files lie in the folder: it may be a stranger's."""
    journal = snapshot.journal
    if journal is None or not all(is_inside(path, folder) for path in journal.paths()):
        return None
    return journal


def old_files(snapshot: Snapshot, folder: str) -> list[OldFile]:
    """Return the files below a folder that a snapshot's report or journal names; none if its text is neither."""
    if snapshot.content is None:
        return []
    journal = snapshot.journal
    if journal is not None:
        files = [*journal.old, *(OldFile(path=file.path) for file in journal.files)]
    else:
        files = [OldFile(path=path, etag=etag) for path, etag in named_files(snapshot.content)]
    return [file for file in files if is_inside(file.path, folder)]


def is_inside(path: str, folder: str) -> bool:
    """Return whether a path is below a folder, as text and as a path."""
    return path.startswith(f"{folder}/") and ".." not in path.split("/")
