"""Storage against local folders and a real S3 API over HTTP."""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError, ExitCode, SourceNotFoundError, StorageError
from cytobatch.pipeline.plate import run_plate
from cytobatch.planning.inventory import Inventory
from cytobatch.storage.access import Access, read_text
from cytobatch.storage.destination import Destination
from cytobatch.storage.source import Source
from proxy import proxy
from tests.support.plates import write_sites

Upload = Callable[[Path, str], str]


def job(source: object = "/in", destination: object = "/out", **options: Any) -> PlateJob:
    return PlateJob(source=str(source), destination=str(destination), **options)


def output(path: Path) -> Path:
    """A finished output; a local destination takes it from where it is."""
    path.write_bytes(b"rows")
    return path


def fetched(source: Source, inventory: Inventory | None = None) -> dict[str, Path]:
    """The local path of each of the source's files, all of them whole."""
    files = (inventory or source.inventory()).files
    with source.inputs(files, 2**20) as inputs:
        return {file.path: inputs.whole(file.path) for file in files}


def test_local_files_are_listed_with_sizes_and_used_where_they_are(tmp_path: Path) -> None:
    root = write_sites(tmp_path / "in", 2)
    source = Source(job(root), tmp_path / "cache")
    inventory = source.inventory()
    assert len(inventory.files) == 8
    assert all(file.size == (root / file.path).stat().st_size for file in inventory.files)
    assert fetched(source, inventory)["P1-A01-1/Cells.csv"] == root / "P1-A01-1" / "Cells.csv"
    assert source.head(inventory.files[0], 5) == (root / inventory.files[0].path).read_bytes()[:5]


def test_one_file_is_a_source(tmp_path: Path) -> None:
    path = write_sites(tmp_path / "in", 1) / "P1-A01-1" / "Cells.csv"
    source = Source(job(path), tmp_path / "cache")
    inventory = source.inventory()
    assert [file.path for file in inventory.files] == ["Cells.csv"]
    assert fetched(source, inventory) == {"Cells.csv": path}


@pytest.mark.parametrize("here", [".", "./", "./in/..", "in/."])
def test_a_relative_source_is_listed(here: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sites(tmp_path / "in", 1)
    monkeypatch.chdir(tmp_path)
    source = Source(job(here), tmp_path / "cache")
    staged = fetched(source)
    assert len(staged) == 4
    assert all(path.read_bytes() for path in staged.values())


def test_a_missing_source_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError) as caught:
        Source(job(tmp_path / "nowhere"), tmp_path).inventory()
    assert "nowhere" in caught.value.where
    assert caught.value.exit_code == ExitCode.INPUT_DATA


def test_a_bucket_is_listed_with_sizes_and_etags_and_fetched_into_the_cache(
    upload: Upload, s3: Any, bucket: str, tmp_path: Path
) -> None:
    local = write_sites(tmp_path / "in", 3)
    uri = upload(local, "a plate/with ünicode + plus")
    s3.put_object(Bucket=bucket, Key="a plate/with ünicode + plus-2/Cells.csv", Body=b"another plate")
    source = Source(job(uri), tmp_path / "cache")
    inventory = source.inventory()
    assert len(inventory.files) == 12
    assert all(file.etag and file.size for file in inventory.files)
    staged = fetched(source, inventory)
    for file in inventory.files:
        assert staged[file.path].read_bytes() == (local / file.path).read_bytes()
        assert tmp_path / "cache" in staged[file.path].parents
    assert source.head(inventory.files[0], 11) == (local / inventory.files[0].path).read_bytes()[:11]


def test_one_object_is_a_source(upload: Upload, tmp_path: Path) -> None:
    uri = upload(write_sites(tmp_path / "in", 1), "p")
    source = Source(job(f"{uri}/P1-A01-1/Cells.csv"), tmp_path / "cache")
    inventory = source.inventory()
    assert [file.path for file in inventory.files] == ["Cells.csv"]
    assert fetched(source, inventory)["Cells.csv"].read_bytes().startswith(b"ImageNumber")


