"""Sources that are written while a run reads them, and bytes that are not those of the store."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.option_types import CacheMode
from cytobatch.config.options import PlateJob
from cytobatch.errors import ExitCode, SourceChangedError, StorageError, TooManyFailedExportsError
from cytobatch.pipeline import plate as steps
from cytobatch.pipeline.plate import run_plate
from cytobatch.readers.inputs import BEGINNING
from cytobatch.storage.access import Access, read_text
from cytobatch.storage.annotation_files import read_table_text
from cytobatch.storage.s3_read import RANGE
from cytobatch.storage.source import Source
from proxy import Answer, Asked, gets, proxy
from tests.support.fault_proxy import Fault, Injection, fault_proxy
from tests.support.plates import write_sites

Upload = Callable[[Path, str], str]
Change = Callable[[Path], object]


def job(source: object, destination: Path, **options: Any) -> PlateJob:
    return PlateJob(source=str(source), destination=str(destination), plate="P1", **options)


@contextmanager
def converting(plate: PlateJob, tmp_path: Path) -> Iterator[Source]:
    """A source whose files were listed and all read."""
    source = Source(plate, tmp_path / "cache")
    files = source.inventory().files
    with source.inputs(files, 2**30) as inputs:
        for file in files:
            inputs.whole(file.path)
        yield source


def longer(path: Path) -> None:
    with path.open("a") as stream:
        stream.write("1,9,2.0,9\n")


def written_again(path: Path) -> None:
    later = path.stat().st_mtime + 10
    os.utime(path, (later, later))


def replaced(path: Path) -> None:
    status = path.stat()
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [longer, written_again, replaced, Path.unlink])
@pytest.mark.parametrize("whole_plate", [True, False])
def test_a_local_file_that_changed_since_it_was_listed_is_reported(
    change: Change, whole_plate: bool, tmp_path: Path
) -> None:
    folder = write_sites(tmp_path / "in", 1)
    path = next(folder.rglob("Cells.csv"))
    if not whole_plate:
        folder = path
    with pytest.raises(SourceChangedError) as caught, converting(job(folder, tmp_path / "out"), tmp_path):
        change(path)
    assert caught.value.exit_code is ExitCode.STORAGE
    assert caught.value.where == str(path)


def test_local_files_that_did_not_change_are_no_error(tmp_path: Path) -> None:
    folder = write_sites(tmp_path / "in", 1)
    (folder / "dangling.csv").symlink_to(tmp_path / "nothing")
    with converting(job(folder, tmp_path / "out"), tmp_path):
        (folder / "new.csv").write_text("ImageNumber\n1\n")


def test_a_changed_file_is_the_error_whatever_the_conversion_found_in_it(tmp_path: Path) -> None:
    path = next(write_sites(tmp_path / "in", 1).rglob("Cells.csv"))
    plate = job(tmp_path / "in", tmp_path / "out")
    with pytest.raises(SourceChangedError) as caught, converting(plate, tmp_path):
        path.write_text("cut sh")
        raise TooManyFailedExportsError("1 export failed")
    assert isinstance(caught.value.__cause__, TooManyFailedExportsError)


def test_a_plate_whose_file_changes_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(write_sites(tmp_path / "in", 2).rglob("Cells.csv"))
    convert = steps.convert_plate

    def convert_and_change(*arguments: Any) -> Any:
        converted = convert(*arguments)
        longer(path)
        return converted

    monkeypatch.setattr(steps, "convert_plate", convert_and_change)
    with pytest.raises(SourceChangedError):
        run_plate(job(tmp_path / "in", tmp_path / "out"))
    assert not list((tmp_path / "out").rglob("*.parquet"))


@pytest.mark.parametrize("size", [1000, 3 * BEGINNING, RANGE + 1000])
@pytest.mark.parametrize("by_obstore", [True, False])
def test_a_store_that_ignores_the_condition_of_a_request_is_found_out(
    size: int, by_obstore: bool, s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=b"x" * size)
    extra = {} if by_obstore else {"ExpectedBucketOwner": "000000000000"}
    with fault_proxy(aws) as faults:
        source = Source(job(f"s3://{bucket}/p", tmp_path / "out", endpoint_url=faults.url, extra_args=extra), tmp_path)
        files = source.inventory().files
        faults.begin([Injection(Fault.ETAG, 0, 10_000)])
        with source.inputs(files, 2**30) as inputs, pytest.raises(SourceChangedError):
            inputs.whole("a.csv")


def test_an_object_that_is_gone_since_it_was_listed_is_reported(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=b"x")
    source = Source(job(f"s3://{bucket}/p", tmp_path / "out", endpoint_url=aws), tmp_path)
    files = source.inventory().files
    s3.delete_object(Bucket=bucket, Key="p/a.csv")
    with source.inputs(files, 2**30) as inputs, pytest.raises(SourceChangedError) as caught:
        inputs.whole("a.csv")
    assert "it is gone" in caught.value.why


def test_the_head_of_another_version_is_not_read(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=b"first")
    source = Source(job(f"s3://{bucket}/p", tmp_path / "out", endpoint_url=aws), tmp_path)
    (file,) = source.inventory().files
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=b"other")
    with pytest.raises(SourceChangedError):
        source.head(file, 100)


def test_no_request_is_of_more_than_16_mib(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    body = bytes(RANGE // 16) * 16 + b"rest"
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=body)
    with proxy(aws) as (url, asked):
        source = Source(job(f"s3://{bucket}/p", tmp_path / "out", endpoint_url=url), tmp_path)
        with source.inputs(source.inventory().files, 2**30) as inputs:
            assert inputs.whole("a.csv").read_bytes() == body
    assert [one.span for one in gets(asked)] == [f"0-{RANGE - 1}", f"{RANGE}-{RANGE + 3}"]


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("by_obstore", [True, False])
@pytest.mark.parametrize("size", [1000, 3 * BEGINNING])
def test_other_bytes_than_those_of_the_etag_are_found_out(
    size: int, by_obstore: bool, kept: bool, s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    body = b"1,2,3\n" * (size // 6)
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=body)
    options: dict[str, Any] = {} if by_obstore else {"extra_args": {"ExpectedBucketOwner": "000000000000"}}
    options |= {"cache_mode": CacheMode.PERSISTENT, "cache_dir": tmp_path} if kept else {}
    with fault_proxy(aws) as faults:
        plate = job(f"s3://{bucket}/p", tmp_path / "out", endpoint_url=faults.url, check_md5=True, **options)
        faults.begin([Injection(Fault.WRONG, 0, 10_000)])
        source = Source(plate, tmp_path / "cache")
        with source.inputs(source.inventory().files, 2**30) as inputs, pytest.raises(StorageError) as caught:
            inputs.whole("a.csv")
        assert caught.value.what == "other bytes came than the store has"
        faults.begin([])
        with source.inputs(source.inventory().files, 2**30) as inputs:
            assert inputs.whole("a.csv").read_bytes() == body


def test_other_bytes_of_a_platemap_or_spec_are_found_out(s3: Any, bucket: str, aws: str) -> None:
    s3.put_object(Bucket=bucket, Key="map.txt", Body=b"well_position\tdose\nA01\t1\n")
    uri = f"s3://{bucket}/map.txt"
    with fault_proxy(aws) as faults:
        faults.begin([Injection(Fault.WRONG, 0, 10_000)])
        access = Access(endpoint_url=faults.url, check_md5=True)
        for read in (read_text, read_table_text):
            with pytest.raises(StorageError, match="other bytes came"):
                read(uri, access)
            assert read(uri, Access(endpoint_url=faults.url)) != read(uri, Access(endpoint_url=aws))
            assert read(uri, Access(endpoint_url=aws, check_md5=True)) == read(uri, Access(endpoint_url=aws))


def test_an_etag_that_is_no_md5_is_not_compared(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="p/parts.csv")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="p/parts.csv", UploadId=upload, PartNumber=1, Body=b"parts")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="p/parts.csv", UploadId=upload, MultipartUpload=parts)
    plate = job(f"s3://{bucket}/p", tmp_path / "out", endpoint_url=aws, check_md5=True)
    source = Source(plate, tmp_path)
    with source.inputs(source.inventory().files, 2**30) as inputs:
        assert inputs.whole("parts.csv").read_bytes() == b"parts"


def test_an_etag_of_an_object_encrypted_by_kms_is_not_compared(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=b"plain", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/key")

    def other_body(one: Asked) -> Answer | None:
        return Answer(200, b"other") if one.method == "GET" and one.key else None

    with proxy(aws, other_body) as (url, _):
        plate = job(f"s3://{bucket}/p", tmp_path / "out", endpoint_url=url, check_md5=True)
        source = Source(plate, tmp_path)
        with source.inputs(source.inventory().files, 2**30) as inputs:
            # Of such an object the ETag is another digest than that of the bytes that come.
            assert inputs.whole("a.csv").read_bytes() == b"other"
