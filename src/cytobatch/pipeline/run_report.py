"""The run report of a converted plate, made from its survey, its ledger and its published outputs."""

import hashlib
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from cytobatch import __version__
from cytobatch.conversion.convert import ConvertedPlate
from cytobatch.engine.resources import resource_limits
from cytobatch.output.written_file import ITSELF
from cytobatch.pipeline.steps import StepTimer
from cytobatch.report.model import OUTPUT_VERSION, Counts, OutputFile, RunLimits, RunReport, SchemaDifference
from cytobatch.storage.destination import Destination
from cytobatch.survey.model import Survey

# Windows has no `resource`.
if sys.platform != "win32":
    import resource


def inputs_digest(survey: Survey) -> str:
    """Return the checksum of all that decides the outputs: inputs, options, and the version of the outputs.

    An input is recognised by its path, size, and ETag or time of change; a platemap by its content.
    """
    plan = survey.plan
    decisive = {
        "output_version": OUTPUT_VERSION,
        "options": {name: value for name, value in plan.job.output_options().items() if name != "destination"},
        "files": sorted((file.path, file.size, file.etag or str(file.modified)) for file in plan.inventory.files),
        "annotations": sorted((file.path, file.sha256) for file in survey.annotations),
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def output_files(converted: ConvertedPlate, destination: Destination) -> list[OutputFile]:
    """Return the report's entry for each output, with the path that it has once it is published."""
    return [
        OutputFile(
            path=destination.uri_of(name),
            rows=file.rows,
            columns=file.columns,
            bytes=file.bytes,
            sha256=file.sha256,
            files=[] if ITSELF in file.files else sorted(file.files),
        )
        for name, file in converted.files.items()
    ]


def make_report(
    converted: ConvertedPlate, outputs: Sequence[OutputFile], timer: StepTimer, report_uri: str, page_uri: str
) -> RunReport:
    """Return the report of a conversion, to be published at `report_uri`, with its page at `page_uri`."""
    survey, ledger = converted.survey, converted.ledger
    job = survey.plan.job
    limits = resource_limits(job)
    return RunReport(
        output_version=OUTPUT_VERSION,
        digest=inputs_digest(survey),
        cytobatch_version=__version__,
        plate=job.label,
        source=job.source,
        destination=job.destination,
        report=report_uri,
        options=job.output_options(),
        preset=str(survey.preset.name),
        layout=survey.plan.format.name,
        joins=survey.join.describe() if survey.join else [job.joins] if job.joins else [],
        started=timer.started,
        finished=datetime.now(UTC),
        seconds=dict(timer.seconds),
        peak_memory_bytes=peak_memory(),
        limits=RunLimits(workers=limits.workers, memory_bytes=limits.memory),
        counts=_counts(converted),
        plates=ledger.plate_names,
        software=ledger.software,
        outputs=list(outputs),
        warnings=ledger.warnings,
        schema_differences=[
            SchemaDifference(export=item.export, table=item.table, column=item.column) for item in survey.missing
        ],
        repairs=ledger.repairs,
        odd_values=ledger.non_finite,
        annotations=list(survey.annotations),
        page=page_uri,
        report_features=list(converted.wells.features),
        wells=list(converted.wells.wells),
        ledger=ledger.entries,
    )


def _counts(converted: ConvertedPlate) -> Counts:
    survey, ledger = converted.survey, converted.ledger
    return Counts(
        exports=len(survey.plan.exports),
        failed_exports=len(ledger.failed_exports),
        objects={name: ledger.objects[name] for name in survey.schemas if name not in survey.preset.metadata},
        rows=ledger.rows,
        rows_dropped_as_null=ledger.rows_dropped,
        columns=max((file.columns for file in converted.files.values()), default=0),
        plates=ledger.plates,
        wells=ledger.wells,
        sites=ledger.sites,
        features=converted.wells.count,
    )


def peak_memory() -> int:
    """Return the peak resident memory of this process in bytes; 0 on Windows, which does not report it this way."""
    if sys.platform == "win32":
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # getrusage(2) counts in bytes on macOS, in KiB on Linux.
    return peak if sys.platform == "darwin" else peak * 1024
