"""Staged files in, Parquet on the scratch disk out; and the account of every table on the way."""

from collections.abc import Mapping
from dataclasses import dataclass

from cytobatch import __version__
from cytobatch.conversion.anndata_output import check_anndata, write_anndata
from cytobatch.conversion.context import Conversion
from cytobatch.conversion.export_batches import UnitReader
from cytobatch.conversion.joined_profile import write_profile
from cytobatch.conversion.ledger import Account
from cytobatch.conversion.per_table import write_tables
from cytobatch.conversion.profile_writer import Sink
from cytobatch.conversion.resources import Means
from cytobatch.conversion.single_table import write_flat
from cytobatch.conversion.sql_join import write_user_join
from cytobatch.conversion.table_number import export_numbers
from cytobatch.conversion.well_profile import check_wells, write_wells
from cytobatch.output.written_file import WrittenFile
from cytobatch.report.model import FORMAT_VERSION
from cytobatch.survey.model import Survey


@dataclass(frozen=True, slots=True)
class ConvertedPlate:
    """Parquet files on the scratch disk by their name below the destination, and what became of every input."""

    survey: Survey
    files: Mapping[str, WrittenFile]
    account: Account


def parquet_metadata(survey: Survey) -> dict[str, str]:
    """What a Parquet file says of its origin; nothing that differs between two runs of one input."""
    return {
        "data-producer": "cytobatch",
        "data-producer-version": __version__,
        "cytobatch.version": __version__,
        "cytobatch.format_version": str(FORMAT_VERSION),
        "cytobatch.source": survey.plan.job.source,
        "cytobatch.preset": survey.preset.name.value,
        "cytobatch.layout": survey.plan.kind.value,
    }


def convert(survey: Survey, means: Means) -> ConvertedPlate:
    """Converts a surveyed plate into Parquet files below `means.out`.

    Raises TooManyFailedExportsError, InputDataError where no export can be converted at all, and JoinSqlError.
    """
    job = survey.plan.job
    account = Account(survey)
    account.check()
    account.check_something_is_left(survey.exports)
    sink = Sink(survey.plan, means, account, parquet_metadata(survey))
    reader = UnitReader(survey, means, account)
    run = Conversion(survey, means.engine, means.workers, reader, account, sink, export_numbers(survey, means.inputs))
    if job.well_profiles:
        check_wells(run)
    _write_rows(run)
    account.check()
    account.check_something_is_left(account.settled)
    if job.well_profiles:
        write_wells(run, job.well_profiles)
    if job.anndata:
        write_anndata(run, job.anndata)
    return ConvertedPlate(survey, sink.files, account)


def _write_rows(run: Conversion) -> None:
    if run.survey.plan.kind.is_flat:
        write_flat(run)
    elif not run.job.join:
        write_tables(run)
    elif run.job.joins is not None:
        write_user_join(run, run.job.joins)
    else:
        write_profile(run)


__all__ = ["ConvertedPlate", "Means", "check_anndata", "convert", "parquet_metadata"]
