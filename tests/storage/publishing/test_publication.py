"""One publication on a disk and in a bucket: the old result, the new one, or a journal that the next run completes."""

import base64
import hashlib
import json
import os
import signal
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import StorageError
from cytobatch.pipeline.skip_done import complete_run
from cytobatch.report.journal import parse_journal
from cytobatch.report.model import RunReport, parse_report
from cytobatch.storage.destination import Destination
from cytobatch.storage.publishing import uploads
from cytobatch.storage.publishing.store import OvertakenError, Snapshot
from proxy import Answer, Asked, proxy
from tests.support.publishing import publish, start, written

pytestmark = pytest.mark.slow

_REPORTS = ("run-report.json", "report.html")
OLD = {"cells.parquet": b"old cells", "gone.parquet": b"old", "store.zarr/0/a": b"0", "store.zarr/0/b": b"1"}
NEW = {"cells.parquet": b"new cells", "more.parquet": b"new", "store.zarr/0/a": b"2"}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of results, on a disk or in a bucket."""

    target: str
    contents: Callable[[], dict[str, bytes]]
    uploads: Callable[[], int]
    """How many files are prepared and not in place."""

    @property
    def files(self) -> dict[str, bytes]:
        """The content of all files but the report, by their names."""
        return {name: content for name, content in self.contents().items() if not name.endswith(_REPORTS)}

    @property
    def report(self) -> bytes | None:
        return self.contents().get("run-report.json")

    def destination(self, **options: Any) -> Destination:
        return Destination(PlateJob(source="/in", destination=self.target, **options))


@pytest.fixture(params=["disk", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "disk":
        root = tmp_path / "out"

        def of_disk() -> dict[str, bytes]:
            return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}

        return Place(str(root), of_disk, lambda: len(list(tmp_path.rglob(".*cytobatch-*"))))
    s3, bucket = request.getfixturevalue("s3"), request.getfixturevalue("bucket")

    def of_bucket() -> dict[str, bytes]:
        keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
        return {key.removeprefix("out/"): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    return Place(
        f"s3://{bucket}/out",
        of_bucket,
        lambda: len(s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ())),
    )


class Killed(BaseException):
    """Ends a run as a signal does."""


def test_a_result_replaces_another_whole(place: Place, tmp_path: Path) -> None:
    first = publish(place.target, tmp_path / "1", OLD)
    assert place.files == OLD
    assert parse_report(place.report or b"") == first
    second = publish(place.target, tmp_path / "2", NEW)
    assert place.files == NEW
    assert parse_report(place.report or b"") == second
    assert place.uploads() == 0
    stored = {file.path: file for output in second.outputs for file in output.stored}
    assert set(stored) == {f"{place.target}/{name}" for name in NEW}
    assert all(map(place.destination().is_stored, stored.values()))


def test_what_is_stored_is_known_by_its_content(place: Place, tmp_path: Path) -> None:
    old = {file.path: file for one in publish(place.target, tmp_path / "1", OLD).outputs for file in one.stored}
    publish(place.target, tmp_path / "2", NEW)
    is_stored = place.destination().is_stored
    assert not any(map(is_stored, old.values()))
    outside = old[f"{place.target}/cells.parquet"].model_copy(update={"path": f"{place.target}/../x"})
    assert not is_stored(outside)


@pytest.mark.parametrize("changed", [b"", b"ne", b"nex", b"new and more"])
@pytest.mark.parametrize("name", ["more.parquet", "store.zarr/0/a"])
def test_an_error_before_the_journal_leaves_the_old_result(
    name: str, changed: bytes, place: Place, tmp_path: Path
) -> None:
    publish(place.target, tmp_path / "1", OLD)
    before, destination = place.contents(), place.destination()
    files = written(tmp_path / "2", NEW)
    (tmp_path / "2" / name).write_bytes(changed)
    with (
        pytest.raises(StorageError, match="changed on the scratch disk"),
        destination.publication(destination.snapshot()) as publication,
    ):
        start(publication, destination, files)
    assert place.contents() == before
    assert place.uploads() == 0


@contextmanager
def ended_after_journal(place: Place, folder: Path) -> Iterator[None]:
    """A run that has a journal in place, and ends."""
    destination = place.destination()
    files = written(folder, NEW)
    with destination.publication(destination.snapshot()) as publication:
        start(publication, destination, files)
        yield
        raise Killed


def test_a_run_that_ends_before_its_report_leaves_a_journal_that_the_next_completes(
    place: Place, tmp_path: Path
) -> None:
    publish(place.target, tmp_path / "1", OLD)
    with pytest.raises(Killed), ended_after_journal(place, tmp_path / "2"):
        pass
    journal = parse_journal(place.report or b"")
    assert journal is not None
    assert {old.path for old in journal.old} == {f"{place.target}/{name}" for name in OLD.keys() - NEW.keys()}
    destination = place.destination()
    earlier = destination.snapshot()
    completed = complete_run(journal, destination, earlier)
    assert completed is not None
    assert parse_report(place.report or b"") == completed
    assert place.files == NEW
    assert place.uploads() == 0


def test_a_journal_of_other_inputs_is_replaced_with_all_that_it_names(place: Place, tmp_path: Path) -> None:
    publish(place.target, tmp_path / "1", OLD)
    with pytest.raises(Killed), ended_after_journal(place, tmp_path / "2"):
        pass
    publish(place.target, tmp_path / "3", {"third.parquet": b"3"})
    assert place.files == {"third.parquet": b"3"}
    assert place.uploads() == 0


def test_a_run_that_began_before_another_published_publishes_nothing(place: Place, tmp_path: Path) -> None:
    destination = place.destination()
    earlier = destination.snapshot()
    publish(place.target, tmp_path / "1", OLD)
    before = place.contents()
    with pytest.raises(OvertakenError):
        publish(place.target, tmp_path / "2", NEW, earlier=earlier)
    assert place.contents() == before
    assert place.uploads() == 0


def test_of_many_runs_at_once_one_publishes(place: Place, tmp_path: Path) -> None:
    publish(place.target, tmp_path / "0", OLD)
    earlier = place.destination().snapshot()
    outcomes = list[str]()
    together = threading.Barrier(4)

    def run(number: int) -> None:
        content = {f"{number}.parquet": str(number).encode(), "cells.parquet": str(number).encode()}
        together.wait()
        try:
            publish(place.target, tmp_path / str(number), content, earlier=earlier)
        except OvertakenError:
            return
        outcomes.append(str(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    assert place.files == {f"{outcomes[0]}.parquet": outcomes[0].encode(), "cells.parquet": outcomes[0].encode()}
    assert place.uploads() == 0


def test_a_strangers_journal_names_nothing_outside(place: Place, tmp_path: Path) -> None:
    with pytest.raises(Killed), ended_after_journal(place, tmp_path / "1"):
        pass
    journal = parse_journal(place.report or b"")
    assert journal is not None
    destination = place.destination()
    for path in (f"{place.target}/../x", "/etc/passwd", "s3://other/x"):
        changed = journal.model_copy(update={"files": [journal.files[0].model_copy(update={"path": path})]})
        assert destination.journal_in(Snapshot(changed.to_json().encode())) is None
    for field, value in (("run", "../x"), ("files", [{**journal.files[0].model_dump(), "staged": "../x"}])):
        text = journal.model_dump(mode="json") | {field: value}
        assert parse_journal(str(text).encode()) is None


def test_a_file_of_a_folder_in_the_way_is_an_error_before_the_journal(tmp_path: Path) -> None:
    target = tmp_path / "out"
    publish(target, tmp_path / "1", {"a.parquet": b"a"})
    (target / "b.parquet").mkdir()
    (target / "b.parquet" / "in the way").touch()
    with pytest.raises(StorageError, match="a folder where a file should be"):
        publish(target, tmp_path / "2", {"a.parquet": b"new", "b.parquet": b"b"})
    assert (target / "a.parquet").read_bytes() == b"a"


@pytest.fixture
def failing(s3_url: str, bucket: str, tmp_path: Path) -> Callable[[Callable[[Asked], Answer | None]], RunReport]:
    """Publishes NEW in a bucket that has OLD, through a proxy that answers some requests itself."""

    def run(answer: Callable[[Asked], Answer | None]) -> RunReport:
        publish(f"s3://{bucket}/out", tmp_path / "1", OLD)
        with proxy(s3_url, answer) as (address, _):
            return publish(f"s3://{bucket}/out", tmp_path / "2", NEW, destination_endpoint_url=address)

    return run


def denied() -> Answer:
    return Answer(403, b"<Error><Code>AccessDenied</Code></Error>")


@pytest.mark.parametrize("step", ["begin", "part", "list", "journal"])
def test_a_bucket_that_refuses_before_the_journal_keeps_the_old_result(
    step: str, failing: Callable[..., RunReport], s3: Any, bucket: str
) -> None:
    def answer(one: Asked) -> Answer | None:
        refused = {
            "begin": one.method == "POST" and "uploads" in one.query and one.key.endswith("more.parquet"),
            "part": one.method == "PUT" and "partNumber" in one.query and one.key.endswith("more.parquet"),
            "list": one.method == "GET" and "uploadId" in one.query,
            "journal": one.method == "PUT" and one.key.endswith("run-report.json"),
        }
        return denied() if refused[step] else None

    if step == "list":
        # A role that may not list the parts has the checksums of each response.
        assert failing(answer).outputs
        return
    with pytest.raises(StorageError, match="no permission"):
        failing(answer)
    assert s3.get_object(Bucket=bucket, Key="out/cells.parquet")["Body"].read() == b"old cells"
    assert parse_report(s3.get_object(Bucket=bucket, Key="out/run-report.json")["Body"].read())
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


@pytest.mark.parametrize("step", ["complete", "remove", "report"])
def test_a_bucket_that_refuses_after_the_journal_has_one_that_the_next_run_completes(
    step: str, failing: Callable[..., RunReport], s3: Any, bucket: str
) -> None:
    reports = list[Asked]()

    def answer(one: Asked) -> Answer | None:
        is_report = one.method == "PUT" and one.key.endswith("run-report.json")
        reports.extend([one] if is_report else [])
        refused = {
            "complete": one.method == "POST" and "uploadId" in one.query and one.key.endswith("more.parquet"),
            "remove": one.method == "DELETE" and one.key.endswith("gone.parquet"),
            # The journal, and the question whether the store keeps to conditions, come before it.
            "report": is_report and len(reports) > 2,
        }
        return denied() if refused[step] else None

    with pytest.raises(StorageError, match="no permission"):
        failing(answer)
    destination = Destination(PlateJob(source="/in", destination=f"s3://{bucket}/out"))
    earlier = destination.snapshot()
    journal = destination.journal_in(earlier)
    assert journal is not None
    assert complete_run(journal, destination, earlier) is not None
    keys = {one["Key"].removeprefix("out/") for one in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert keys == {*NEW, "run-report.json", "report.html"}
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_a_part_that_arrives_with_other_bytes_is_not_published(
    s3_url: str, s3: Any, bucket: str, tmp_path: Path
) -> None:
    def answer(one: Asked) -> Answer | None:
        return Answer(200, b"") if one.method == "PUT" and "partNumber" in one.query else None

    with proxy(s3_url, answer) as (address, _), pytest.raises(StorageError, match="upload is damaged"):
        publish(f"s3://{bucket}/out", tmp_path / "1", OLD, destination_endpoint_url=address)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_uploads_of_killed_runs_are_aborted_by_the_next_run(s3: Any, bucket: str, tmp_path: Path) -> None:
    for key in ("out/cells.parquet", "out/run-report.json", "out/foreign.parquet", "outside/cells.parquet"):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    publish(f"s3://{bucket}/out", tmp_path / "1", NEW)
    left = {upload["Key"] for upload in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]}
    assert left == {"out/foreign.parquet", "outside/cells.parquet"}


def test_a_large_file_goes_in_parts(s3: Any, bucket: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * (20 * 4096)
    report = publish(f"s3://{bucket}/out", tmp_path / "1", {"large.parquet": content, "empty.parquet": b""})
    assert s3.get_object(Bucket=bucket, Key="out/large.parquet")["Body"].read() == content
    assert s3.get_object(Bucket=bucket, Key="out/empty.parquet")["Body"].read() == b""
    etags = {file.path.rpartition("/")[2]: file.etag for output in report.outputs for file in output.stored}
    assert str(etags["large.parquet"]).endswith("-3")


def test_a_signal_while_an_upload_begins_leaves_none(s3_url: str, s3: Any, bucket: str, tmp_path: Path) -> None:
    def interrupting(one: Asked) -> None:
        if one.method == "POST" and one.path.endswith("large.parquet"):
            os.kill(os.getpid(), signal.SIGINT)

    files = {"large.parquet": bytes(range(256)) * (20 * 4096), "small.parquet": b"1"}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with proxy(s3_url, interrupting) as (address, asked), pytest.raises(KeyboardInterrupt):
        publish(f"s3://{bucket}/out", tmp_path / "1", files, destination_endpoint_url=address)
    signal.signal(signal.SIGINT, before)
    assert [one.method for one in asked if one.query.startswith("uploads")].count("POST") == 2
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def comparing(one: Asked) -> Answer | None:
    """Refuse a part whose CRC-32 is that of other bytes, as S3 does."""
    sent = one.headers.get("x-amz-checksum-crc32")
    if "partNumber" not in one.query or sent in (None, base64.b64encode(zlib.crc32(one.body).to_bytes(4)).decode()):
        return None
    return Answer(400, b"<Error><Code>BadDigest</Code></Error>")


@pytest.mark.parametrize("compares", [True, False])
def test_md5s_of_a_large_file_are_left_out_where_the_store_compares_another_checksum(
    compares: bool, s3_url: str, s3: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_PROBED_BYTES", 2**20)
    sizes: list[int] = []
    plain = hashlib.md5

    def counted(content: bytes = b"", **options: Any) -> Any:
        sizes.append(len(content))
        return plain(content, **options)

    monkeypatch.setattr(hashlib, "md5", counted)
    content = bytes(range(256)) * (12 * 4096)
    with proxy(s3_url, comparing if compares else lambda _: None) as (address, requests):
        publish(f"s3://{bucket}/out", tmp_path / "1", {"a": content, "b": content}, destination_endpoint_url=address)
    for key in ("out/a", "out/b"):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == content
    parts = [one for one in requests if one.method == "PUT" and "partNumber" in one.query]
    assert len(parts) == 5  # two parts of each file, and the probe
    assert sorted(size for size in sizes if size > 2**20) == ([] if compares else [2**22, 2**22, 2**23, 2**23])


def test_a_part_of_a_large_file_that_arrives_with_other_bytes_is_not_published(
    s3_url: str, s3: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_PROBED_BYTES", 2**20)

    def damaging(one: Asked) -> Answer | None:
        return comparing(replace(one, body=one.body[1:] + b".") if len(one.body) > 1 else one)

    with proxy(s3_url, damaging) as (address, _), pytest.raises(StorageError, match="BadDigest"):
        publish(f"s3://{bucket}/out", tmp_path / "1", {"a": bytes(2**21)}, destination_endpoint_url=address)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_versions_of_a_bucket_are_in_the_report(s3: Any, bucket: str, tmp_path: Path) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    (output,) = publish(f"s3://{bucket}/out", tmp_path / "1", {"cells.parquet": b"first"}).outputs
    publish(f"s3://{bucket}/out", tmp_path / "2", {"cells.parquet": b"second"})
    version = output.stored[0].version_id
    assert version is not None
    assert s3.get_object(Bucket=bucket, Key="out/cells.parquet", VersionId=version)["Body"].read() == b"first"


def test_a_role_that_may_not_read_publishes_and_the_report_names_what_it_cannot_see(
    s3_url: str, s3: Any, bucket: str, tmp_path: Path
) -> None:
    publish(f"s3://{bucket}/out", tmp_path / "1", OLD)

    def answer(one: Asked) -> Answer | None:
        return denied() if one.method in ("GET", "HEAD") or "if-match" in one.headers else None

    with proxy(s3_url, answer) as (address, _):
        report = publish(f"s3://{bucket}/out", tmp_path / "2", NEW, destination_endpoint_url=address)
    assert any("may not read the destination" in warning.what for warning in report.warnings)
    assert s3.get_object(Bucket=bucket, Key="out/cells.parquet")["Body"].read() == b"new cells"


@pytest.mark.parametrize("status", [501, 200])
def test_a_store_without_conditional_writes_is_named(status: int, s3_url: str, bucket: str, tmp_path: Path) -> None:
    def answer(one: Asked) -> Answer | None:
        if "if-none-match" not in one.headers and "if-match" not in one.headers:
            return None
        return Answer(status, b"<Error><Code>NotImplemented</Code></Error>") if status == 501 else None

    with proxy(s3_url, answer, without=("if-none-match", "if-match") if status == 200 else ()) as (address, _):
        first = publish(f"s3://{bucket}/out", tmp_path / "1", OLD, destination_endpoint_url=address)
        second = publish(f"s3://{bucket}/out", tmp_path / "2", NEW, destination_endpoint_url=address)
    for report in (first, second):
        assert any("has no conditional writes" in warning.what for warning in report.warnings)


def test_a_store_with_conditional_writes_needs_no_warning(place: Place, tmp_path: Path) -> None:
    assert publish(place.target, tmp_path / "1", OLD).warnings == []


def test_a_report_whose_response_was_lost_is_recognised(s3_url: str, s3: Any, bucket: str, tmp_path: Path) -> None:
    lost = list[Asked]()

    def answer(one: Asked) -> Answer | None:
        if one.method == "PUT" and one.key.endswith("run-report.json") and not lost:
            lost.append(one)
            s3.put_object(Bucket=bucket, Key=one.key, Body=one.body)
            return Answer(500)
        return None

    with proxy(s3_url, answer) as (address, _):
        publish(f"s3://{bucket}/out", tmp_path / "1", OLD, destination_endpoint_url=address)
    assert lost
    assert parse_report(s3.get_object(Bucket=bucket, Key="out/run-report.json")["Body"].read())


def test_folders_of_killed_runs_on_a_disk_are_removed_and_those_of_live_ones_are_not(tmp_path: Path) -> None:
    target = tmp_path / "out"
    dead, alive = target / f".cytobatch-{'1' * 32}", tmp_path / "live"
    dead.mkdir(parents=True)
    (dead / ".lock").touch()
    (dead / "0").write_bytes(b"half")
    destination = Destination(PlateJob(source="/in", destination=str(target)))
    file = written(alive, NEW)["more.parquet"]
    with pytest.raises(Killed), destination.publication(Snapshot()) as publication:
        publication.store.prepare(destination.pending("more.parquet", file).files())
        publish(target, tmp_path / "2", OLD)
        assert len(list(target.glob(".cytobatch-*"))) == 1
        raise Killed
    assert not list(target.glob(".cytobatch-*"))


def test_only_files_inside_the_destination_are_removed(place: Place, tmp_path: Path) -> None:
    publish(place.target, tmp_path / "1", OLD)
    foreign = tmp_path / "foreign.parquet"
    foreign.touch()
    named = [str(foreign), f"{place.target}/../foreign.parquet", f"{place.target}/gone.parquet"]
    text = json.dumps({"outputs": [{"path": path} for path in named]}).encode()
    destination = place.destination()
    held = destination.snapshot()
    with destination.publication(held) as publication:
        publication.store.put_report(text, held)
    publish(place.target, tmp_path / "2", NEW)
    assert "gone.parquet" not in place.files
    assert foreign.exists()
