"""What every way of converting a plate works with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cytobatch.convert.account import Account
from cytobatch.convert.sink import Sink, file_name
from cytobatch.convert.units import UnitReader
from cytobatch.engine import Engine
from cytobatch.jobspec import PARQUET, SINGLE_CELLS, PlateJob
from cytobatch.survey import Survey, SurveyedExport
from cytobatch.workers import Workers


@dataclass(frozen=True, slots=True)
class Conversion:
    """A surveyed plate, and what converts it in this run. `numbers` are the exports' TableNumbers."""

    survey: Survey
    engine: Engine
    workers: Workers
    reader: UnitReader
    account: Account
    sink: Sink
    numbers: Mapping[int, int]

    @property
    def job(self) -> PlateJob:
        """The job."""
        return self.survey.plan.job

    @property
    def outputs(self) -> list[tuple[str, Sequence[SurveyedExport]]]:
        """The files of joined rows, each with its exports: one of all, or one for each."""
        if self.job.concat:
            return [(f"{SINGLE_CELLS}{PARQUET}", self.survey.exports)]
        return [(file_name(export.path), (export,)) for export in self.survey.exports]
