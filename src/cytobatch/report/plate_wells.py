"""The wells of a report by what they show: their state, the usual numbers of the plate, and those to look at."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from cytobatch.config.plural import count, plural
from cytobatch.errors import brief
from cytobatch.report.model import LedgerEntry, RunReport, first_failures
from cytobatch.report.numbers import named
from cytobatch.report.wells import PlateWell

_SPREADS = 4.0
_FEW, _MANY = 0.5, 2.0
_FEWEST_WELLS = 8
_NORMAL = 1.4826
"""The standard deviation of a normal distribution by its median absolute deviation."""


class WellState(StrEnum):
    """What a well shows on the plate map."""

    CELLS = "cells"
    """All of its sites are there, and it has cells."""
    PART = "part"
    """It has cells, but a site failed or is missing."""
    EMPTY = "empty"
    """Its sites are valid and have no cell."""
    FAILED = "failed"
    """All of its sites failed."""


class Finding(StrEnum):
    """Why a well should be looked at, the worst first."""

    FAILED = "failed"
    EMPTY = "no cells"
    PART = "sites left out"
    FEW = "few cells"
    MISSING = "sites missing"
    MANY = "many cells"


@dataclass(frozen=True, slots=True)
class WellToLookAt:
    """A well, what is odd about it and why, where its files are, and what to do."""

    name: str
    finding: Finding
    what: str
    why: str
    where: str
    fix: str


@dataclass(frozen=True)
class PlateWells:
    """The wells of a report. `reasons` has the first failed ledger entry of each export."""

    wells: Sequence[PlateWell]
    reasons: dict[str, LedgerEntry]

    @classmethod
    def of(cls, report: RunReport) -> "PlateWells":
        """Return the wells of a report."""
        return cls(report.plate_wells, first_failures(entry for entry in report.ledger if entry.export))

    @cached_property
    def plates(self) -> list[str | None]:
        """The names of the plates, in the order of the wells."""
        return list(dict.fromkeys(well.plate for well in self.wells))

    @cached_property
    def cells(self) -> list[int]:
        """The cells of each well that has a valid site."""
        return [well.cells for well in self.wells if well.sites]

    @cached_property
    def median(self) -> float:
        """The median of the cells of wells that have a valid site; 0 without such wells."""
        return statistics.median(self.cells) if self.cells else 0.0

    @cached_property
    def spread(self) -> float:
        """The standard deviation of the cells a well, estimated from the median absolute deviation."""
        return _NORMAL * statistics.median(abs(cells - self.median) for cells in self.cells) if self.cells else 0.0

    @cached_property
    def usual_sites(self) -> int:
        """The number of sites that most wells have, failed ones included."""
        return statistics.mode(well.sites + well.failed_sites for well in self.wells) if self.wells else 0

    @cached_property
    def with_cells(self) -> int:
        """The number of wells that have cells."""
        return sum(well.cells > 0 for well in self.wells)

    @cached_property
    def failed_sites(self) -> int:
        """The number of sites of failed exports whose well is known."""
        return sum(well.failed_sites for well in self.wells)

    def name(self, well: PlateWell) -> str:
        """Return a well's name, with its plate's if there are several."""
        return brief(f"{well.plate or 'unknown plate'} {well.well}" if len(self.plates) > 1 else well.well)

    def state(self, well: PlateWell) -> WellState:
        """Return what a well shows."""
        if not well.sites and well.failed_sites:
            return WellState.FAILED
        if not well.cells:
            return WellState.EMPTY
        is_part = well.failed_sites or well.sites < self.usual_sites
        return WellState.PART if is_part else WellState.CELLS

    @cached_property
    def to_look_at(self) -> list[WellToLookAt]:
        """The wells that differ from the others, the worst first; each once."""
        order = list(Finding)
        found = [item for well in self.wells if (item := self._finding(well)) is not None]
        return sorted(found, key=lambda item: order.index(item.finding))

    def _finding(self, well: PlateWell) -> WellToLookAt | None:
        return next(self._findings(well), None)

    def _findings(self, well: PlateWell) -> Iterator[WellToLookAt]:
        name, sites, usual = self.name(well), well.sites + well.failed_sites, self.usual_sites
        entry = next((self.reasons[path] for path in well.failed_exports if path in self.reasons), None)
        if well.failed_sites:
            finding = Finding.PART if well.sites else Finding.FAILED
            what = f"{well.failed_sites} of {plural(sites, 'site')} left out"
            why, where = (entry.reason or "", entry.path) if entry else ("another table of the export failed", "")
            yield WellToLookAt(name, finding, what, why, where, "mend or copy the file again, then run again")
        if not well.cells:
            why = f"{plural(well.sites, 'valid site')} without a cell"
            fix = "open its images: not filled, out of focus, or not segmented"
            yield WellToLookAt(name, Finding.EMPTY, "no cells", why, "", fix)
        is_rated = len(self.cells) >= _FEWEST_WELLS
        against = f"the plate's median is {count(self.median)}"
        if is_rated and well.cells < min(_FEW * self.median, self.median - _SPREADS * self.spread):
            fix = "open its images: toxic treatment, out of focus, or lost in washing"
            yield WellToLookAt(name, Finding.FEW, plural(well.cells, "cell"), against, "", fix)
        if sites < usual:
            why = f"most wells have {count(usual)}"
            yield WellToLookAt(name, Finding.MISSING, plural(sites, "site"), why, "", "check that all were imaged")
        if is_rated and well.cells > max(_MANY * self.median, self.median + _SPREADS * self.spread):
            fix = "open its images: split or overgrown cells"
            yield WellToLookAt(name, Finding.MANY, plural(well.cells, "cell"), against, "", fix)


def roles_line(wells: Iterable[PlateWell]) -> str:
    """Return the controls of a plate by their role: `32 controls: 16 negcon, 16 poscon`; an empty text without any."""
    roles = [brief(well.role) for well in wells if well.role]
    counts = {role: roles.count(role) for role in dict.fromkeys(roles)}
    parts = [f"{number:,} {role}" for role, number in counts.items()]
    return f"{plural(len(roles), 'control')}: {named(parts)}" if roles else ""
