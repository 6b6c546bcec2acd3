"""One plate from job to report, as plain functions: plan, survey, convert, publish, report.

The flow runs the same steps as Prefect tasks by handing in its own `Step`.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from cytobatch import __version__
from cytobatch.config.option_types import CacheMode
from cytobatch.config.options import PlateJob
from cytobatch.config.presets.gallery import plate_sources
from cytobatch.conversion.convert import ConvertedPlate, convert
from cytobatch.conversion.resources import RunResources
from cytobatch.engine.duckdb import Engine
from cytobatch.engine.executor import Executor
from cytobatch.engine.resources import configure_arrow_threads, resource_limits
from cytobatch.errors import SourceNotFoundError
from cytobatch.formats.base import ConversionPlan
from cytobatch.formats.detect import files_to_probe, make_plan
from cytobatch.output.registry import sinks_for
from cytobatch.output.written_file import files_below
from cytobatch.pipeline.scratch_estimate import room_to_fetch
from cytobatch.pipeline.skip_done import check_same_source, is_done, published_report
from cytobatch.planning.inventory import Inventory
from cytobatch.report.model import Counts, OutputFile, RunLimits, RunReport, SchemaDifference
from cytobatch.storage.access import Access, Clients, read_text, storage_errors
from cytobatch.storage.destination import Destination
from cytobatch.storage.source import Source
from cytobatch.survey.model import Survey
from cytobatch.survey.platemap import annotate
from cytobatch.survey.survey import survey

_HEAD_BYTES = 2**20

Result = TypeVar("Result")
Step = Callable[[str, Callable[[], Result]], Result]


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a run keeps its intermediate files; all but a persistent cache are removed when it ends."""

    cache: Path
    out: Path
    scratch: Path


@dataclass(slots=True)
class Clock:
    """When a run started, and how long each step took."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times a step."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 3)


def _folder_in(parent: Path | None, stack: ExitStack) -> Path:
    """A temporary folder in another, which is made if it is not there; it goes with the stack."""
    if parent:
        parent.mkdir(parents=True, exist_ok=True)
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cytobatch-", dir=parent)))


@contextmanager
def folders_for(job: PlateJob) -> Iterator[Folders]:
    """The folders of a run, for as long as it lasts."""
    with ExitStack() as stack:
        with storage_errors(f"scratch folder {job.scratch_dir or 'of the system'}"):
            root = _folder_in(job.scratch_dir, stack)
        cache = root / "cache"
        if job.cache_dir:
            with storage_errors(f"cache folder {job.cache_dir}"):
                job.cache_dir.mkdir(parents=True, exist_ok=True)
                cache = _folder_in(job.cache_dir, stack) if job.cache_mode is CacheMode.TMP_DIR else job.cache_dir
        folders = Folders(cache, root / "out", root / "scratch")
        for folder in (folders.cache, folders.out, folders.scratch):
            folder.mkdir(exist_ok=True)
        yield folders


def plan_plate(job: PlateJob, cache: Path, clients: Clients | None = None) -> tuple[Source, ConversionPlan]:
    """Finds the source, lists it once and plans its conversion."""
    source, inventory = _located(job, cache, clients)
    return source, make_plan(source.job, inventory, _heads(source, inventory))


def _located(job: PlateJob, cache: Path, clients: Clients | None) -> tuple[Source, Inventory]:
    """The source with its files: the job's own, or with a batch the folder of its workspace that has the plate."""
    if job.batch is None or job.plate is None:
        source = Source(job, cache, clients)
        return source, source.inventory()
    folders = plate_sources(job.source, job.batch, job.plate, job.preset)
    for folder in folders:
        source = Source(job.model_copy(update={"source": folder.folder}), cache, clients)
        try:
            inventory = source.inventory()
        except SourceNotFoundError:
            continue
        if any(file.suffix in folder.suffixes for file in inventory.files):
            return source, inventory
    raise SourceNotFoundError(
        f"plate {job.plate!r} of batch {job.batch!r} is not there",
        where=job.source,
        why=f"no measurements are in {' or '.join(folder.folder for folder in folders) or 'any folder of this preset'}",
        remedy="check source, batch, plate and preset",
    )


def _heads(source: Source, inventory: Inventory) -> dict[str, bytes]:
    """Return the first bytes of the files that decide the format, by path."""
    return {file.path: source.head(file, _HEAD_BYTES) for file in files_to_probe(source.job, inventory)}


