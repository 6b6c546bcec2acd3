"""Estimate the scratch disk that a conversion takes, from its plan alone."""

from dataclasses import dataclass

from cytobatch.config.option_types import CacheMode
from cytobatch.formats.base import ConversionPlan
from cytobatch.readers.inputs import BEGINNING

FETCHED_AHEAD = 2**30
"""Bytes of fetched files that may wait on the scratch disk to be read."""


@dataclass(frozen=True, slots=True)
class ScratchNeed:
    """Upper bounds in bytes for the scratch disk: fetched files, tables too large for memory, and outputs.

    Outputs are assumed to be as large as their source; outputs of CSV and SQLite sources were never larger.
    """

    fetched: int
    staged: int
    outputs: int

    @property
    def total(self) -> int:
        """The sum of the three."""
        return self.fetched + self.staged + self.outputs

    @property
    def least(self) -> int:
        """The bytes below which a run is not begun. Outputs and staged tables have half of their source or more."""
        return (self.staged + self.outputs) // 4


def room_to_fetch(plan: ConversionPlan) -> int:
    """Return the bytes of expected files that may wait on the disk: all of them if the survey reads files whole."""
    return _file_bytes(plan) if _reads_all(plan) else FETCHED_AHEAD


def scratch_need(plan: ConversionPlan, *, remote: bool, table_bytes: int) -> ScratchNeed:
    """Return the upper bounds for a plan's conversion.

    `table_bytes` is the size in bytes of the largest table that is converted in memory.
    """
    sizes = ([file.content_size for file in export.files] for export in plan.exports)
    large_tables = (sum(size for size in each if size > table_bytes) for each in sizes)
    outputs = (1 + len(plan.job.anndata)) * plan.size + _bytes_beside_tables(plan)
    return ScratchNeed(_fetched_bytes(plan) if remote else 0, max(large_tables, default=0), outputs)


def _bytes_beside_tables(plan: ConversionPlan) -> int:
    """Return the bytes of files that the survey reads, and that have no tables of an export."""
    tables = {file.path for export in plan.exports for file in export.files}
    whole = set(plan.format.whole_files(plan)) - tables
    return sum(file.size for file in plan.inventory.files if file.path in whole)


def _reads_all(plan: ConversionPlan) -> bool:
    """Return whether the survey reads every file whole."""
    return {file.path for export in plan.exports for file in export.files} <= set(plan.format.whole_files(plan))


def _fetched_bytes(plan: ConversionPlan) -> int:
    return _fetched_tables(plan) + _bytes_beside_tables(plan)


def _fetched_tables(plan: ConversionPlan) -> int:
    if plan.job.cache_mode is CacheMode.PERSISTENT or _reads_all(plan):
        return _file_bytes(plan)
    whole = plan.format.whole_files(plan)
    files = [file for export in plan.exports for file in export.files]
    surveyed = sum(file.size if file.path in whole else min(file.size, BEGINNING) for file in files)
    # The file that exhausts the budget may be larger than its remaining bytes.
    ahead = FETCHED_AHEAD + max((file.size for file in files), default=0)
    return min(_file_bytes(plan), surveyed + ahead)


def _file_bytes(plan: ConversionPlan) -> int:
    """Return the bytes of all files as they are at the source."""
    return sum(file.size for export in plan.exports for file in export.files)
