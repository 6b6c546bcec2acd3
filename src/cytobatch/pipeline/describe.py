"""The description of a run before it starts, for `plan`: the plan, and a survey of local files or of a sample."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cytobatch.config.options import COLUMNS, EXPERIMENT, PARQUET, PROFILES, SINGLE_CELLS, SITES, PlateJob
from cytobatch.config.uris import is_remote
from cytobatch.engine.resources import configure_arrow_threads, resource_limits
from cytobatch.errors import InputDataError
from cytobatch.formats.base import ConversionPlan
from cytobatch.output.column_list import SUFFIX
from cytobatch.output.registry import sinks_for
from cytobatch.pipeline.early_checks import annotation_reader, check_plan
from cytobatch.pipeline.folders import Folders, folders_for
from cytobatch.pipeline.memory_estimate import least_memory
from cytobatch.pipeline.plate import open_resources, plan_plate, survey_plate
from cytobatch.pipeline.sample import SourceSample, sampled, sampled_rows, unreadable_sample, why_not_sampled
from cytobatch.readers.inputs import Inputs
from cytobatch.storage.destination import Destination
from cytobatch.storage.source import Source
from cytobatch.survey.annotation_files import ReadText
from cytobatch.survey.model import Survey

_COUNTED_BYTES = 256 * 2**20
"""The most bytes of a plate whose rows are counted by reading it."""


@dataclass(frozen=True, slots=True)
class PlanDescription:
    """A plan, the URIs of its outputs and report, and the survey: of a local source, or of a sample of a bucket's.

    Attributes
    ----------
    plan : ConversionPlan
        The exports, their files, and the format that reads them.
    survey : Survey or None
        The tables with their columns, and how they are joined. None if nothing could be surveyed: `sample` has why.
    rows : mapping of str to int
        The numbers of rows by table; about, for a sample. A table is missing if counting its rows would take long.
    outputs : tuple of str
        The paths of the files that a run would write.
    report : str
        The path of the report.
    least_memory : int
        The bytes of memory below which a run is refused.
    sample : SourceSample or None
        Of a source in a bucket the exports that were looked at; None for a local source, which is surveyed whole.
    """

    plan: ConversionPlan
    survey: Survey | None
    rows: Mapping[str, int]
    outputs: tuple[str, ...]
    report: str
    least_memory: int
    sample: SourceSample | None = None


def describe_job(job: PlateJob) -> PlanDescription:
    """Plan a job without converting it. A local source is surveyed, of a bucket a few exports."""
    configure_arrow_threads(resource_limits(job))
    with folders_for(job) as folders:
        source, plan = plan_plate(job, folders.cache)
        annotations = annotation_reader(plan)
        check_plan(plan, annotations)
        destination = Destination(job)
        planned = PlanDescription(
            plan=plan,
            survey=None,
            rows={},
            outputs=tuple(destination.uri_of(name) for name in _outputs(plan)),
            report=destination.report_uri,
            least_memory=least_memory(plan),
        )
        if is_remote(plan.job.source):
            return _with_sample(planned, source, folders, annotations)
        with open_resources(plan, source, folders) as resources:
            surveyed = survey_plate(plan, resources, annotations)
            rows = _row_counts(surveyed, resources.inputs)
        if any(not each.defect for each in surveyed.experiments):
            planned = replace(planned, outputs=(*planned.outputs, destination.uri_of(f"{EXPERIMENT}{PARQUET}")))
        return replace(planned, survey=surveyed, rows=rows)


def _with_sample(planned: PlanDescription, source: Source, folders: Folders, read: ReadText) -> PlanDescription:
    """Add what a few exports show of a source in a bucket. Raises StorageError."""
    plan, of = sampled(planned.plan), len(planned.plan.exports)
    if plan is None:
        return replace(planned, sample=why_not_sampled(planned.plan))
    with open_resources(plan, source, folders) as resources:
        try:
            surveyed = survey_plate(plan, resources, read)
            rows = sampled_rows(surveyed, resources.inputs, of)
        except InputDataError as error:
            if len(plan.exports) == of:
                raise
            # A few exports may lack what the others have.
            sample = unreadable_sample(plan, of, resources.inputs.fetched, error)
            return replace(planned, sample=sample)
        sample = SourceSample(len(plan.exports), of, resources.inputs.fetched)
    return replace(planned, survey=surveyed, rows=rows, sample=sample)


def _outputs(plan: ConversionPlan) -> Iterator[str]:
    """Yield the names of the outputs below the destination."""
    job = plan.job
    rows, columns = SINGLE_CELLS if job.concat else "<export>", f"{COLUMNS}{SUFFIX}"
    if not (job.join or plan.format.traits.single_table):
        rows, columns = "<table>" if job.concat else "<table>/<export>", f"<table>.{COLUMNS}{SUFFIX}"
    others = (*((PROFILES,) if job.well_profiles else ()), *((SITES,) if job.image_features else ()))
    for stem in (rows, *others):
        yield from (f"{stem}{sink.suffix}" for sink in sinks_for(job))
    yield columns
    yield from (f"{stem}.{COLUMNS}{SUFFIX}" for stem in others)


def _row_counts(surveyed: Survey, inputs: Inputs) -> dict[str, int]:
    """Return rows by table, or nothing if the format does not count them cheaply and the plate is large."""
    source_format = surveyed.plan.format
    if not source_format.traits.cheap_row_counts and surveyed.plan.size > _COUNTED_BYTES:
        return {}
    rows = dict.fromkeys(surveyed.schemas, 0)
    for export in surveyed.exports:
        for name, table in export.tables.items():
            count = source_format.count_rows(table, inputs.whole(table.source))
            if count is None:
                return {}
            rows[name] += count
    return rows
