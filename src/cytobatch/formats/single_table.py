"""A base class for formats of whole rows: a file has one row for each object, so that nothing is joined."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from cytobatch.config.options import PlateJob
from cytobatch.config.presets.catalog import PRESETS, Preset, PresetName
from cytobatch.config.wells import SiteLocation
from cytobatch.errors import InvalidTableError, LayoutError
from cytobatch.formats.base import (
    OBJECTS,
    ConversionPlan,
    Export,
    ExportScan,
    FormatPlan,
    FormatTraits,
    Listing,
    SurveyedTable,
    failed_entry,
    with_overrides,
)
from cytobatch.formats.defaults import FormatDefaults
from cytobatch.planning.inventory import SourceFile
from cytobatch.report.model import LedgerEntry, Outcome

TableT = TypeVar("TableT", bound=SurveyedTable)
_JOIN_OPTIONS = ("compartments", "metadata", "joins", "table_prefix")


class SingleTableFormat(FormatDefaults[TableT]):
    """A format whose files are exports with one table, called `objects`. A subclass sets `name` and `preset`."""

    name: str
    preset: Preset
    traits = FormatTraits(single_table=True)

    def location_of(self, listing: Listing, file: SourceFile) -> SiteLocation:
        """Return the location that follows from a file's path; unknown by default."""
        return SiteLocation()

    def plan(self, listing: Listing, files: Sequence[SourceFile]) -> FormatPlan:
        """Return an export for each file. Raises LayoutError if the job has options for tables that are joined."""
        self._check_options(listing.job)
        exports = tuple(
            Export(index, file.path, (file,), self.location_of(listing, file)) for index, file in enumerate(files)
        )
        return FormatPlan(exports, with_overrides(self.preset, listing.job))

    def _check_options(self, job: PlateJob) -> None:
        given = [name for name in _JOIN_OPTIONS if getattr(job, name) is not None]
        if given:
            raise LayoutError(
                f"{given[0]} does not fit this source",
                where=job.source,
                why=f"{self.name} files have whole rows, without tables to choose or join",
                remedy=f"leave {given[0]} out",
            )


def single_table_preset(name: str, formats: frozenset[str]) -> Preset:
    """Return a preset for a format of another package: columns keep their names, and nothing is joined."""
    return replace(PRESETS[PresetName.DEEPPROFILER], name=name, formats=formats)


def preset_of(plan: ConversionPlan) -> Preset:
    """Return the preset of a plan, which a format of whole rows always sets."""
    if plan.preset is None:
        raise ValueError("a plan of whole rows has a preset")
    return plan.preset


def invalid_scan(export: Export, error: InvalidTableError) -> ExportScan:
    """Return the scan of a file that cannot be read."""
    return ExportScan(export, {}, (failed_entry(export, export.path, OBJECTS, error.reason),))


def with_empty_entry(scan: ExportScan) -> ExportScan:
    """Return the scan, with a ledger entry for its table if the table has no rows."""
    table = scan.tables.get(OBJECTS)
    if table is None or table.has_rows:
        return scan
    entry = LedgerEntry(
        path=table.source,
        outcome=Outcome.EMPTY,
        export=scan.export.path,
        table=OBJECTS,
        rows=0,
        reason="a file without objects",
    )
    return replace(scan, empty=(entry,))
