"""One plate from job to report, as plain functions: plan, survey, convert, publish, report.

A flow runs the same steps as tasks of its own, by a `StepRunner`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cytobatch.config.gallery import plate_sources
from cytobatch.config.options import PlateJob
from cytobatch.conversion.convert import ConvertedPlate, convert_survey
from cytobatch.conversion.run_resources import RunResources
from cytobatch.conversion.work_done import WorkCounter, WorkListener, ignore_work
from cytobatch.engine.duckdb import Engine
from cytobatch.engine.executor import Executor
from cytobatch.engine.resources import configure_arrow_threads, resource_limits
from cytobatch.engine.signals import signals_as_raised
from cytobatch.errors import SourceNotFoundError, StorageError
from cytobatch.formats.base import ConversionPlan
from cytobatch.formats.detect import files_to_probe, make_plan
from cytobatch.formats.lone_table import may_have_siblings
from cytobatch.output.parquet.reader import check_footer
from cytobatch.output.registry import sinks_for
from cytobatch.pipeline.accounting import check_accounts
from cytobatch.pipeline.early_checks import annotation_reader, check_apart, check_plan, check_resources
from cytobatch.pipeline.folders import Folders, folders_for
from cytobatch.pipeline.process_state import collected_less_often, pandas_not_imported
from cytobatch.pipeline.run_report import inputs_digest, make_report, output_files
from cytobatch.pipeline.scratch_estimate import room_to_fetch
from cytobatch.pipeline.skip_done import find_earlier_run, result_of_other_run
from cytobatch.pipeline.split import Splitter, on_one_machine
from cytobatch.pipeline.steps import PlateStep, StepRunner, StepTimer, run_directly
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.readers.inputs import Inputs
from cytobatch.report.model import ReportWarning, RunReport
from cytobatch.report.plate_page import plate_page
from cytobatch.storage.access import Clients, storage_errors
from cytobatch.storage.destination import Destination
from cytobatch.storage.prefetch import LocalFiles
from cytobatch.storage.publishing.publication import Publication
from cytobatch.storage.publishing.store import OvertakenError, Snapshot
from cytobatch.storage.source import Source
from cytobatch.survey.annotation_files import ReadText
from cytobatch.survey.model import Survey
from cytobatch.survey.plate import survey
from cytobatch.survey.platemap import annotate

_HEAD_BYTES = 2**20


def plan_plate(job: PlateJob, cache: Path, clients: Clients | None = None) -> tuple[Source, ConversionPlan]:
    """Find the source, list it once and plan its conversion. Raises SourceNotFoundError and LayoutError."""
    source, inventory = _located(job, cache, clients)
    return source, make_plan(source.job, inventory, _heads(source, inventory), _siblings(source, inventory))


def _located(job: PlateJob, cache: Path, clients: Clients | None) -> tuple[Source, Inventory]:
    """Return the job's source with its files; of a batch, the folder of the workspace that has the plate."""
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


def _siblings(source: Source, inventory: Inventory) -> list[SourceFile]:
    """Return the files in the folder of a source that is one file, if its format may have other tables there."""
    if not may_have_siblings(inventory):
        return []
    try:
        return source.siblings()
    except StorageError:
        # A role may read the file, and not list its folder.
        return []


@contextmanager
def open_resources(
    plan: ConversionPlan, source: Source, folders: Folders, on_work: WorkListener = ignore_work
) -> Iterator[RunResources]:
    """Open the resources of a conversion within the job's limits. The fetch of surveyed files starts at once.

    `on_work` is called in this thread while the conversion runs.
    """
    wholes = plan.format.whole_files(plan)
    tables = _files_of_tables(plan)
    # Files beside the tables are fetched after them.
    files = tables | {file.path: file for file in plan.inventory.files if file.path in wholes}
    with source.inputs(files.values(), room_to_fetch(plan)) as inputs:
        # The first bytes are fetched while DuckDB starts.
        inputs.prepare(files, wholes)
        with _run_resources(plan.job, inputs, folders, on_work) as resources, inputs.ended_by_errors():
            yield resources


@contextmanager
def open_part_resources(plan: ConversionPlan, folders: Folders) -> Iterator[RunResources]:
    """Open the same for a part of a plate that is surveyed already. Its files are fetched as they are expected."""
    source = Source(plan.job, folders.cache)
    with (
        source.inputs(_files_of_tables(plan).values(), room_to_fetch(plan)) as inputs,
        _run_resources(plan.job, inputs, folders) as resources,
        inputs.ended_by_errors(),
    ):
        yield resources


@contextmanager
def open_local_resources(plan: ConversionPlan, root: Path, folders: Folders) -> Iterator[RunResources]:
    """Open the same for files of a plan that lie in a folder."""
    with LocalFiles(root) as inputs, _run_resources(plan.job, inputs, folders) as resources:
        yield resources


