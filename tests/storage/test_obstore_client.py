"""GETs outside of botocore: the same bytes for any key, and through botocore if they fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import StorageError
from cytobatch.readers.inputs import BEGINNING
from cytobatch.storage.source import Source
from proxy import Answer, Answering, Asked, gets, proxy

BODY = bytes(range(256)) * 4096
NAMES = [
    "plain.csv",
    "a b+c.csv",
    "ü/ä é.csv",
    "100%.csv",
    "%20.csv",
    "a#b?c.csv",
    "a=b&c;d.csv",
    "~'x'(1)[2]{3}.csv",
    "a\\b.csv",
    'say "x".csv',
    "*.csv",
    "@:,!$.csv",
    "日本.csv",
    "a//b.csv",
    "a/./b.csv",
    "line\nbreak.csv",
]


@contextmanager
def source_through(
    url: str, answering: Answering, bucket: str, cache: Path, **options: Any
) -> Iterator[tuple[Source, list[Asked]]]:
    """A source in the bucket behind a proxy, and the requests to it."""
    with proxy(url, answering) as (address, requests):
        job = PlateJob(source=f"s3://{bucket}/p", destination="/out", endpoint_url=address, **options)
        source = Source(job, cache)
        yield source, requests


def fetched(source: Source, *names: str) -> list[bytes]:
    with source.inputs(source.inventory().files, 2**30) as inputs:
        for name in names:
            inputs.beginning(name)
        return [inputs.whole(name).read_bytes() for name in names]


def passed_on(_: Asked) -> None:
    """The proxy passes every request on."""


@pytest.mark.parametrize("name", NAMES)
def test_a_key_of_any_name_gives_its_own_object(name: str, s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key=f"p/{name}", Body=BODY)
    # Keys that it might be confused with.
    for other in ("p/100.csv", "p/ .csv", "p/a", "p/a/b.csv", "p/a%20b+c.csv", "p/%2A.csv", "p/100%25.csv"):
        s3.put_object(Bucket=bucket, Key=other, Body=b"another")
    with source_through(aws, passed_on, bucket, tmp_path) as (source, _):
        assert fetched(source, name) == [BODY]


def test_obstore_gets_objects_whole_or_in_spans(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="p/large.csv", Body=BODY)
    s3.put_object(Bucket=bucket, Key="p/small.csv", Body=b"small")
    with source_through(aws, passed_on, bucket, tmp_path) as (source, requests):
        assert fetched(source, "large.csv", "small.csv") == [BODY, b"small"]
    assert [(one.key, one.span, one.by_obstore) for one in gets(requests)] == [
        ("p/large.csv", f"0-{BEGINNING - 1}", True),
        ("p/small.csv", "", True),
        ("p/large.csv", f"{BEGINNING}-{len(BODY) - 1}", True),
    ]
    assert all("authorization" in one.headers for one in gets(requests))


@pytest.mark.parametrize(("status", "times"), [(301, 1), (400, 1), (403, 1), (404, 1), (500, 4), (501, 4)])
def test_botocore_gets_an_object_that_obstore_cannot_get_and_all_that_follow(
    status: int, times: int, s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    for name in ("a.csv", "b.csv"):
        s3.put_object(Bucket=bucket, Key=f"p/{name}", Body=BODY)

    def refuse(one: Asked) -> Answer | None:
        return Answer(status) if one.by_obstore else None

    with source_through(aws, refuse, bucket, tmp_path) as (source, requests):
        assert fetched(source, "a.csv", "b.csv") == [BODY, BODY]
    assert [one.key for one in gets(requests) if one.by_obstore] == ["p/a.csv"] * times


@pytest.mark.parametrize("sent", [0, 1000, BEGINNING - 1])
def test_a_response_that_breaks_off_is_continued_where_it_broke(
    sent: int, s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=BODY[:BEGINNING])

    def break_off(one: Asked) -> Answer | None:
        if not (one.by_obstore and one.key) or one.span:
            return None
        return Answer(200, BODY[:sent], missing=BEGINNING - sent)

    with source_through(aws, break_off, bucket, tmp_path) as (source, _):
        assert fetched(source, "a.csv") == [BODY[:BEGINNING]]


def test_another_version_than_the_listed_one_is_reported(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=BODY)
    with source_through(aws, passed_on, bucket, tmp_path) as (source, _):
        files = source.inventory().files
        s3.put_object(Bucket=bucket, Key="p/a.csv", Body=BODY[::-1])
        with source.inputs(files, 2**30) as inputs, pytest.raises(StorageError) as caught:
            inputs.whole("a.csv")
    assert caught.value.what == "object changed while it was read"


def test_requests_without_credentials_are_not_signed(
    s3: Any, bucket: str, aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=BODY)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with source_through(aws, passed_on, bucket, tmp_path, no_sign_request=True) as (source, requests):
        assert fetched(source, "a.csv") == [BODY]
    assert [("authorization" in one.headers, one.by_obstore) for one in gets(requests)] == [(False, True)] * 2


def test_requester_pays_is_sent_and_other_arguments_go_through_botocore(
    s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=BODY)
    with source_through(aws, passed_on, bucket, tmp_path / "1", requester_pays=True) as (source, requests):
        assert fetched(source, "a.csv") == [BODY]
    assert {(one.headers["x-amz-request-payer"], one.by_obstore) for one in gets(requests)} == {("requester", True)}
    extra = {"ExpectedBucketOwner": "000000000000"}
    with source_through(aws, passed_on, bucket, tmp_path / "2", extra_args=extra) as (source, requests):
        assert fetched(source, "a.csv") == [BODY]
    assert not any(one.by_obstore for one in gets(requests))


def test_variables_that_obstore_would_read_change_nothing(
    s3: Any, bucket: str, aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=BODY)
    variables = {
        "AWS_ENDPOINT": "http://127.0.0.1:9",
        "AWS_BUCKET": "another",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
        "AWS_REQUEST_PAYER": "true",
        "AWS_REGION": "eu-west-3",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with source_through(aws, passed_on, bucket, tmp_path) as (source, requests):
        assert fetched(source, "a.csv") == [BODY]
    assert all(one.by_obstore and "authorization" in one.headers for one in gets(requests))
    assert not any("x-amz-request-payer" in one.headers for one in gets(requests))
