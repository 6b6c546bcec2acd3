"""Whether a plate's published profile is that of the inputs and options of now, so that nothing is left to do."""

from cytobatch.annotations import digest_of
from cytobatch.errors import ConfigurationError
from cytobatch.inventory import Inventory, SourceFile
from cytobatch.jobspec import PlateJob
from cytobatch.plan import ConversionPlan
from cytobatch.report import RunReport, parse_report
from cytobatch.storage import Access, Destination, read_text


def done_already(plan: ConversionPlan, destination: Destination) -> RunReport | None:
    """The published report, if it tells of these very inputs and options, and its outputs are there as it says.

    None otherwise. Raises StorageError.
    """
    text = destination.earlier_report()
    report = parse_report(text) if text is not None else None
    if report is None or not tells_of(report, plan.job, plan.inventory):
        return None
    access = Access.to_source(plan.job)
    if any(digest_of(read_text(file.path, access)) != file.sha256 for file in report.annotations):
        return None
    there = all(destination.size_of(out.path, out.files) == out.bytes for out in report.outputs)
    return report if there else None


def refuse_another_source(plan: ConversionPlan, destination: Destination) -> None:
    """Raises ConfigurationError where the destination has the published profile of another source."""
    text = destination.earlier_report()
    report = parse_report(text) if text is not None else None
    if report is not None and report.source.rstrip("/") != plan.job.source.rstrip("/"):
        raise ConfigurationError(
            "destination has the profile of another source", where=plan.job.destination,
            why=f"its report is of {report.source}, this plate is {plan.job.source}",
            remedy="name another destination, or take away what is there if it may be replaced",
        )  # fmt: skip


def tells_of(report: RunReport, job: PlateJob, inventory: Inventory) -> bool:
    """Whether a report has these options, and in its ledger these files, unchanged.

    A file is known again by size and ETag; without an ETag by its size and that it is older than the report's run.
    """
    if report.options != job.deciding_options():
        return False
    began = report.started.timestamp()
    ledger = {(entry.path, entry.size, entry.etag) for entry in report.ledger if entry.size is not None}
    files = {(file.path, file.size, file.etag) for file in inventory.files}
    return ledger == files and all(_unchanged_since(began, file) for file in inventory.files)


def _unchanged_since(began: float, file: SourceFile) -> bool:
    return file.etag is not None or (file.modified is not None and file.modified < began)
