"""Publications of small files, without a conversion."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cytobatch.config.options import PlateJob
from cytobatch.output.written_file import WrittenFile
from cytobatch.report.model import Counts, OutputFile, RunLimits, RunReport
from cytobatch.storage.destination import Destination
from cytobatch.storage.publishing.publication import Publication
from cytobatch.storage.publishing.store import Snapshot

DIGEST = "d" * 64


def written(folder: Path, files: Mapping[str, bytes]) -> dict[str, WrittenFile]:
    """Finished outputs on a scratch disk, by their names. Names with a slash are files of one output, a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return {name: WrittenFile.measure(folder / name, 1, 1) for name in {name.partition("/")[0] for name in files}}


def report_of(destination: Destination, files: Mapping[str, WrittenFile], digest: str = DIGEST) -> RunReport:
    """The report of a run that has written these outputs."""
    now = datetime.now(UTC)
    return RunReport(
        cytobatch_version="0",
        digest=digest,
        plate="P1",
        source="/in",
        destination="/out",
        report=destination.report_uri,
        preset="auto",
        layout="csv",
        joins=[],
        started=now,
        finished=now,
        seconds={},
        peak_memory_bytes=0,
        limits=RunLimits(workers=1, memory_bytes=1),
        counts=Counts(
            exports=1,
            failed_exports=0,
            objects={},
            rows=1,
            rows_dropped_as_null=0,
            columns=1,
            plates=1,
            wells=1,
            sites=1,
        ),
        outputs=[_output(destination, name, file) for name, file in files.items()],
        warnings=[],
        schema_differences=[],
        repairs=[],
        odd_values=[],
        ledger=[],
    )


def _output(destination: Destination, name: str, file: WrittenFile) -> OutputFile:
    below = sorted(path.relative_to(file.path).as_posix() for path in file.path.rglob("*") if path.is_file())
    return OutputFile(
        path=destination.uri_of(name), rows=1, columns=1, bytes=file.bytes, sha256=file.sha256, files=below
    )


def start(
    publication: Publication, destination: Destination, files: Mapping[str, WrittenFile], digest: str = DIGEST
) -> RunReport:
    """Put files in place and leave the journal where the report will be. Returns the report that it has."""
    report = report_of(destination, files, digest)
    publication.publish([destination.pending(name, file) for name, file in files.items()], report)
    return report


def publish(
    target: object,
    folder: Path,
    files: Mapping[str, bytes],
    *,
    earlier: Snapshot | None = None,
    digest: str = DIGEST,
    **options: Any,
) -> RunReport:
    """Publish files at a destination, as one run does, and return its report."""
    destination = Destination(PlateJob(source="/in", destination=str(target), **options))
    outputs = written(folder, files)
    with destination.publication(destination.snapshot() if earlier is None else earlier) as publication:
        return publication.finish(start(publication, destination, outputs, digest), ())
