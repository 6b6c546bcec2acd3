"""Credentials that another room has loaded: what storage asks with them, and that nothing shows them."""

import json
import pickle
from datetime import timedelta

import pytest
from botocore.config import Config

from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError
from cytobatch.storage import boto_session, credentials
from cytobatch.storage.access import Access
from cytobatch.storage.boto_session import make_session
from cytobatch.storage.credentials import StoreCredentials, find_credentials, provide_credentials

BLOCK = "aws-credentials/lab"
SECRET = "a-secret-of-tests"


def stored(token: str | None = None) -> StoreCredentials:
    return StoreCredentials(BLOCK, "key", SECRET, token, region="eu-central-1")


def test_without_a_loader_the_error_shows_who_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # Other tests of this process run the program.
    monkeypatch.setattr(credentials, "_process", credentials._Process())
    with pytest.raises(ConfigurationError, match="credentials cannot be loaded: aws-credentials/lab"):
        find_credentials(BLOCK)


def test_nothing_shows_a_secret() -> None:
    assert SECRET not in repr(stored(SECRET)) + str(stored())
    with pytest.raises(TypeError, match="are not pickled"):
        pickle.dumps(stored())
    with pytest.raises(TypeError):
        json.dumps(stored())


def test_a_session_asks_with_the_credentials_and_in_their_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-environment")
    session = make_session(None, Config(), credentials=stored())
    found = session.get_credentials().get_frozen_credentials()
    assert (found.access_key, found.secret_key, found.token) == ("key", SECRET, None)
    assert session.region_name == "eu-central-1"
    assert make_session(None, Config(), "us-west-2", stored()).region_name == "us-west-2"


def test_temporary_credentials_are_loaded_again_before_they_expire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The loader of this test ends with it.
    monkeypatch.setattr(credentials, "_process", credentials._Process())
    provide_credentials(lambda name: StoreCredentials(name, "renewed", SECRET, "second"))
    session = make_session(None, Config(), credentials=stored("first"))
    assert session.get_credentials().get_frozen_credentials().token == "first"
    monkeypatch.setattr(boto_session, "_RENEWED", timedelta(minutes=9))
    late = make_session(None, Config(), credentials=stored("first")).get_credentials()
    monkeypatch.setattr(boto_session, "_RENEWED", timedelta(minutes=20))
    found = late.get_frozen_credentials()
    assert (found.access_key, found.token) == ("renewed", "second")


def test_a_destination_has_the_sources_credentials_unless_it_has_its_own() -> None:
    def destination(**options: str) -> tuple[str | None, str | None, str | None]:
        access = Access.to_destination(PlateJob(source="s3://in/a", destination="s3://out/a", **options))
        return access.profile, access.credentials, access.endpoint_url

    assert destination(credentials=BLOCK, endpoint_url="http://s3") == (None, BLOCK, "http://s3")
    assert destination(credentials=BLOCK, destination_profile="out") == ("out", None, None)
    own = {"profile": "in", "endpoint_url": "http://s3", "destination_credentials": BLOCK}
    assert destination(**own) == (None, BLOCK, None)
    assert destination(**own, destination_endpoint_url="http://out") == (None, BLOCK, "http://out")
    assert Access.for_options(PlateJob(source="s3://in/a", destination="o", credentials=BLOCK)).credentials == BLOCK
