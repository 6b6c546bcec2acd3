"""What a run would do, for `plan`: the plan, and a look into local files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cytobatch.config.options import PARQUET, PROFILES, SINGLE_CELLS, PlateJob
from cytobatch.config.presets.presets import SourceKind
from cytobatch.config.uris import is_remote
from cytobatch.engine.resources import configure_arrow_threads, resource_limits
from cytobatch.pipeline.plate import folders_for, open_resources, plan_plate, survey_plate
from cytobatch.planning.model import ConversionPlan
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.npz import read as npz
from cytobatch.readers.sqlite import read as sqlite
from cytobatch.storage.destination import Destination
from cytobatch.survey.model import Survey, SurveyedTable

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
            return PlanDescription(plan, found, _cheap_rows(found, resources.inputs), outputs, destination.report_uri)


def _outputs(plan: ConversionPlan) -> Iterator[str]:
    """The names of the outputs below the destination."""
    job = plan.job
    rows = SINGLE_CELLS if job.concat else "<export>"
    if not (job.join or plan.kind.is_single_table):
        rows = "<table>" if job.concat else "<table>/<export>"
    for stem in (rows, PROFILES) if job.well_profiles else (rows,):
        yield f"{stem}{PARQUET}"
        yield from (f"{stem}.{kind}" for kind in job.anndata)


def _cheap_rows(found: Survey, inputs: Inputs) -> dict[str, int]:
    """Rows by table: from SQLite's own row numbers, or by counting lines of small plates."""
    rows = dict.fromkeys(found.schemas, 0)
    if found.plan.kind is not SourceKind.SQLITE and found.plan.size > _COUNTED_BYTES:
        return {}
    for export in found.exports:
        for name, table in export.tables.items():
            rows[name] += _rows(table, inputs.whole(table.source))
    return rows


def _rows(table: SurveyedTable, path: Path) -> int:
    if table.sql_table is not None:
        return sqlite.approximate_rows(path, table.sql_table, table.schema.names)
    if table.shape is not None:
        return max(0, _lines(path) - table.shape.header_lines)
    return npz.read_head(path).rows


def _lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(2**20), b""))
