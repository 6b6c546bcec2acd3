"""How much of the scratch disk a conversion takes, told before anything is spent."""

from dataclasses import dataclass

from cytobatch.config.option_types import CacheMode
from cytobatch.config.presets.presets import SourceKind
from cytobatch.planning.model import ConversionPlan
from cytobatch.readers.inputs import BEGINNING

FETCHED_AHEAD = 2**30
"""Bytes of fetched files that may wait to be read."""


@dataclass(frozen=True, slots=True)
class ScratchNeed:
    """Bytes of the scratch disk: of fetched files, of tables too large for memory, and of outputs; no more than these.

    Outputs are taken to be as large as their source, which text and SQLite always were.
    """

    fetched: int
    staged: int
    outputs: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.fetched + self.staged + self.outputs


def room_to_fetch(plan: ConversionPlan) -> int:
    """Bytes of expected files that may wait on the disk: all, where a survey reads whole files."""
    return FETCHED_AHEAD if plan.kind is SourceKind.CSV else plan.size


def scratch_need(plan: ConversionPlan, *, remote: bool, table_bytes: int) -> ScratchNeed:
    """What a plan's conversion takes at most."""
    large = (sum(file.size for file in export.files if file.size > table_bytes) for export in plan.exports)
    formats = 1 + len(plan.job.anndata)
    return ScratchNeed(_fetched(plan) if remote else 0, max(large, default=0), formats * plan.size)


def _fetched(plan: ConversionPlan) -> int:
    if plan.job.cache_mode is CacheMode.PERSISTENT or plan.kind is not SourceKind.CSV:
        return plan.size
    metadata = plan.preset.metadata if plan.preset else ()
    images = {t.file.path for e in plan.exports for name, t in e.tables.items() if name in metadata}
    files = [file for export in plan.exports for file in export.files]
    looked_into = sum(file.size if file.path in images else min(file.size, BEGINNING) for file in files)
    # The file that fills the room up may be larger than what was left of it.
    ahead = FETCHED_AHEAD + max((file.size for file in files), default=0)
    return min(plan.size, looked_into + ahead)
