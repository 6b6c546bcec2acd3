"""Convert a surveyed plate into outputs on the scratch disk, with a ledger entry for every table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cytobatch import __version__
from cytobatch.config.option_types import Children
from cytobatch.conversion.conversion_run import ConversionRun
from cytobatch.conversion.experiment_table import write_experiments
from cytobatch.conversion.export_loader import ExportLoader
from cytobatch.conversion.fractions import with_doubles_for_fractions
from cytobatch.conversion.joined_profile import write_profile
from cytobatch.conversion.ledger import RunLedger
from cytobatch.conversion.parts import ConvertedPart, PartsConverter, PlateInParts
from cytobatch.conversion.per_table import write_tables
from cytobatch.conversion.profile_writer import ProfileWriter
from cytobatch.conversion.report_wells import NO_WELLS, ReportWells, report_wells
from cytobatch.conversion.run_resources import RunResources
from cytobatch.conversion.single_table import write_single_table
from cytobatch.conversion.site_table import site_table, write_sites
from cytobatch.conversion.sql_join import write_sql_join
from cytobatch.conversion.table_number import export_table_numbers
from cytobatch.conversion.well_profile import write_wells
from cytobatch.errors import FractionError
from cytobatch.output.parquet.sink import ParquetSink
from cytobatch.output.registry import sinks_for
from cytobatch.output.sink import Sink
from cytobatch.output.written_file import WrittenFile
from cytobatch.report.model import FORMAT_VERSION
from cytobatch.survey.model import Survey


@dataclass(frozen=True, slots=True)
class ConvertedPlate:
    """The result of a conversion: its finished outputs, and the outcome of every input.

    `files` has the outputs on the scratch disk by their name below the destination.
    """

    survey: Survey
    files: Mapping[str, WrittenFile]
    ledger: RunLedger
    wells: ReportWells = NO_WELLS


def convert_survey(
    survey: Survey, resources: RunResources, convert_parts: PartsConverter | None = None
) -> ConvertedPlate:
    """Convert a surveyed plate into outputs below `resources.out`; with `convert_parts` its rows are converted there.

    It starts again if a count holds a fraction, which is then a double. Raises TooManyFailedExportsError,
    InputDataError if no export can be converted, and JoinSqlError.
    """
    try:
        return _convert(survey, resources, convert_parts)
    except FractionError:
        if not survey.integers_by_name:
            raise
    # Threads of the first conversion may still write to its scratch folder.
    scratch = resources.scratch / "again"
    scratch.mkdir()
    again = replace(resources, scratch=scratch)
    return _convert(with_doubles_for_fractions(survey, again), again, convert_parts)


def convert_part(plate: PlateInParts, number: int, resources: RunResources) -> ConvertedPart:
    """Convert one part of a plate into a Parquet file below `resources.out`.

    Raises FractionError if a column of the whole plate must be a double, and TooManyFailedExportsError.
    """
    run = _start(plate.survey_of(number), resources, plate.table_numbers, (ParquetSink(),))
    _write_rows(run)
    (file,) = run.writer.files.values()
    return ConvertedPart(file.path, run.ledger.part())


def _convert(survey: Survey, resources: RunResources, convert_parts: PartsConverter | None) -> ConvertedPlate:
    """Convert a plate under the survey's types. Raises FractionError if a column must be a double, and the others."""
    numbers = export_table_numbers(survey, resources.inputs)
    run = replace(_start(survey, resources, numbers, sinks_for(survey.plan.job)), convert_parts=convert_parts)
    job, ledger = run.job, run.ledger
    try:
        _write_rows(run)
    except FractionError:
        run.loader.keep_files()
        raise
    resources.work.end(ledger.rows)
    ledger.check_failed_exports()
    ledger.check_not_empty(ledger.finished_entries)
    if job.children not in (None, Children.FIRST) and not (survey.join and survey.join.has_children):
        ledger.warn(f"children is {str(job.children)!r}, but no compartment of the profile is the child of another")
    wells = report_wells(run)
    sites = site_table(run) if job.image_features else None
    if job.well_profiles:
        write_wells(run, job.well_profiles, sites)
    if sites is not None:
        write_sites(run, sites)
    write_experiments(run)
    run.writer.write_from_parquet()
    run.writer.write_column_lists()
    return ConvertedPlate(survey, run.writer.files, ledger, wells)


def _start(
    survey: Survey, resources: RunResources, table_numbers: Mapping[int, int], sinks: Sequence[Sink]
) -> ConversionRun:
    """Return a new run, after the exports that failed in the survey are checked against the job's limit."""
    ledger = RunLedger(survey)
    ledger.check_failed_exports()
    ledger.check_not_empty(survey.exports)
    resources.work.start(len(survey.plan.exports), len(survey.plan.exports) - len(survey.exports))
    return ConversionRun(
        survey=survey,
        engine=resources.engine,
        loader=ExportLoader(survey, resources, ledger),
        ledger=ledger,
        writer=ProfileWriter(survey, resources, ledger, origin_metadata(survey), sinks),
        table_numbers=table_numbers,
        work=resources.work,
    )


def origin_metadata(survey: Survey) -> dict[str, str]:
    """Return the metadata of output files that name their origin; they do not differ between runs of one input."""
    return {
        "data-producer": "cytobatch",
        "data-producer-version": __version__,
        "cytobatch.version": __version__,
        "cytobatch.format_version": str(FORMAT_VERSION),
        "cytobatch.source": survey.plan.job.source,
        "cytobatch.preset": str(survey.preset.name),
        "cytobatch.layout": survey.plan.format.name,
    }


def _write_rows(run: ConversionRun) -> None:
    if run.survey.single_table is not None:
        write_single_table(run, run.survey.single_table)
    elif not run.job.join:
        write_tables(run)
    elif run.job.joins is not None:
        write_sql_join(run, run.job.joins)
    else:
        write_profile(run)