@contextmanager
def open_resources(plan: ConversionPlan, source: Source, folders: Folders) -> Iterator[RunResources]:
    """What a conversion works with, within the job's bounds, for as long as it lasts; what is looked into comes."""
    job = plan.job
    limits = resource_limits(job)
    files = [file for export in plan.exports for file in export.files]
    with source.inputs(files, room_to_fetch(plan)) as inputs:
        # The first bytes come while DuckDB begins.
        inputs.prepare([file.path for file in files], plan.format.whole_files(plan))
        with (
            Engine(spill=folders.scratch, memory=limits.duckdb_memory, workers=limits.duckdb_threads) as engine,
            Executor(limits.workers) as workers,
        ):
            yield RunResources(
                inputs,
                engine,
                workers,
                folders.out,
                folders.scratch,
                limits.unit_bytes,
                limits.ahead_bytes,
                limits.table_bytes,
            )


def convert_plate(found: Survey, resources: RunResources) -> ConvertedPlate:
    """Converts the surveyed files."""
    with storage_errors(f"scratch folder {resources.scratch.parent}"):
        return convert(found, resources)


def survey_plate(plan: ConversionPlan, resources: RunResources) -> Survey:
    """Looks into the files, and joins what the job names beside them."""
    access = Access.to_source(plan.job)
    return annotate(survey(plan, resources.inputs, resources.engine), lambda uri: read_text(uri, access))


def publish_plate(converted: ConvertedPlate, destination: Destination) -> list[OutputFile]:
    """Puts the Parquet files in place."""
    outputs = [
        OutputFile(
            path=destination.uri_of(name),
            rows=file.rows,
            columns=file.columns,
            bytes=file.bytes,
            sha256=file.sha256,
            files=sorted(files_below(file.path)) if file.path.is_dir() else [],
        )
        for name, file in converted.files.items()
    ]
    destination.publish({name: file.path for name, file in converted.files.items()})
    return outputs


def report_plate(
    converted: ConvertedPlate, outputs: list[OutputFile], clock: Clock, destination: Destination, folders: Folders
) -> RunReport:
    """Makes the report and puts it in place, last of all."""
    report = make_report(converted, outputs, clock, destination.report_uri)
    destination.publish_report(report.to_json(), folders.scratch)
    return report


def make_report(converted: ConvertedPlate, outputs: list[OutputFile], clock: Clock, place: str) -> RunReport:
    """The account of a conversion; `place` is where it will be."""
    found, ledger = converted.survey, converted.ledger
    job = found.plan.job
    limits = resource_limits(job)
    return RunReport(
        cytobatch_version=__version__,
        plate=job.label,
        source=job.source,
        destination=job.destination,
        report=place,
        options=job.output_options(),
        preset=str(found.preset.name),
        layout=found.plan.format.name,
        joins=found.join.describe() if found.join else [job.joins] if job.joins else [],
        started=clock.started,
        finished=datetime.now(UTC),
        seconds=dict(clock.seconds),
        peak_memory_bytes=peak_memory(),
        limits=RunLimits(workers=limits.workers, memory_bytes=limits.memory),
        counts=Counts(
            exports=len(found.plan.exports),
            failed_exports=len(ledger.failed_exports),
            objects={name: ledger.objects[name] for name in found.schemas if name not in found.preset.metadata},
            rows=ledger.rows,
            rows_dropped_as_null=ledger.rows_dropped,
            columns=max((file.columns for file in converted.files.values()), default=0),
            plates=ledger.plates,
            wells=ledger.wells,
            sites=ledger.sites,
        ),
        outputs=outputs,
        warnings=ledger.warnings,
        schema_differences=[
            SchemaDifference(export=item.export, table=item.table, column=item.column) for item in found.missing
        ],
        repairs=ledger.repairs,
        odd_values=ledger.odd,
        annotations=list(found.annotations),
        ledger=ledger.entries,
    )


def peak_memory() -> int:
    """The most memory that this process ever held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _directly(_name: str, function: Callable[[], Result]) -> Result:
    return function()


def run_plate(job: PlateJob, step: Step = _directly) -> RunReport:  # type: ignore[type-arg]
    """Converts one plate. `step` runs each named step, directly or as a task.

    Where the job says so and the plate is done already, the report is that of the run that did it.
    """
    clock = Clock()
    configure_arrow_threads(resource_limits(job))

    def timed(name: str, function: Callable[[], Result]) -> Result:
        with clock.step(name):
            result: Result = step(name, function)
            return result

    with folders_for(job) as folders:
        destination = Destination(job)
        destination.check()
        for sink in sinks_for(job):
            sink.check()
        source, plan = timed("plan", lambda: plan_plate(job, folders.cache))
        earlier = published_report(destination) if job.skip_done or not job.replace else None
        if earlier and job.skip_done and is_done(earlier, plan, destination):
            return earlier
        if earlier and not job.replace:
            check_same_source(earlier, plan)
        with open_resources(plan, source, folders) as resources:
            found = timed("survey", lambda: survey_plate(plan, resources))
            converted = timed("convert", lambda: convert_plate(found, resources))
        outputs = timed("publish", lambda: publish_plate(converted, destination))
        return timed("report", lambda: report_plate(converted, outputs, clock, destination, folders))
