"""The description of a run before it starts, for `plan`: the plan, and a survey of local files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cytobatch.config.options import COLUMNS, EXPERIMENT, PARQUET, PROFILES, SINGLE_CELLS, SITES, PlateJob
from cytobatch.config.uris import is_remote
from cytobatch.engine.resources import configure_arrow_threads, resource_limits
from cytobatch.formats.base import ConversionPlan
from cytobatch.output.column_list import SUFFIX
from cytobatch.output.registry import sinks_for
from cytobatch.pipeline.early_checks import annotation_reader, check_plan
from cytobatch.pipeline.folders import folders_for
from cytobatch.pipeline.memory_estimate import least_memory
from cytobatch.pipeline.plate import open_resources, plan_plate, survey_plate
from cytobatch.readers.inputs import Inputs
from cytobatch.storage.destination import Destination
from cytobatch.survey.model import Survey

_COUNTED_BYTES = 256 * 2**20
"""The most bytes of a plate whose rows are counted by reading it."""


@dataclass(frozen=True, slots=True)
class PlanDescription:
    """A plan, the URIs of its outputs and report, and the survey of a local source.

    `least_memory` are the bytes of memory below which a run is refused. `rows` are the numbers of rows by table. It is
    empty if counting them would take long.
    """

    plan: ConversionPlan
    survey: Survey | None
    rows: Mapping[str, int]
    outputs: tuple[str, ...]
    report: str
    least_memory: int


def describe_job(job: PlateJob) -> PlanDescription:
    """Plan a job without converting it. A local source is surveyed, a bucket is only listed."""
    configure_arrow_threads(resource_limits(job))
    with folders_for(job) as folders:
        source, plan = plan_plate(job, folders.cache)
        annotations = annotation_reader(plan)
        check_plan(plan, annotations)
        destination = Destination(job)
        outputs = tuple(destination.uri_of(name) for name in _outputs(plan))
        if is_remote(plan.job.source):
            return PlanDescription(plan, None, {}, outputs, destination.report_uri, least_memory(plan))
        with open_resources(plan, source, folders) as resources:
            surveyed = survey_plate(plan, resources, annotations)
            rows = _row_counts(surveyed, resources.inputs)
            if any(not each.defect for each in surveyed.experiments):
                outputs = (*outputs, destination.uri_of(f"{EXPERIMENT}{PARQUET}"))
            return PlanDescription(plan, surveyed, rows, outputs, destination.report_uri, least_memory(plan))


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
