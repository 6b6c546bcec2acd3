"""Publication in a store that cloudpathlib alone reaches, by cloudpathlib's own implementation on a disk."""

from pathlib import Path

import pytest
from cloudpathlib.local import LocalGSClient, LocalGSPath

from cytobatch.config.options import PlateJob
from cytobatch.report.journal import parse_journal
from cytobatch.report.model import parse_report
from cytobatch.storage.destination import Destination
from cytobatch.storage.publishing.cloud_store import CloudStore
from cytobatch.storage.publishing.publication import Publication, journal_in
from cytobatch.storage.publishing.store import OvertakenError, PendingOutput, Snapshot
from tests.support.publishing import report_of, written

FOLDER = "gs://bucket/out"
OLD, NEW = {"cells.parquet": b"old", "gone.parquet": b"old"}, {"cells.parquet": b"new", "more.parquet": b"new"}


class Ended(Exception):
    """A run that ends before its report."""


@pytest.fixture
def folder(tmp_path: Path) -> LocalGSPath:
    return LocalGSClient(local_storage_dir=tmp_path / "store").CloudPath(FOLDER)


def publication(folder: LocalGSPath, run: str, earlier: Snapshot | None = None) -> Publication:
    store = CloudStore(folder, folder / "run-report.json", "", run * 32, threads=2)
    return Publication(store, run * 32, FOLDER, store.read_report() if earlier is None else earlier)


def publish(of_run: Publication, scratch: Path, files: dict[str, bytes], *, ends: bool = False) -> None:
    """Publish files; with `ends` the run ends before its report."""
    # Its paths are those of the store; nothing is read or written through it.
    destination = Destination(PlateJob(source="/in", destination=str(scratch / "of paths")))
    outputs = written(scratch, files)
    report = report_of(destination, outputs)
    renamed = [one.model_copy(update={"path": f"{FOLDER}/{Path(one.path).name}"}) for one in report.outputs]
    report = report.model_copy(update={"outputs": renamed})
    with of_run.open():
        of_run.publish([PendingOutput(f"{FOLDER}/{name}", file) for name, file in outputs.items()], report)
        if ends:
            raise Ended
        of_run.finish(report, ())


def contents(folder: LocalGSPath) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_result_replaces_another_whole_and_the_report_names_what_the_store_lacks(
    folder: LocalGSPath, tmp_path: Path
) -> None:
    publish(publication(folder, "1"), tmp_path / "1", OLD)
    publish(publication(folder, "2"), tmp_path / "2", NEW)
    found = contents(folder)
    report = parse_report(found.pop("run-report.json"))
    assert found == NEW
    assert any("no conditional writes" in warning.what for warning in report.warnings)


def test_a_journal_is_completed(folder: LocalGSPath, tmp_path: Path) -> None:
    publish(publication(folder, "1"), tmp_path / "1", OLD)
    with pytest.raises(Ended):
        publish(publication(folder, "2"), tmp_path / "2", NEW, ends=True)
    next_run = publication(folder, "3")
    journal = journal_in(next_run.earlier, FOLDER)
    assert journal is not None
    with next_run.open():
        next_run.complete(journal)
    found = contents(folder)
    assert parse_report(found.pop("run-report.json"))
    assert found == NEW


def test_a_run_that_began_before_another_published_publishes_nothing(folder: LocalGSPath, tmp_path: Path) -> None:
    late = publication(folder, "2", Snapshot())
    publish(publication(folder, "1"), tmp_path / "1", OLD)
    before = contents(folder)
    with pytest.raises(OvertakenError):
        publish(late, tmp_path / "2", NEW)
    assert contents(folder) == before
    assert parse_journal(before["run-report.json"]) is None
