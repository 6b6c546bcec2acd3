"""Decide whether the published profile is up to date with inputs and options."""

from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError
from cytobatch.formats.base import ConversionPlan
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.report.model import RunReport, UnreadableReportError, parse_report
from cytobatch.storage.access import Access
from cytobatch.storage.annotation_files import read_table_text
from cytobatch.storage.destination import Destination
from cytobatch.survey.platemap import digest_of


def published_report(destination: Destination) -> RunReport | None:
    """Return the report that an earlier run published, or None if no readable one exists. Raises StorageError."""
    text = destination.earlier_report()
    if text is None:
        return None
    try:
        return parse_report(text)
    except UnreadableReportError:
        return None


def is_done(report: RunReport, plan: ConversionPlan, destination: Destination) -> bool:
    """Decide whether a report has the plan's inputs and options, and its outputs still exist with their sizes.

    Raises StorageError.
    """
    if not matches_report(report, plan.job, plan.inventory):
        return False
    access = Access.to_source(plan.job)
    # A report may be a stranger's: only files that the job names itself are read for it.
    if not all(_is_named(file.path, plan.job) for file in report.annotations):
        return False
    if any(digest_of(read_table_text(file.path, access)) != file.sha256 for file in report.annotations):
        return False
    return all(destination.size_of(out.path, out.files) == out.bytes for out in report.outputs)


def _is_named(path: str, job: PlateJob) -> bool:
    """Return whether a path is that of the job's platemap or LoadData file, or of a file in one of their folders."""
    given = [option.rstrip("/") for option in (job.platemap, job.load_data) if option]
    return path in given or (".." not in path.split("/") and any(path.startswith(f"{each}/") for each in given))


def find_done(plan: ConversionPlan, destination: Destination) -> RunReport | None:
    """Return the published report if it is up to date, else None. Raises StorageError."""
    report = published_report(destination)
    return report if report and is_done(report, plan, destination) else None


def find_finished_run(job: PlateJob, plan: ConversionPlan, destination: Destination) -> RunReport | None:
    """Return the published report if the job skips plates that are up to date and this one is; None to convert it.

    Raises ConfigurationError if the job must not replace the profile of another source, and StorageError.
    """
    if job.replace and not job.skip_done:
        return None
    report = published_report(destination)
    if report and job.skip_done and is_done(report, plan, destination):
        return report
    if report and not job.replace:
        check_same_source(report, plan)
    return None


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
