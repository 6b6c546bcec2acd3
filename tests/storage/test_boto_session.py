"""Sessions have boto3's own clients, with cytobatch's configuration."""

from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from cytobatch.storage.boto_session import make_session

CREDENTIALS = {"region_name": "us-east-1", "aws_access_key_id": "k", "aws_secret_access_key": "s"}


@pytest.mark.parametrize("service", ["s3", "sts", "sso", "sso-oidc", "batch"])
def test_clients_have_the_models_of_botocore(service: str) -> None:
    ours, theirs = (
        session.client(service, **CREDENTIALS) for session in (make_session(None, Config()), boto3.Session())
    )
    assert ours.meta.service_model.operation_names == theirs.meta.service_model.operation_names
    assert ours.meta.endpoint_url == theirs.meta.endpoint_url


def test_clients_have_the_configuration_of_their_session() -> None:
    client = make_session(None, Config(user_agent_extra="cytobatch/test")).client("s3", **CREDENTIALS)
    assert client.meta.config.user_agent_extra == "cytobatch/test"


def test_a_service_that_does_not_exist_is_unknown() -> None:
    with pytest.raises(BotoCoreError):
        make_session(None, Config()).client("no-such-service", region_name="us-east-1")


def test_models_beside_those_of_botocore_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_session(None, Config())
    (tmp_path / "ours" / "2026-01-01").mkdir(parents=True)
    (tmp_path / "ours" / "2026-01-01" / "service-2.json").write_text("{}")
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    assert "ours" in make_session(None, Config()).get_available_services()


def test_clients_have_the_given_region() -> None:
    session = make_session(None, Config(), "eu-central-1")
    assert session.client("batch").meta.region_name == "eu-central-1"