def test_listing_goes_on_past_a_page(s3: Any, bucket: str, tmp_path: Path) -> None:
    for number in range(1005):
        s3.put_object(Bucket=bucket, Key=f"many/{number}.csv", Body=b"x")
    assert len(Source(job(f"s3://{bucket}/many"), tmp_path).inventory().files) == 1005


def test_a_persistent_cache_is_used_again(upload: Upload, tmp_path: Path) -> None:
    uri = upload(write_sites(tmp_path / "in", 1), "p")
    for _ in range(2):
        source = Source(job(uri), tmp_path / "cache")
        staged = fetched(source)
    before = {path: path.stat().st_ino for path in staged.values()}
    source = Source(job(uri), tmp_path / "cache")
    fetched(source)
    assert {path: path.stat().st_ino for path in staged.values()} == before


@pytest.mark.parametrize("uri", ["s3://no-such-bucket-here/plate", "s3://{bucket}/no/such/prefix"])
def test_a_missing_bucket_or_prefix_is_reported(uri: str, bucket: str, tmp_path: Path) -> None:
    with pytest.raises((StorageError, SourceNotFoundError)) as caught:
        Source(job(uri.format(bucket=bucket)), tmp_path).inventory()
    assert uri.format(bucket=bucket) in caught.value.where
    assert caught.value.remedy


def test_a_missing_destination_bucket_is_reported_before_anything_is_spent(aws: str) -> None:  # noqa: ARG001
    with pytest.raises(StorageError) as caught:
        Destination(job(destination="s3://no-such-bucket-here/x")).check()
    assert "s3://no-such-bucket-here/x" in caught.value.where
    assert caught.value.exit_code == ExitCode.ACCESS