def _files_of_tables(plan: ConversionPlan) -> dict[str, SourceFile]:
    return {file.path: file for export in plan.exports for file in export.files}


@contextmanager
def _run_resources(
    job: PlateJob, inputs: Inputs, folders: Folders, on_work: WorkListener = ignore_work
) -> Iterator[RunResources]:
    limits = resource_limits(job)
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
            limits.batch_bytes,
            limits.ahead_bytes,
            limits.table_bytes,
            WorkCounter(on_work),
        )


def convert_plate(surveyed: Survey, resources: RunResources, split: Splitter = on_one_machine) -> ConvertedPlate:
    """Convert the surveyed files into outputs on the scratch disk, in parts if `split` splits the plate."""
    with (
        storage_errors(f"scratch folder {resources.scratch.parent}"),
        split(surveyed, resources.scratch) as convert_parts,
    ):
        return convert_survey(surveyed, resources, convert_parts)


def survey_plate(plan: ConversionPlan, resources: RunResources, read: ReadText | None = None) -> Survey:
    """Survey the files, and join the platemap and LoadData files that the job names. `read` may have read them."""
    return annotate(survey(plan, resources.inputs, resources.engine), read or annotation_reader(plan))


def publish_plate(
    converted: ConvertedPlate, report: RunReport, publication: Publication, destination: Destination
) -> None:
    """Put all outputs in place, then remove those that only an earlier run had. The journal has `report`.

    Raises OvertakenError if another run has published, and StorageError. The old result stays as it was, or a journal
    names what the next run completes.
    """
    for file in converted.files.values():
        check_footer(file)
    publication.publish([destination.pending(name, file) for name, file in converted.files.items()], report)


def no_warnings() -> Sequence[ReportWarning]:
    """Return the warnings of a runner that has none."""
    return ()


@signals_as_raised()
def run_plate(
    job: PlateJob,
    runner: StepRunner = run_directly,
    runner_warnings: Callable[[], Sequence[ReportWarning]] = no_warnings,
    split: Splitter = on_one_machine,
    on_work: WorkListener = ignore_work,
) -> RunReport:
    """Convert one plate. `runner` runs each step, directly or as a task; `split` gives parts of it to other processes.

    `runner_warnings` is called before the report is published. The report ends with the warnings that it returns.
    `on_work` is called in this thread, a few times a second at most, with how far the conversion is.

    The order is files, journal, commit, report. All files are stored whole out of sight before the first is put in
    place, and all are in place before the report: the outputs beside a report are complete. Returns the report of
    another run if nothing is left to do: see `find_earlier_run` and `result_of_other_run`.
    """
    timer = StepTimer(runner)
    configure_arrow_threads(resource_limits(job))
    with pandas_not_imported(), collected_less_often(), folders_for(job) as folders:
        if job.batch is None:
            # The folder of a batch's plate is known after the plan.
            check_apart(job)
        destination = Destination(job)
        destination.check()
        for sink in sinks_for(job):
            sink.check()
        source, plan = timer.run(PlateStep.PLAN, lambda: plan_plate(job, folders.cache))
        earlier = find_earlier_run(job, plan, destination)
        if earlier.finished is not None:
            return earlier.finished
        annotations = annotation_reader(plan)
        check_plan(plan, annotations)
        check_resources(plan, resource_limits(plan.job), folders.scratch)
        with open_resources(plan, source, folders, on_work) as resources:
            surveyed = timer.run(PlateStep.SURVEY, lambda: survey_plate(plan, resources, annotations))
            converted = timer.run(PlateStep.CONVERT, lambda: convert_plate(surveyed, resources, split))
        check_accounts(surveyed, converted.ledger)
        try:
            return _publish(converted, timer, earlier.snapshot, runner_warnings)
        except OvertakenError as error:
            return result_of_other_run(error, inputs_digest(surveyed), destination)


def _publish(
    converted: ConvertedPlate,
    timer: StepTimer,
    earlier: Snapshot,
    runner_warnings: Callable[[], Sequence[ReportWarning]],
) -> RunReport:
    """Publish a converted plate and its report. Raises OvertakenError, StorageError."""
    survey = converted.survey
    destination = Destination(survey.plan.job, digest=inputs_digest(survey))
    outputs = output_files(converted, destination)

    def report() -> RunReport:
        return make_report(converted, outputs, timer, destination.report_uri, destination.page_uri)

    with destination.publication(earlier, plate_page) as publication:
        timer.run(PlateStep.PUBLISH, lambda: publish_plate(converted, report(), publication, destination))
        return timer.run(PlateStep.REPORT, lambda: publication.finish(report(), runner_warnings()))
