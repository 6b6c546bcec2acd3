"""A source by its listing and its survey: format, plates, wells, sites, tables, columns, and a few rows."""

from collections.abc import Iterable, Iterator
from itertools import islice

import pyarrow as pa

from cytobatch.config.options import PlateJob
from cytobatch.config.wells import SiteLocation
from cytobatch.conversion.column_lists import ColumnDescriber
from cytobatch.conversion.profile_columns import ProfileColumn
from cytobatch.conversion.run_resources import RunResources
from cytobatch.engine.executor import Executor
from cytobatch.engine.resources import configure_arrow_threads, resource_limits
from cytobatch.errors import FastPathUnavailable, InvalidTableError
from cytobatch.formats.base import ConversionPlan, ReadContext
from cytobatch.pipeline.early_checks import annotation_reader
from cytobatch.pipeline.folders import folders_for
from cytobatch.pipeline.inspection.model import ColumnCounts, InspectedSource, InspectedTable, SampleRows, as_texts
from cytobatch.pipeline.plate import plan_plate
from cytobatch.pipeline.source_survey import SurveyedSource, open_source
from cytobatch.planning.columns import PLATE, SITE, WELL
from cytobatch.report.lines import warning_line
from cytobatch.report.model import Outcome
from cytobatch.survey.model import Survey, SurveyedExport, TableSchema

_KEYS_SHOWN, _FEATURES_SHOWN = 2, 4
_MOST_FETCHED = 16 * 2**20
"""The largest table of a bucket that is fetched for its first rows."""


def inspect_source(job: PlateJob, rows: int) -> InspectedSource:
    """Inspect the source of a job. Raises InputDataError if it is none, StorageError."""
    configure_arrow_threads(resource_limits(job))
    with folders_for(job) as folders:
        source, plan = plan_plate(job, folders.cache)
        with open_source(plan, source, folders, annotation_reader(plan)) as found:
            return _inspected(plan, found, rows)


def _inspected(plan: ConversionPlan, found: SurveyedSource, rows: int) -> InspectedSource:
    survey, sample = found.survey, found.sample
    preset = survey.preset if survey else plan.preset
    locations = _locations(plan, found)
    return InspectedSource(
        path=plan.job.source,
        layout=plan.format.name,
        preset=str(preset.name) if preset else "auto",
        plates=sorted({each.plate for each in locations if each.plate}),
        wells=_distinct((each.plate, each.well) for each in locations if each.well),
        sites=_distinct((each.plate, each.well, each.site) for each in locations if each.site),
        exports=len(plan.exports),
        files=sum(len(export.files) for export in plan.exports),
        ignored=len(plan.ignored),
        bytes=sum(file.size for export in plan.exports for file in export.files),
        looked_at=sample.exports if sample else len(plan.exports),
        fetched=sample.fetched if sample else 0,
        not_surveyed=sample.reason if sample else "",
        declarations_only=bool(sample and sample.is_outline),
        tables=list(_tables(found)),
        joins=survey.join.describe() if survey and survey.join else [],
        invalid=list(_invalid(survey)) if survey else [],
        warnings=[warning_line(warning) for warning in survey.warnings] if survey else [],
        sample=_first_rows(survey, found.resources, rows) if survey and found.resources and rows else None,
    )


def _locations(plan: ConversionPlan, found: SurveyedSource) -> list[SiteLocation]:
    """Return the locations of all image sets, or those of exports that names of folders have, for a sample."""
    of_exports = [export.location.or_else(plan.job.location) for export in plan.exports]
    if found.survey is None or (found.sample is not None and not found.sample.is_whole):
        return of_exports
    table = found.survey.images.locations
    count = found.survey.images.table.num_rows or table.num_rows
    names = [name for name in (PLATE, WELL, SITE) if name in table.column_names]
    rows = table.select(names).slice(0, count).to_pylist()
    return [SiteLocation(row.get(PLATE), row.get(WELL), _known(row.get(SITE))) for row in rows]


def _known(site: object) -> str | None:
    return None if site is None else str(site)


def _distinct(places: Iterable[tuple[str | None, ...]]) -> int | None:
    return len(set(places)) or None


def _tables(found: SurveyedSource) -> Iterator[InspectedTable]:
    if found.survey is None:
        return
    describer = ColumnDescriber.of_survey(found.survey)
    about = found.sample is not None and not found.sample.is_whole
    for name, table in found.survey.schemas.items():
        columns = (describer.describe(_origin(table, field))._replace(type=str(field.type)) for field in table.schema)
        yield InspectedTable(name=name, rows=found.rows.get(name), about=about, columns=ColumnCounts.of(columns))


def _origin(table: TableSchema, field: pa.Field) -> ProfileColumn:
    return ProfileColumn(field.name, field.type, table.name, field.name, field.name in table.features)


def _invalid(survey: Survey) -> Iterator[str]:
    for entry in survey.ledger:
        if entry.outcome is Outcome.FAILED:
            yield f"{entry.path} ({entry.table or 'file'}): {entry.reason}"


def _first_rows(survey: Survey, resources: RunResources, rows: int) -> SampleRows | None:
    """Return a few columns of the first rows of the table that has a row for each row of the profile."""
    name = survey.join.base if survey.join else next(iter(survey.schemas), "")
    export = next((each for each in survey.exports if name in each.tables and each.tables[name].has_rows), None)
    if export is None or not _is_there(survey, export, name, resources):
        return None
    table, features = export.tables[name], survey.schemas[name].features
    keys = [field.name for field in table.schema if field.name not in features][:_KEYS_SHOWN]
    shown = [*keys, *[field.name for field in table.schema if field.name in features][:_FEATURES_SHOWN]]
    schema = pa.schema([table.schema.field(column) for column in shown])
    with Executor(1) as executor:
        context = ReadContext(survey.plan.job, resources.engine, executor)
        try:
            # The last way streams in one thread, so that it ends when it is left.
            path = resources.inputs.whole(table.source)
            *_, strategy = survey.plan.format.readers(table, path, schema, [], context)
            found: list[dict[str, object]] = []
            for batch in strategy():
                found += batch.slice(0, rows - len(found)).to_pylist()
                if len(found) >= rows:
                    break
        except (InvalidTableError, FastPathUnavailable):
            # `invalid` has the defects that a survey finds; a run would find the others.
            return None
    return SampleRows(table=table.shown_name, columns=shown, rows=as_texts(islice(found, rows)))


def _is_there(survey: Survey, export: SurveyedExport, name: str, resources: RunResources) -> bool:
    """Return whether a table is on this disk, or small enough to be fetched."""
    sizes = {file.path: file.size for file in export.export.files}
    is_local = not resources.inputs.fetched and "://" not in survey.plan.job.source
    return is_local or sizes.get(export.tables[name].source, 0) <= _MOST_FETCHED
