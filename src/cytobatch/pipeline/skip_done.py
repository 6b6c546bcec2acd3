"""Decide whether the published profile is up to date with inputs and options, or is one to complete."""

from dataclasses import dataclass

from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError
from cytobatch.formats.base import ConversionPlan
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.report.journal import Journal
from cytobatch.report.model import OUTPUT_VERSION, RunReport, UnreadableReportError, file_paths, parse_report
from cytobatch.report.plate_page import plate_page
from cytobatch.storage.access import Access
from cytobatch.storage.annotation_files import read_table_text
from cytobatch.storage.destination import Destination
from cytobatch.storage.publishing.store import OvertakenError, Snapshot
from cytobatch.survey.platemap import digest_of

_LOOKS = 3


def report_in(snapshot: Snapshot) -> RunReport | None:
    """Return the report that an earlier run published, or None if no readable one exists."""
    if snapshot.content is None:
        return None
    try:
        return parse_report(snapshot.content)
    except UnreadableReportError:
        return None


def is_done(report: RunReport, plan: ConversionPlan, destination: Destination) -> bool:
    """Decide whether a report has the plan's inputs and options, and its outputs are still those that it names.

    Raises StorageError.
    """
    if not matches_plan(report, plan):
        return False
    paths = [path for output in report.outputs for path in file_paths(output.path, output.files)]
    stored = [file for output in report.outputs for file in output.stored]
    return [file.path for file in stored] == paths and all(map(destination.is_stored, stored))


def matches_plan(report: RunReport, plan: ConversionPlan) -> bool:
    """Decide whether a report is that of the plan's inputs and options, by this version of the outputs.

    Raises StorageError.
    """
    if report.output_version != OUTPUT_VERSION or not matches_report(report, plan.job, plan.inventory):
        return False
    # A report may be a stranger's: only files that the job names itself are read for it.
    if not all(_is_named(file.path, plan.job) for file in report.annotations):
        return False
    access = Access.to_source(plan.job)
    return all(digest_of(read_table_text(file.path, access)) == file.sha256 for file in report.annotations)


def _is_named(path: str, job: PlateJob) -> bool:
    """Return whether a path is that of the job's platemap or LoadData file, or of a file in one of their folders."""
    given = [option.rstrip("/") for option in (job.platemap, job.load_data) if option]
    return path in given or (".." not in path.split("/") and any(path.startswith(f"{each}/") for each in given))


def find_done(plan: ConversionPlan, destination: Destination) -> RunReport | None:
    """Return the published report if it is up to date, else None. Raises StorageError."""
    report = report_in(destination.snapshot())
    return report if report and is_done(report, plan, destination) else None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier run has left at a destination.

    Attributes
    ----------
    snapshot
        What stands in the report's place.
    finished
        Its report, if nothing is left to convert.
    """

    snapshot: Snapshot
    finished: RunReport | None = None


def find_earlier_run(job: PlateJob, plan: ConversionPlan, destination: Destination) -> Earlier:
    """Return what an earlier run has left, and whether nothing is left to convert.

    That is so if the job skips plates that are up to date, and this one is. A run of the same inputs and options that
    was ended while it published is completed by its journal.

    Raises ConfigurationError if the job must not replace the profile of another source, and StorageError.
    """
    snapshot = destination.snapshot()
    for _ in range(_LOOKS):
        journal = destination.journal_in(snapshot)
        if not (job.skip_done and journal and matches_plan(journal.report, plan)):
            break
        if (completed := complete_run(journal, destination, snapshot)) is not None:
            return Earlier(snapshot, completed)
        before, snapshot = snapshot, destination.snapshot()
        if snapshot.version == before.version:
            # What the journal names is gone: the plate is converted once more.
            break
    report = journal.report if journal else report_in(snapshot)
    if report is not None and job.skip_done and journal is None and is_done(report, plan, destination):
        destination.clean()
        return Earlier(snapshot, report)
    if report is not None and not job.replace:
        check_same_source(report, plan)
    return Earlier(snapshot)


def complete_run(journal: Journal, destination: Destination, earlier: Snapshot) -> RunReport | None:
    """Complete the publication of a run by its journal, and return its report.

    None if that is not possible any more: what it had prepared is gone, or another run has published.
    """
    try:
        with destination.publication(earlier, plate_page) as publication:
            return publication.complete(journal)
    except OvertakenError:
        return None


def result_of_other_run(error: OvertakenError, digest: str, destination: Destination) -> RunReport:
    """Return the result of the run that was faster than this one, if it is of the same inputs and options.

    Raises the error if it is not.
    """
    for _ in range(_LOOKS):
        snapshot = destination.snapshot()
        report = report_in(snapshot)
        if report is not None and report.digest == digest:
            return report
        journal = destination.journal_in(snapshot)
        if journal is None or journal.report.digest != digest:
            break
        if (completed := complete_run(journal, destination, snapshot)) is not None:
            return completed
    raise error


def check_same_source(report: RunReport, plan: ConversionPlan) -> None:
    """Raises ConfigurationError if the report at the plan's destination is that of another source."""
    if report.source.rstrip("/") != plan.job.source.rstrip("/"):
        raise ConfigurationError(
            "destination has the profile of another source",
            where=plan.job.destination,
            why=f"its report is of {report.source}, this plate is {plan.job.source}",
            remedy="name another destination, or remove the profile there if it may be replaced",
        )


def matches_report(report: RunReport, job: PlateJob, inventory: Inventory) -> bool:
    """Decide whether a report has these options, and these files, unchanged, in its ledger.

    A file is recognised by size and ETag. A file without an ETag is recognised by its size, if it is older than the
    report's run.
    """
    if report.options != job.output_options():
        return False
    run_started = report.started.timestamp()
    ledger = {(entry.path, entry.size, entry.etag) for entry in report.ledger if entry.size is not None}
    files = {(file.path, file.size, file.etag) for file in inventory.files}
    return ledger == files and all(_unchanged_since(run_started, file) for file in inventory.files)


def _unchanged_since(run_started: float, file: SourceFile) -> bool:
    return file.etag is not None or (file.modified is not None and file.modified < run_started)
