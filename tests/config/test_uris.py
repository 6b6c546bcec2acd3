"""Locations: local paths and three kinds of stores, and no passwords in them."""

from typing import Any

import pytest

from cytobatch.config.options import PlateOptions
from cytobatch.config.uris import bucket_of, check_location, is_within
from cytobatch.errors import JobSpecError
from cytobatch.pipeline.resolve_jobs import parse_options

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
    "location", ["/data/x", "x", "~/x", "s3://b/a@b?c=d", "gs://b/x", "az://c/x", "/a b/#?&", "a:b"]
)
def test_local_paths_and_stores_may_be_given(location: str) -> None:
    assert check_location(location) == location
    for name in PATHS:
        assert getattr(parse_options({name: location}, "test"), name) == location


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
