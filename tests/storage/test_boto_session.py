"""Sessions that are quicker than boto3's own know what those know."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.storage.boto_session import Models, make_session, time_of

TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
HOURS = st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours)))


@given(TIMES, HOURS)
def test_a_time_in_any_form_is_the_one_that_botocore_takes_it_for(time: datetime, zone: timezone) -> None:
    seconds = time.replace(microsecond=0)
    texts = (
        f"{seconds:%Y-%m-%dT%H:%M:%S}Z",
        f"{seconds:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z",
        f"{seconds:%Y%m%dT%H%M%S}Z",
        f"{seconds:%Y-%m-%d}",
        seconds.astimezone(zone).isoformat(),
        format_datetime(seconds, usegmt=True),
        str(seconds.timestamp()),
        seconds.timestamp(),
    )
    for text in texts:
        assert time_of(text) == parse_timestamp(text)
        assert time_of(text).tzinfo is not None or parse_timestamp(text).tzinfo is None


@pytest.mark.parametrize("text", ["", "Z", "no timeZ", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_refused_as_botocore_refuses_it(text: str) -> None:
    with pytest.raises(ValueError, match="Invalid timestamp"):
        time_of(text)


@pytest.mark.parametrize("service", ["s3", "sts", "sso", "sso-oidc", "batch"])
def test_clients_have_the_models_of_botocore(service: str) -> None:
    said = {"region_name": "us-east-1", "aws_access_key_id": "k", "aws_secret_access_key": "s"}
    ours, theirs = (session.client(service, **said) for session in (make_session(None, Config()), boto3.Session()))
    assert ours.meta.service_model.operation_names == theirs.meta.service_model.operation_names
    assert ours.meta.endpoint_url == theirs.meta.endpoint_url


def test_a_resource_is_made_by_the_first_question_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = boto3.Session.resource
    monkeypatch.setattr(boto3.Session, "resource", lambda self, *a, **s: made.append(1) or original(self, *a, **s))
    said = {"region_name": "us-east-1", "aws_access_key_id": "k", "aws_secret_access_key": "s"}
    resource = make_session(None, Config()).resource("s3", **said)
    assert not made
    assert resource.Object("bucket", "key").bucket_name == "bucket"
    assert resource.meta.client.meta.endpoint_url == boto3.client("s3", **said).meta.endpoint_url
    assert len(made) == 1


def test_every_service_of_botocore_is_listed_and_another_is_unknown() -> None:
    known = boto3.Session().get_available_services()
    assert set(known) <= set(Models().list_available_services("service-2"))
    with pytest.raises(BotoCoreError):
        make_session(None, Config()).client("no-such-service", region_name="us-east-1")


def test_models_beside_those_of_botocore_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ours").mkdir()
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    assert "ours" in make_session(None, Config())._loader.list_available_services("service-2")


def test_a_region_that_is_said_is_that_of_the_clients() -> None:
    session = make_session(None, Config(), "eu-central-1")
    assert session.client("batch").meta.region_name == "eu-central-1"
