"""Objects are read by the very key that was listed, and the prefix of a plate does not list other plates."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pyarrow.parquet as pq
import pytest

from cytobatch.config.option_types import CacheMode
from cytobatch.config.options import PlateJob
from cytobatch.errors import ExitCode, LayoutError
from cytobatch.formats.hidden_files import MARKER
from cytobatch.pipeline.plate import run_plate
from cytobatch.storage.access import Access
from cytobatch.storage.source import Source, list_folders
from proxy import Answer, Asked, proxy
from tests.support.plates import write_sites


def put(s3: Any, bucket: str, *keys: str) -> None:
    """Put objects that hold their own keys."""
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())


def contents(job: PlateJob, cache: Path) -> dict[str, str]:
    """The content of each file of a source by its path; the beginning of each is that of the same object."""
    source = Source(job, cache)
    files = source.inventory().files
    with source.inputs(files, 2**20) as inputs:
        result = {file.path: inputs.whole(file.path).read_text() for file in files}
    assert {file.path: source.head(file, 1000).decode() for file in files} == result
    return result


@pytest.mark.parametrize("mode", [CacheMode.TMP_DIR, CacheMode.PERSISTENT])
@pytest.mark.parametrize(
    ("source", "keys", "expected"),
    [
        ("p", ["p/a//x.csv", "p/a/x.csv"], {"a//x.csv": "p/a//x.csv", "a/x.csv": "p/a/x.csv"}),
        ("p", ["p//x.csv", "p/y.csv"], {"x.csv": "p//x.csv", "y.csv": "p/y.csv"}),
        ("p", ["p///a/x.csv", "p2//x.csv"], {"a/x.csv": "p///a/x.csv"}),
        ("p/", ["p//x.csv"], {"x.csv": "p//x.csv"}),
        ("p", ["p/./x.csv", "p/x.csv"], {"./x.csv": "p/./x.csv", "x.csv": "p/x.csv"}),
        ("/p", ["/p/x.csv", "p/x.csv"], {"x.csv": "/p/x.csv"}),
        ("/p", ["/p//a//x.csv"], {"a//x.csv": "/p//a//x.csv"}),
        ("a//p", ["a//p/x.csv", "a/p/x.csv"], {"x.csv": "a//p/x.csv"}),
        ("", ["/p/x.csv", "p/y.csv"], {"p/x.csv": "/p/x.csv", "p/y.csv": "p/y.csv"}),
        ("a//x.csv", ["a//x.csv", "a/x.csv"], {"x.csv": "a//x.csv"}),
        ("/x.csv", ["/x.csv", "x.csv"], {"x.csv": "/x.csv"}),
    ],
)
def test_an_object_is_read_by_the_key_that_was_listed(
    source: str, keys: list[str], expected: dict[str, str], mode: CacheMode, s3: Any, bucket: str, tmp_path: Path
) -> None:
    put(s3, bucket, *keys)
    cache = tmp_path / "cache"
    job = PlateJob(source=f"s3://{bucket}/{source}", destination="/out", cache_dir=cache, cache_mode=mode)
    for _ in range(2):
        assert contents(job, cache) == expected
    assert not list(tmp_path.glob("*.csv"))


def test_two_objects_of_one_path_are_refused(s3: Any, bucket: str, tmp_path: Path) -> None:
    put(s3, bucket, "p//x.csv", "p/x.csv")
    with pytest.raises(LayoutError) as caught:
        Source(PlateJob(source=f"s3://{bucket}/p", destination="/out"), tmp_path).inventory()
    assert caught.value.exit_code is ExitCode.INPUT_DATA
    assert "'p//x.csv'" in caught.value.why
    assert "'p/x.csv'" in caught.value.why


@pytest.mark.parametrize("refuses_obstore", [False, True])
@pytest.mark.parametrize("source", ["P1", "P1/", "deep/P1", "/P1"])
def test_the_prefix_of_a_plate_does_not_list_other_plates(
    source: str, refuses_obstore: bool, s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    folder = source.rstrip("/")
    put(s3, bucket, f"{folder}/x.csv", *(f"{folder}{number}/x.csv" for number in range(10)), f"{folder}.csv")

    def refuse(request: Asked) -> Answer | None:
        return Answer(403) if refuses_obstore and request.by_obstore else None

    with proxy(aws, refuse) as (url, requests):
        job = PlateJob(source=f"s3://{bucket}/{source}", destination="/out", endpoint_url=url)
        files = Source(job, tmp_path).inventory().files
    assert [file.path for file in files] == ["x.csv"]
    assert {parse_qs(request.query)["prefix"][0] for request in requests} == {f"{folder}/"}


@pytest.mark.parametrize("source", ["P1", "P1/"])
def test_a_plate_that_is_missing_beside_others_of_longer_names_takes_one_more_request_of_one_key(
    source: str, s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    put(s3, bucket, *(f"P1{number}/x.csv" for number in range(10)))
    with proxy(aws) as (url, requests):
        job = PlateJob(source=f"s3://{bucket}/{source}", destination="/out", endpoint_url=url)
        with pytest.raises(Exception, match="missing or empty"):
            Source(job, tmp_path).inventory()
    queries = [parse_qs(request.query) for request in requests]
    assert all(query["prefix"] == ["P1/"] or query["max-keys"] == ["1"] for query in queries)


def test_a_folder_without_a_name_is_no_plate(s3: Any, bucket: str) -> None:
    put(s3, bucket, "plates/P1/x.csv", "plates//x.csv")
    assert list_folders(f"s3://{bucket}/plates", Access()) == ["P1"]


@pytest.mark.parametrize(
    ("source", "above", "between"),
    [("plate", "plate/", "//"), ("plate", "plate//", "/"), ("/plate", "/plate/", "/"), ("/plate", "/plate//", "//")],
)
def test_a_plate_under_odd_keys_equals_the_plate_of_local_files(
    source: str, above: str, between: str, s3: Any, bucket: str, tmp_path: Path
) -> None:
    local = write_sites(tmp_path / "plate", 2)
    for path in local.rglob("*.csv"):
        s3.upload_file(str(path), bucket, f"{above}{path.parent.name}{between}{path.name}")
    near, far = (
        run_plate(PlateJob(source=place, destination=str(tmp_path / name), plate="P1"))
        for name, place in (("near", str(local)), ("far", f"s3://{bucket}/{source}"))
    )
    one, other = (pq.read_table(report.outputs[0].path) for report in (near, far))
    assert one.equals(other)
    assert near.counts == far.counts


@pytest.mark.parametrize("refuses_obstore", [False, True])
def test_an_object_with_content_under_the_key_of_a_folder_is_named(
    refuses_obstore: bool, upload: Any, s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    source = upload(write_sites(tmp_path / "in", 2), "plate")
    for key in ("plate/", "plate/P1-A01-1/", "plate/P1-A01-2/Worms.csv/"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"ImageNumber,ObjectNumber\n1,1\n")

    def refuse(request: Asked) -> Answer | None:
        return Answer(403) if refuses_obstore and request.by_obstore else None

    with proxy(aws, refuse) as (url, _):
        job = PlateJob(source=source, destination=str(tmp_path / "out"), endpoint_url=url)
        report = run_plate(job)
    assert report.counts.rows == 6
    named = {entry.path for entry in report.ledger if entry.reason == MARKER}
    assert named == {"/", "P1-A01-1/", "P1-A01-2/Worms.csv/"}
    assert "3 files not read: /, P1-A01-1/, P1-A01-2/Worms.csv/" in report.warnings[0].what
