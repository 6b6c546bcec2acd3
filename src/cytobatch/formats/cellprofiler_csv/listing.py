"""The listing of combined CSV files: every compartment in the first header row of each, read or not."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from cytobatch.config.presets.catalog import PresetName
from cytobatch.formats.base import ConversionPlan, Export, ExportScan, failed_entry
from cytobatch.formats.cellprofiler_csv.combined import combined_compartments
from cytobatch.formats.csv_files import first_row
from cytobatch.readers.inputs import Inputs
from cytobatch.report.model import LedgerEntry, Outcome

NOT_CHOSEN = "a compartment that the job does not name"
UNKNOWN = "a compartment that the first combined file of the plate lacks"


def list_combined(plan: ConversionPlan, inputs: Inputs) -> dict[str, tuple[str, ...]]:
    """Return the lower-case compartments in each combined file by its path."""
    paths = (table.file.path for export in plan.exports for table in export.tables.values() if table.combined)
    return {
        path: tuple(label.lower() for label in combined_compartments(first_row(path, inputs)))
        for path in dict.fromkeys(paths)
    }


def with_unread_compartments(
    plan: ConversionPlan, scans: Sequence[ExportScan], listed: dict[str, tuple[str, ...]]
) -> list[ExportScan]:
    """Return the scans, in which the compartments of combined files that the plan lacks are named.

    One that the job does not name is ignored. If the job takes all compartments, it is a defect, because one of the
    files decides which compartments the plate has.
    """
    takes_all = plan.job.preset is PresetName.AUTO and plan.job.compartments is None
    return [_with_unread(scan, _unread(scan.export, listed), takes_all=takes_all) for scan in scans]


def _unread(export: Export, listed: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """Return the path and name of each compartment in the combined files of an export that is not one of its tables."""
    paths = dict.fromkeys(table.file.path for table in export.tables.values() if table.combined)
    return [(path, name) for path in paths for name in listed[path] if name not in export.tables]


def _with_unread(scan: ExportScan, unread: Collection[tuple[str, str]], *, takes_all: bool) -> ExportScan:
    export = scan.export
    if takes_all:
        defects = tuple(failed_entry(export, path, name, UNKNOWN) for path, name in unread)
        return replace(scan, defects=(*scan.defects, *defects))
    ignored = (
        LedgerEntry(path=path, outcome=Outcome.IGNORED, export=export.path, table=name, reason=NOT_CHOSEN)
        for path, name in unread
    )
    return replace(scan, ignored=(*scan.ignored, *ignored))
