"""Parts of a large plate: what a process needs to convert one range of exports, and what it hands back."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cytobatch.conversion.export_ranges import export_ranges
from cytobatch.conversion.ledger import LedgerPart
from cytobatch.survey.image_table import ImageRows
from cytobatch.survey.model import Survey


@dataclass(frozen=True, slots=True)
class PlateInParts:
    """A surveyed plate, of which any process that reads its source can convert a part. It can be pickled.

    A part is a range of exports. `survey` has what the whole plate has decided: schemas, joins, image sets.
    `table_numbers` has the TableNumber of each export by its index.
    """

    survey: Survey
    table_numbers: Mapping[int, int]

    @classmethod
    def of(cls, survey: Survey, table_numbers: Mapping[int, int]) -> "PlateInParts":
        """Return a plate without what belongs to its report alone.

        The ledger stays, because the exports that have failed count for each part.
        """
        rows = survey.image_rows
        # The names of the image table's columns describe columns of the output.
        names = rows and ImageRows(rows.owners.slice(0, 0), rows.table.schema.empty_table())
        short = replace(
            survey, image_rows=names, missing=(), repairs=(), warnings=(), annotations=(), listed={}, experiments=()
        )
        return cls(short, table_numbers)

    @property
    def count(self) -> int:
        """The number of parts."""
        return len(export_ranges(self.survey))

    def survey_of(self, number: int) -> Survey:
        """Return the survey with the exports of one part alone, which are counted from 0."""
        return replace(self.survey, exports=export_ranges(self.survey)[number])


@dataclass(frozen=True, slots=True)
class ConvertedPart:
    """A converted range: a Parquet file of its profile rows, and what it adds to the ledger."""

    path: Path
    ledger: LedgerPart


PartsConverter = Callable[[PlateInParts], Iterator[ConvertedPart]]
"""Converts all parts of a plate anywhere, and yields them in order. A file is there until the next part is asked for.

It raises what `convert_part` raises; of several parts it may be the error of any.
"""
