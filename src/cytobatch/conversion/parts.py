"""Parts of a large plate: what a process needs to convert one range of exports, and what it hands back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cytobatch.conversion.ledger import LedgerPart
from cytobatch.survey.image_table import ImageRows
from cytobatch.survey.model import Survey, SurveyedExport


@dataclass(frozen=True, slots=True)
class PartWork:
    """One range of exports to convert, by any process that reads the plate's source. It can be pickled.

    `survey` has the exports of the range alone, and all that the whole plate has decided: schemas, joins, image sets.
    `table_numbers` has the TableNumber of each export of the plate by its index.
    """

    number: int
    survey: Survey
    table_numbers: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class ConvertedPart:
    """A converted range: a Parquet file of its profile rows, and what it adds to the ledger."""

    path: Path
    ledger: LedgerPart


PartsConverter = Callable[[Sequence[PartWork]], Iterator[ConvertedPart]]
"""Converts parts anywhere, and yields them in their order. A file must be there until the next part is asked for.

It raises what `convert_part` raises; of several parts it may be the error of any.
"""


def survey_of_range(survey: Survey, exports: Sequence[SurveyedExport]) -> Survey:
    """Return a plate's survey for the conversion of some exports, without what belongs to the report alone.

    The ledger stays, because the exports that have failed count for each part.
    """
    indices = {export.index for export in exports}
    rows = survey.image_rows
    return replace(
        survey,
        exports=tuple(exports),
        # The names of the columns describe those of the output.
        image_rows=rows and ImageRows(rows.owners.slice(0, 0), rows.table.schema.empty_table()),
        counted={index: counts for index, counts in survey.counted.items() if index in indices},
        missing=(),
        repairs=(),
        warnings=(),
        annotations=(),
        listed={},
        experiments=(),
    )
