"""A conversion while it runs: the surveyed plate, and the services that every kind of output uses."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from cytobatch.config.options import SINGLE_CELLS, PlateJob
from cytobatch.conversion.export_loader import ExportLoader
from cytobatch.conversion.export_ranges import export_ranges
from cytobatch.conversion.ledger import RunLedger
from cytobatch.conversion.parts import PartsConverter
from cytobatch.conversion.profile_writer import ProfileWriter, file_stem
from cytobatch.conversion.work_done import WorkCounter
from cytobatch.engine.duckdb import Engine
from cytobatch.survey.model import Survey, SurveyedExport


@dataclass(frozen=True, slots=True)
class ConversionRun:
    """The input of a conversion (`survey`), what reads it, and what collects its result (`ledger`, `writer`).
    `work` counts how far it is.

    `table_numbers` has the TableNumber of each export by its index; it is empty if exports are not numbered.
    `convert_parts` is set if other processes convert the joined rows.
    """

    survey: Survey
    engine: Engine
    loader: ExportLoader
    ledger: RunLedger
    writer: ProfileWriter
    table_numbers: Mapping[int, int]
    work: WorkCounter
    convert_parts: PartsConverter | None = None

    @property
    def job(self) -> PlateJob:
        """The job."""
        return self.survey.plan.job

    @property
    def outputs(self) -> list["RowsOutput"]:
        """The outputs of joined rows: one of all exports, or one for each."""
        if self.job.concat:
            return [RowsOutput(SINGLE_CELLS, export_ranges(self.survey))]
        return [RowsOutput(file_stem(export.path), ((export,),)) for export in self.survey.exports]


@dataclass(frozen=True, slots=True)
class RowsOutput:
    """An output of joined rows: its name without suffix, and the ranges of exports whose rows it has."""

    name: str
    ranges: tuple[tuple[SurveyedExport, ...], ...]

    @property
    def exports(self) -> tuple[SurveyedExport, ...]:
        """The exports of all ranges."""
        return tuple(itertools.chain.from_iterable(self.ranges))

    @property
    def range_numbers(self) -> dict[int, int]:
        """The number of the range of each export, by the export's index."""
        return {export.index: number for number, exports in enumerate(self.ranges) for export in exports}
