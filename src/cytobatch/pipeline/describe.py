"""What a run would do, for `plan`: the plan, and a look into local files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cytobatch.config.options import PARQUET, PROFILES, SINGLE_CELLS, PlateJob
from cytobatch.config.uris import is_remote
from cytobatch.engine.resources import configure_arrow_threads, resource_limits
from cytobatch.formats.base import ConversionPlan
from cytobatch.pipeline.folders import folders_for
from cytobatch.pipeline.plate import open_resources, plan_plate, survey_plate
from cytobatch.readers.inputs import Inputs
from cytobatch.storage.destination import Destination
from cytobatch.survey.model import Survey

_COUNTED_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class PlanDescription:
    """A plan, and for local sources what a look into the files adds; rows by table where they were cheap to count."""

    plan: ConversionPlan
    survey: Survey | None
    rows: Mapping[str, int]
    outputs: tuple[str, ...]
    report: str


def describe_job(job: PlateJob) -> PlanDescription:
    """Plans a job. A local source is looked into, a bucket only listed. Converts nothing."""
    configure_arrow_threads(resource_limits(job))
    with folders_for(job) as folders:
        source, plan = plan_plate(job, folders.cache)
        destination = Destination(job)
        outputs = tuple(destination.uri_of(name) for name in _outputs(plan))
        if is_remote(plan.job.source):
            return PlanDescription(plan, None, {}, outputs, destination.report_uri)
        with open_resources(plan, source, folders) as resources:
            found = survey_plate(plan, resources)
            return PlanDescription(plan, found, _row_counts(found, resources.inputs), outputs, destination.report_uri)


def _outputs(plan: ConversionPlan) -> Iterator[str]:
    """The names of the outputs below the destination."""
    job = plan.job
    rows = SINGLE_CELLS if job.concat else "<export>"
    if not (job.join or plan.format.traits.single_table):
        rows = "<table>" if job.concat else "<table>/<export>"
    for stem in (rows, PROFILES) if job.well_profiles else (rows,):
        yield f"{stem}{PARQUET}"
        yield from (f"{stem}.{kind}" for kind in job.anndata)


def _row_counts(found: Survey, inputs: Inputs) -> dict[str, int]:
    """Return rows by table, where the format counts them cheaply or the plate is small."""
    source = found.plan.format
    if not source.traits.cheap_row_counts and found.plan.size > _COUNTED_BYTES:
        return {}
    rows = dict.fromkeys(found.schemas, 0)
    for export in found.exports:
        for name, table in export.tables.items():
            count = source.count_rows(table, inputs.whole(table.source))
            if count is None:
                return {}
            rows[name] += count
    return rows
