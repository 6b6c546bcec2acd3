"""Sessions of boto3 with cytobatch's client configuration."""

import functools
from datetime import UTC, datetime, timedelta

import botocore.session
from boto3.session import Session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials, RefreshableCredentials
from botocore.loaders import Loader, create_loader

from cytobatch.storage.credentials import StoreCredentials, find_credentials

_RENEWED = timedelta(minutes=20)
"""botocore renews credentials from 15 minutes before they expire on. Those with a token last 15 minutes at least."""


def make_session(
    profile: str | None, config: Config, region: str | None = None, credentials: StoreCredentials | None = None
) -> Session:
    """Return a session whose clients have this configuration.

    Credentials are those given, or those of the profile, by default those of the environment. The region is the given
    one, else that of the credentials, the profile or the environment.
    """
    session = botocore.session.get_session()
    session.set_default_client_config(config)
    session.register_component("data_loader", _model_loader(session.get_config_variable("data_path")))
    if credentials:
        session.register_component("credential_provider", CredentialResolver([_Provider(credentials)]))
        region = region or credentials.region
    return Session(botocore_session=session, profile_name=profile, region_name=region)


class _Provider(CredentialProvider):  # type: ignore[misc]
    """The only provider of a session that has credentials of its own."""

    METHOD = "cytobatch"

    def __init__(self, credentials: StoreCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Credentials:
        """Return botocore's form of the credentials. Temporary ones are loaded again by their name in time."""
        own = self._credentials
        if own.token is None:
            return Credentials(own.access_key, own.secret_key, method=self.METHOD)
        return RefreshableCredentials.create_from_metadata(
            _metadata(own), refresh_using=lambda: _metadata(find_credentials(own.name)), method=self.METHOD
        )


def _metadata(credentials: StoreCredentials) -> dict[str, str | None]:
    return {
        "access_key": credentials.access_key,
        "secret_key": credentials.secret_key,
        "token": credentials.token,
        "expiry_time": (datetime.now(UTC) + _RENEWED).isoformat(),
    }


@functools.cache
def _model_loader(data_path: str | None) -> Loader:
    """Return botocore's loader of service models, one for all sessions because it keeps what it has read.

    A run has two clients of S3, for source and destination. The first takes 77 ms of CPU, the second 18; with a loader
    of its own it would take 90.
    """
    return create_loader(data_path)
