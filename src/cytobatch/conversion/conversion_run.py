"""A conversion while it runs: the surveyed plate, and the services that every kind of output uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cytobatch.config.options import SINGLE_CELLS, PlateJob
from cytobatch.conversion.export_loader import ExportLoader
from cytobatch.conversion.ledger import RunLedger
from cytobatch.conversion.profile_writer import ProfileWriter, file_stem
from cytobatch.engine.duckdb import Engine
from cytobatch.survey.model import Survey, SurveyedExport


@dataclass(frozen=True, slots=True)
class ConversionRun:
    """The input of a conversion (`survey`), what reads it, and what collects its result (`ledger`, `writer`).

    `table_numbers` has the TableNumber of each export by its index; it is empty if exports are not numbered.
    """

    survey: Survey
    engine: Engine
    loader: ExportLoader
    ledger: RunLedger
    writer: ProfileWriter
    table_numbers: Mapping[int, int]

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
