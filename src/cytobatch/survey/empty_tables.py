"""Tables without rows: an empty site, or a defect."""

from collections.abc import Mapping
from dataclasses import replace

from cytobatch.config.presets.catalog import Preset
from cytobatch.formats.base import ConversionPlan, ExportScan
from cytobatch.report.model import LedgerEntry, Outcome


def resolve_empty_tables(
    plan: ConversionPlan, scan: ExportScan, preset: Preset, counts: Mapping[str, int]
) -> ExportScan:
    """Decide about tables without rows: an empty site if the image table or all compartments show it, else a defect.

    `counts` are the numbers of objects by compartment, from the image table. Returns the scan with defects, or with
    ledger entries of empty tables.
    """
    exact = plan.format.traits.exact_has_rows
    without_rows = [name for name, table in scan.tables.items() if exact and not table.has_rows]
    compartments = [name for name in scan.tables if name not in preset.metadata]
    no_objects = bool(compartments) and all(name in without_rows for name in compartments)
    for name in without_rows:
        expected = counts.get(name)
        if expected == 0 or (expected is None and no_objects and name in compartments):
            continue
        why = f"the image table counts {expected}" if expected else "there is a header, but no row"
        scan = scan.without(name, f"header only: {why}")
    if not no_objects or scan.defects:
        return scan
    reason = "a site without objects"
    entries = [
        LedgerEntry(
            path=scan.tables[name].source,
            outcome=Outcome.EMPTY,
            export=scan.export.path,
            table=name,
            rows=0,
            reason=reason,
        )
        for name in compartments
    ]
    return replace(scan, empty=tuple(entries))
