"""A batch of exports: the unit in which rows are read, joined and assembled."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from cytobatch.survey.model import SurveyedExport


@dataclass(frozen=True, slots=True)
class ExportBatch:
    """Some exports of bounded size, with the rows of all of them in one table for each compartment.

    Attributes
    ----------
    exports
        The exports, in the order of the plan.
    tables
        By compartment, the rows of all exports under the plate's unified schema.
    export_of_row
        By compartment, the index of each row's export in the plan: `int64, (rows,)`. Empty for a slice of rows that is
        joined already.
    """

    exports: tuple[SurveyedExport, ...]
    tables: Mapping[str, pa.Table]
    export_of_row: Mapping[str, pa.Array]
