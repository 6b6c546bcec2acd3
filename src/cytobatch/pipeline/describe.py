"""The description of a run before it starts, for `plan`: the plan, and a survey of local files or of a sample."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cytobatch.config.options import COLUMNS, EXPERIMENT, PARQUET, PROFILES, SINGLE_CELLS, SITES, PlateJob
from cytobatch.engine.resources import configure_arrow_threads, resource_limits
from cytobatch.formats.base import ConversionPlan
from cytobatch.output.column_list import SUFFIX
from cytobatch.output.registry import sinks_for
from cytobatch.pipeline.early_checks import annotation_reader, check_plan
from cytobatch.pipeline.folders import folders_for
from cytobatch.pipeline.memory_estimate import least_memory
from cytobatch.pipeline.plate import plan_plate
from cytobatch.pipeline.sample import SourceSample
from cytobatch.pipeline.source_survey import open_source
from cytobatch.storage.destination import Destination
from cytobatch.survey.model import Survey


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
        with open_source(plan, source, folders, annotations) as found:
            survey = found.survey
            if survey is not None and any(not each.defect for each in survey.experiments):
                planned = replace(planned, outputs=(*planned.outputs, destination.uri_of(f"{EXPERIMENT}{PARQUET}")))
            return replace(planned, survey=survey, rows=found.rows, sample=found.sample)


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
