"""Listings by obstore equal those by botocore, which lists what obstore cannot."""

from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.planning.inventory import SourceFile
from cytobatch.storage.source import Source
from proxy import Answer, Asked, proxy

KEYS = [
    "plain.csv",
    "deep/er/a b+c.csv",
    "ü/ä é.csv",
    "e\u0301.csv",
    "100%.csv",
    "%20.csv",
    "a#b?c.csv",
    "a=b&c;d.csv",
    "<x>&.csv",
    "a\\b.csv",
    "日本.csv",
]


def listed(
    aws: str, bucket: str, cache: Path, *, refuse_obstore: bool = False, **options: Any
) -> tuple[Any, list[Asked]]:
    """The files of the source `p` by their paths, and the requests for them."""

    def refuse(request: Asked) -> Answer | None:
        return Answer(403) if refuse_obstore and request.by_obstore else None

    with proxy(aws, refuse) as (url, requests):
        job = PlateJob(source=f"s3://{bucket}/p", destination="/out", endpoint_url=url, **options)
        files = Source(job, cache).inventory().files
    return {file.path: file for file in files}, requests


def put(s3: Any, bucket: str, *keys: str) -> None:
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"" if key.endswith(("/", ".empty")) else b"rows")


def test_obstore_lists_what_botocore_lists(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    put(s3, bucket, *(f"p/{key}" for key in KEYS), "p-2/other.csv", "pa.csv")
    by_obstore, requests = listed(aws, bucket, tmp_path)
    by_botocore, others = listed(aws, bucket, tmp_path, refuse_obstore=True)
    assert set(by_obstore) == set(KEYS)
    assert by_obstore == by_botocore
    assert all(isinstance(file, SourceFile) and file.etag and file.modified for file in by_obstore.values())
    assert [request.by_obstore for request in requests] == [True]
    assert [request.by_obstore for request in others] == [True, False]


@pytest.mark.parametrize(
    ("keys", "paths", "by_obstore"),
    [
        (["p/", "p/a/", "p/a/x.csv", "p/a/b/", "p/a/b/y.csv"], {"a/x.csv", "a/b/y.csv"}, True),
        (["p/a/", "p/x.csv"], {"x.csv"}, False),
        (["p/x.csv", "p/y.empty"], {"x.csv", "y.empty"}, False),
        (["p/a//x.csv", "p/y.csv"], {"a//x.csv", "y.csv"}, False),
        (["p/./x.csv", "p/line\nbreak.csv"], {"./x.csv", "line\nbreak.csv"}, False),
    ],
    ids=["folder markers", "marker of an empty folder", "empty object", "empty segment", "refused names"],
)
def test_folder_markers_are_not_files_and_unclear_keys_are_listed_by_botocore(
    keys: list[str], paths: set[str], by_obstore: bool, s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    put(s3, bucket, *keys)
    files, requests = listed(aws, bucket, tmp_path)
    assert set(files) == paths
    assert all(request.by_obstore for request in requests) == by_obstore


def test_an_object_is_a_source_by_its_own_key(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    put(s3, bucket, "p", "p2")
    files, _ = listed(aws, bucket, tmp_path)
    assert set(files) == {"p"}


def test_requester_pays_goes_with_the_listing(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    put(s3, bucket, "p/x.csv")
    _, requests = listed(aws, bucket, tmp_path, requester_pays=True)
    assert [(request.headers["x-amz-request-payer"], request.by_obstore) for request in requests] == [
        ("requester", True)
    ]


def test_an_unsigned_listing_has_no_credentials(
    s3: Any, bucket: str, aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, bucket, "p/x.csv")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    _, requests = listed(aws, bucket, tmp_path, no_sign_request=True)
    assert [("authorization" in request.headers, request.by_obstore) for request in requests] == [(False, True)]


def test_further_arguments_go_through_botocore(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    put(s3, bucket, "p/x.csv")
    _, requests = listed(aws, bucket, tmp_path, extra_args={"ExpectedBucketOwner": "000000000000"})
    assert [request.by_obstore for request in requests] == [False]
    assert requests[0].headers["x-amz-expected-bucket-owner"] == "000000000000"


@pytest.mark.parametrize("source", ["s3://{}//p", "s3://{}/p/", "s3://{}"])
def test_slashes_around_a_prefix_mean_what_they_mean_to_botocore(
    source: str, s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    put(s3, bucket, "p/x.csv", "/p/y.csv")
    job = PlateJob(source=source.format(bucket), destination="/out", endpoint_url=aws)
    paths = {file.path for file in Source(job, tmp_path).inventory().files}
    assert paths == {"s3://{}//p": {"y.csv"}, "s3://{}/p/": {"x.csv"}, "s3://{}": {"p/x.csv", "p/y.csv"}}[source]
