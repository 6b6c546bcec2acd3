"""What is derived again, and the error for a profile of which nothing is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytobatch.config.options import PlateJob
from cytobatch.errors import InputDataError
from cytobatch.pipeline.verification.exports import plain_name
from cytobatch.pipeline.verification.location import PLACES
from cytobatch.pipeline.verification.model import Difference, DifferenceKind
from cytobatch.pipeline.verification.values import Repairs
from cytobatch.report.model import RunReport

OWN_NUMBER = "Metadata_TableNumber"
"""The column with the numbers that a run makes for exports."""


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """What is derived: the profile's local file with its columns, the report, and the number of cells (None: all)."""

    job: PlateJob
    report: RunReport
    output: str
    profile: Path
    columns: Sequence[Mapping[str, Any]]
    cells: int | None
    seed: int

    @property
    def names(self) -> list[str]:
        """The names of the profile's columns."""
        return [str(column["name"]) for column in self.columns]

    def places(self, derived: set[str]) -> tuple[str, ...]:
        """Return the columns with plate, well and site, but for a plate's name that the job gave, and `derived`."""
        given = {"Metadata_Plate"} if self.report.options.get("plate") else set()
        return tuple(name for name in PLACES if name in self.names and name not in {*given, *derived})

    def lost_rows(self, rows: int, objects: int) -> list[Difference]:
        """Return a difference if the rows, and those that the report names as dropped, are not as many as the objects.

        No two rows are of one object, and each is of one: then an object has no row.
        """
        dropped = self.report.counts.rows_dropped_as_null
        if rows + dropped == objects:
            return []
        what = f"rows for the objects of the source, but for {dropped} that were dropped"
        return [Difference(DifferenceKind.SHAPE, self.output, what, None, None, str(rows), str(objects - dropped))]

    def repairs(self) -> Repairs:
        """Return the texts that the run replaced."""
        named = ((plain_name(repair.table), repair) for repair in self.report.repairs)
        return Repairs({(table, repair.column, repair.text): repair.became for table, repair in named})

    def not_derivable(self, why: str) -> InputDataError:
        """Return the error for a profile whose rows cannot be derived again."""
        return InputDataError(
            "rows of this profile cannot be derived again",
            where=self.output,
            why=why,
            remedy="leave out --source to verify the files alone",
        )
