"""Staged files in, Parquet on the scratch disk out; and the account of every table on the way."""

from collections.abc import Mapping
from dataclasses import dataclass

from cytobatch import __version__
from cytobatch.conversion.context import Conversion
from cytobatch.conversion.export_batches import ExportLoader
from cytobatch.conversion.joined_profile import write_profile
from cytobatch.conversion.ledger import RunLedger
from cytobatch.conversion.per_table import write_tables
from cytobatch.conversion.profile_writer import ProfileWriter
from cytobatch.conversion.resources import RunResources
from cytobatch.conversion.single_table import write_single_table
from cytobatch.conversion.sql_join import write_sql_join
from cytobatch.conversion.table_number import export_table_numbers
from cytobatch.conversion.well_profile import check_wells, write_wells
from cytobatch.output.registry import sinks_for
from cytobatch.output.written_file import WrittenFile
from cytobatch.report.model import FORMAT_VERSION
from cytobatch.survey.model import Survey


@dataclass(frozen=True, slots=True)
class ConvertedPlate:
    """Parquet files on the scratch disk by their name below the destination, and what became of every input."""

    survey: Survey
    files: Mapping[str, WrittenFile]
    ledger: RunLedger


def parquet_metadata(survey: Survey) -> dict[str, str]:
    """What a Parquet file says of its origin; nothing that differs between two runs of one input."""
    return {
        "data-producer": "cytobatch",
        "data-producer-version": __version__,
        "cytobatch.version": __version__,
        "cytobatch.format_version": str(FORMAT_VERSION),
        "cytobatch.source": survey.plan.job.source,
        "cytobatch.preset": str(survey.preset.name),
        "cytobatch.layout": survey.plan.format.name,
    }


def convert(survey: Survey, resources: RunResources) -> ConvertedPlate:
    """Converts a surveyed plate into Parquet files below `resources.out`.

    Raises TooManyFailedExportsError, InputDataError where no export can be converted at all, and JoinSqlError.
    """
    job = survey.plan.job
    ledger = RunLedger(survey)
    ledger.check()
    ledger.check_something_is_left(survey.exports)
    writer = ProfileWriter(survey.plan, resources, ledger, parquet_metadata(survey), sinks_for(job))
    reader = ExportLoader(survey, resources, ledger)
    run = Conversion(
        survey,
        resources.engine,
        resources.executor,
        reader,
        ledger,
        writer,
        export_table_numbers(survey, resources.inputs),
    )
    if job.well_profiles:
        check_wells(run)
    _write_rows(run)
    ledger.check()
    ledger.check_something_is_left(ledger.finished_entries)
    if job.well_profiles:
        write_wells(run, job.well_profiles)
    writer.write_from_parquet()
    return ConvertedPlate(survey, writer.files, ledger)


def _write_rows(run: Conversion) -> None:
    if run.survey.single_table is not None:
        write_single_table(run, run.survey.single_table)
    elif not run.job.join:
        write_tables(run)
    elif run.job.joins is not None:
        write_sql_join(run, run.job.joins)
    else:
        write_profile(run)
