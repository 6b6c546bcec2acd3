"""Whether a plate's published profile is that of the inputs and options of now, so that nothing is left to do."""

from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError
from cytobatch.formats.base import ConversionPlan
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.report.model import RunReport, UnreadableReportError, parse_report
from cytobatch.storage.access import Access, read_text
from cytobatch.storage.destination import Destination
from cytobatch.survey.platemap import digest_of


def published_report(destination: Destination) -> RunReport | None:
    """The report that an earlier run has published; None if there is none that can be read. Raises StorageError."""
    text = destination.earlier_report()
    if text is None:
        return None
    try:
        return parse_report(text)
    except UnreadableReportError:
        return None


def is_done(report: RunReport, plan: ConversionPlan, destination: Destination) -> bool:
    """Whether a report tells of these very inputs and options, and its outputs are there as it says.

    Raises StorageError.
    """
    if not matches_report(report, plan.job, plan.inventory):
        return False
    access = Access.to_source(plan.job)
    if any(digest_of(read_text(file.path, access)) != file.sha256 for file in report.annotations):
        return False
    return all(destination.size_of(out.path, out.files) == out.bytes for out in report.outputs)


def find_done(plan: ConversionPlan, destination: Destination) -> RunReport | None:
    """The published report, if the plate is done by it; else None. Raises StorageError."""
    report = published_report(destination)
    return report if report and is_done(report, plan, destination) else None


def check_same_source(report: RunReport, plan: ConversionPlan) -> None:
    """Raises ConfigurationError where the report at the plan's destination is that of another source."""
    if report.source.rstrip("/") != plan.job.source.rstrip("/"):
        raise ConfigurationError(
            "destination has the profile of another source",
            where=plan.job.destination,
            why=f"its report is of {report.source}, this plate is {plan.job.source}",
            remedy="name another destination, or take away what is there if it may be replaced",
        )


def matches_report(report: RunReport, job: PlateJob, inventory: Inventory) -> bool:
    """Whether a report has these options, and in its ledger these files, unchanged.

    A file is known again by size and ETag; without an ETag by its size and that it is older than the report's run.
    """
    if report.options != job.output_options():
        return False
    began = report.started.timestamp()
    ledger = {(entry.path, entry.size, entry.etag) for entry in report.ledger if entry.size is not None}
    files = {(file.path, file.size, file.etag) for file in inventory.files}
    return ledger == files and all(_unchanged_since(began, file) for file in inventory.files)


def _unchanged_since(began: float, file: SourceFile) -> bool:
    return file.etag is not None or (file.modified is not None and file.modified < began)