def test_a_store_that_does_not_answer_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("cytobatch.storage.access._ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(StorageError, match="store does not answer"):
        Source(job("s3://bucket/p", endpoint_url="http://127.0.0.1:9"), tmp_path).inventory()


def test_missing_credentials_are_reported(monkeypatch: pytest.MonkeyPatch, s3_url: str, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StorageError) as caught:
        Source(job("s3://bucket/p", endpoint_url=s3_url), tmp_path).inventory()
    assert caught.value.what == "no credentials"
    assert "--no-sign-request" in caught.value.remedy


def test_a_public_bucket_needs_no_credentials(
    upload: Upload, aws: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = upload(write_sites(tmp_path / "in", 1), "p")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    source = Source(job(uri, no_sign_request=True, endpoint_url=aws), tmp_path / "cache")
    assert len(fetched(source)) == 4


def test_an_unknown_profile_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no-such-profile"):
        Source(job("s3://bucket/p", profile="no-such-profile"), tmp_path)


def test_requester_pays_and_further_arguments_go_with_reading_only() -> None:
    paying = job(requester_pays=True, extra_args={"ExpectedBucketOwner": "1"}, no_sign_request=True, profile="a")
    assert dict(Access.to_source(paying).extra_args) == {"RequestPayer": "requester", "ExpectedBucketOwner": "1"}
    assert Access.to_destination(paying).extra_args == ()
    assert not Access.to_destination(paying).no_sign_request
    assert (
        Access.to_destination(job(profile="a", destination_profile="b", destination_endpoint_url="http://c")).profile
        == "b"
    )


def test_more_threads_wait_for_a_store_than_compute() -> None:
    of_nine = job(workers=9, memory=2**32)
    assert (Access.to_source(of_nine).workers, Access.to_destination(of_nine).workers, Access().workers) == (36, 36, 8)


def test_a_single_file_has_its_report_beside_it_under_its_own_name(tmp_path: Path) -> None:
    destination = Destination(job(destination=tmp_path / "BR1.parquet"))
    assert destination.report_uri == str(tmp_path / "BR1.run-report.json")
    assert destination.page_uri == str(tmp_path / "BR1.report.html")


def test_a_page_replaces_that_of_an_earlier_run(tmp_path: Path) -> None:
    destination = Destination(job(destination=tmp_path / "out"))
    for text in ("<p>old</p>", "<p>new ü</p>"):
        destination.publish_page(text)
    assert Path(destination.page_uri).read_text(encoding="utf-8") == "<p>new ü</p>"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_a_single_file_where_a_folder_is_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.parquet").mkdir()
    with pytest.raises(StorageError, match="a folder where a file should be"):
        Destination(job(destination=tmp_path / "out.parquet")).check()


def test_a_destination_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="destination is not a folder"):
        Destination(job(destination=tmp_path / "file" / "out")).check()


def test_a_folder_that_may_not_be_written_is_reported() -> None:
    # Root may write anywhere, so the check runs as nobody.
    script = (
        "import os, sys\n"
        "from cytobatch.errors import StorageError\n"
        "from cytobatch.config.options import PlateJob\n"
        "from cytobatch.storage.destination import Destination\n"
        "os.setuid(65534) if os.getuid() == 0 else None\n"
        "try: Destination(PlateJob(source='/in', destination=sys.argv[1])).check()\n"
        "except StorageError as error: print(error.what)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        command = [sys.executable, "-c", script, folder]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == "no permission", answer.stderr


class _Denying(BaseHTTPRequestHandler):
    """An S3 API that refuses all."""

    def do_GET(self) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def denying_url(aws: str) -> Iterator[str]:  # noqa: ARG001
    with HTTPServer(("127.0.0.1", 0), _Denying) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_missing_permission_is_reported_for_source_and_destination(denying_url: str, tmp_path: Path) -> None:
    denied = job("s3://bucket/p", "s3://bucket/out", endpoint_url=denying_url)
    with pytest.raises(StorageError) as caught:
        Source(denied, tmp_path).inventory()
    assert (caught.value.what, caught.value.where) == ("no permission", "s3://bucket/p")
    assert "s3:ListBucket" in caught.value.remedy
    with pytest.raises(StorageError) as caught:
        Destination(denied).check()
    assert (caught.value.what, caught.value.where) == ("no permission", "s3://bucket/out")


def test_small_texts_are_read_from_disk_and_bucket(s3: Any, bucket: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="spec.json", Body='{"a": "ü"}'.encode())
    assert read_text(f"s3://{bucket}/spec.json", Access()) == '{"a": "ü"}'
    (tmp_path / "spec.json").write_text("{}")
    assert read_text(str(tmp_path / "spec.json"), Access()) == "{}"
    with pytest.raises(StorageError):
        read_text(str(tmp_path / "none.json"), Access())


@pytest.mark.parametrize("uri", ["gs://bucket/plate", "az://container/plate"])
def test_a_store_whose_support_is_not_installed_is_reported(uri: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Source(job(uri), tmp_path)
    assert caught.value.what == "support for this store is not installed"
    assert "cytobatch[gs]" in caught.value.remedy


def test_checking_a_bucket_leaves_nothing_in_it(s3: Any, bucket: str) -> None:
    Destination(job(destination=f"s3://{bucket}/out")).check()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_a_scratch_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="scratch folder"):
        run_plate(PlateJob(source=str(tmp_path), destination=str(tmp_path / "o"), scratch_dir=tmp_path / "file" / "x"))


def test_a_small_text_takes_one_request(s3: Any, bucket: str, aws: str) -> None:
    s3.put_object(Bucket=bucket, Key="spec.json", Body=b"{}")
    with proxy(aws) as (url, requests):
        assert read_text(f"s3://{bucket}/spec.json", Access(endpoint_url=url)) == "{}"
        with pytest.raises(StorageError, match="no such object"):
            read_text(f"s3://{bucket}/absent.json", Access(endpoint_url=url))
    assert [(request.method, request.key) for request in requests] == [("GET", "spec.json"), ("GET", "absent.json")]


def test_the_head_of_an_object_is_that_of_its_own_key(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="p/a//b.csv", Body=b"right")
    s3.put_object(Bucket=bucket, Key="p/a/b.csv", Body=b"wrong")
    source = Source(job(f"s3://{bucket}/p", endpoint_url=aws), tmp_path)
    file = next(file for file in source.inventory().files if file.path == "a//b.csv")
    assert source.head(file, 3) == b"rig"
