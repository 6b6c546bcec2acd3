"""What every way of converting a plate works with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cytobatch.config.options import SINGLE_CELLS, PlateJob
from cytobatch.conversion.export_batches import ExportLoader
from cytobatch.conversion.ledger import RunLedger
from cytobatch.conversion.profile_writer import ProfileWriter, file_stem
from cytobatch.engine.duckdb import Engine
from cytobatch.engine.executor import Executor
from cytobatch.survey.model import Survey, SurveyedExport


@dataclass(frozen=True, slots=True)
class Conversion:
    """A surveyed plate, and what converts it in this run. `numbers` are the exports' TableNumbers."""

    survey: Survey
    engine: Engine
    executor: Executor
    reader: ExportLoader
    ledger: RunLedger
    writer: ProfileWriter
    numbers: Mapping[int, int]

    @property
    def job(self) -> PlateJob:
        """The job."""
        return self.survey.plan.job

    @property
    def outputs(self) -> list[tuple[str, Sequence[SurveyedExport]]]:
        """The outputs of joined rows, by name without suffix, each with its exports: one of all, or one for each."""
        if self.job.concat:
            return [(SINGLE_CELLS, self.survey.exports)]
        return [(file_stem(export.path), (export,)) for export in self.survey.exports]
