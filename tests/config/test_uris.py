"""Locations: local paths and three kinds of stores, and no passwords in them."""

from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateOptions
from cytobatch.config.uris import bucket_of, check_location, is_within
from cytobatch.errors import JobSpecError
from cytobatch.pipeline.resolve_jobs import parse_options, resolve_jobs

PATHS = ("source", "destination", "platemap", "load_data")
FOLDERS = ("cache_dir", "scratch_dir")
APIS = ("endpoint_url", "destination_endpoint_url")

ELSEWHERE = [
    "http://127.0.0.1:9/x",
    "https://host/x",
    "HTTP://host/x",
    "file:///etc/passwd",
    "ftp://host/x",
    "S3://bucket/x",
    "s3a://bucket/x",
    "data://x",
    "://x",
    "x\0y",
]
WITH_SECRETS = [
    "s3://hunter2:hunter2@bucket/x",
    "https://user:hunter2@host/x",
    "az://hunter2@container/x",
    "https://bucket.s3.amazonaws.com/x?X-Amz-Signature=hunter2",
    "s3://bucket/x?AWSAccessKeyId=hunter2&Signature=hunter2",
    "az://container/x?sv=2020&sig=hunter2",
    "/data/x?X-Amz-Security-Token=hunter2",
]


@pytest.mark.parametrize(
    "location", ["/data/x", "x", "./~/x", "s3://b/a@b?c=d", "gs://b/x", "az://c/x", "/a b/#?&", "a:b"]
)
def test_local_paths_and_stores_may_be_given(location: str) -> None:
    assert check_location(location) == location
    for name in PATHS:
        assert getattr(parse_options({name: location}, "test"), name) == location


def test_the_home_folder_is_put_in_place_of_its_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CYTOBATCH_SOURCE", "~/in")
    spec = {"plates": [{"destination": "~/{plate}", "plate": "P1", "platemap": "s3://b/~/x", "scratch_dir": "~"}]}
    (job,) = resolve_jobs(PlateOptions(), spec, "test")
    assert (job.source, job.destination, job.platemap) == (f"{tmp_path}/in", f"{tmp_path}/P1", "s3://b/~/x")
    assert job.scratch_dir == tmp_path
    with pytest.raises(JobSpecError, match="give the whole path"):
        parse_options({"source": "~nobody-of-this-name/x"}, "test")


@pytest.mark.parametrize(
    ("location", "remedy"),
    [
        ("s3:/bucket/x", "write s3://bucket/x"),
        ("gs:bucket/x", "write gs://bucket/x"),
        ("C:\\data\\x y", "in WSL write /mnt/c/data/x y"),
        ("d:/data/x", "in WSL write /mnt/d/data/x"),
        ("http://host/x", "s3://, gs://, az://"),
    ],
)
def test_what_was_meant_for_a_location_is_refused_with_the_right_one(location: str, remedy: str) -> None:
    with pytest.raises(JobSpecError) as caught:
        parse_options({"source": location}, "test")
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("location", [*ELSEWHERE, *WITH_SECRETS])
@pytest.mark.parametrize("option", PATHS)
def test_another_location_is_refused_and_no_password_is_shown(option: str, location: str) -> None:
    _check_refused({option: location})


@pytest.mark.parametrize("option", FOLDERS)
@pytest.mark.parametrize("location", ["http://host/x", "s3://bucket/x", "s3://hunter2@bucket/x"])
def test_a_folder_of_this_machine_is_no_uri(option: str, location: str) -> None:
    _check_refused({option: location})


@pytest.mark.parametrize("option", APIS)
@pytest.mark.parametrize("url", ["file:///etc/passwd", "host", "https://user:hunter2@host", "https://h?sig=hunter2"])
def test_the_api_of_a_store_is_http_without_a_password(option: str, url: str) -> None:
    _check_refused({option: url})


@pytest.mark.parametrize("uri", ["s3://b", "s3://b/", "s3://b/x", "s3://b/x/y"])
def test_a_bucket_holds_what_is_below_it(uri: str) -> None:
    assert bucket_of(uri) == "s3://b"
    assert is_within(uri, "s3://b")
    assert is_within(uri, "s3://b/")


@pytest.mark.parametrize("uri", ["s3://b2/x", "s3://bx", "gs://b/x", "s3://B/x", "s3:///b", "s3://", "/b/x", "b"])
def test_another_bucket_is_outside(uri: str) -> None:
    assert not is_within(uri, "s3://b")
    assert not is_within("s3://b", uri)


@pytest.mark.parametrize(("uri", "inside"), [("s3://b/x", True), ("s3://b/x/y", True), ("s3://b/xy", False)])
def test_a_folder_ends_at_a_slash(uri: str, inside: bool) -> None:
    assert is_within(uri, "s3://b/x") is inside
    assert is_within(uri, "s3://b/x/") is inside


def test_an_api_may_be_given() -> None:
    assert PlateOptions(endpoint_url="http://127.0.0.1:9000").endpoint_url == "http://127.0.0.1:9000"


def _check_refused(options: dict[str, Any]) -> None:
    with pytest.raises(JobSpecError) as caught:
        parse_options(options, "test")
    assert f"bad value for '{next(iter(options))}'" in str(caught.value)
    assert "hunter2" not in str(caught.value)
