"""Staged files in, Parquet on the scratch disk out; and the account of every table on the way."""

from collections.abc import Mapping
from dataclasses import dataclass

from cytobatch import __version__
from cytobatch.convert.account import Account
from cytobatch.convert.context import Conversion
from cytobatch.convert.flat import write_flat
from cytobatch.convert.numbers import export_numbers
from cytobatch.convert.profile import write_profile
from cytobatch.convert.sink import Sink
from cytobatch.convert.stores import check_anndata, write_anndata
from cytobatch.convert.tables import write_tables
from cytobatch.convert.units import UnitReader
from cytobatch.convert.user_join import write_user_join
from cytobatch.convert.wells import check_wells, write_wells
from cytobatch.files import WrittenFile
from cytobatch.means import Means
from cytobatch.report import FORMAT_VERSION
from cytobatch.survey import Survey


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
