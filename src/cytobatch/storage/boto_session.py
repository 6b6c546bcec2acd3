"""Sessions of boto3 with cytobatch's client configuration."""

import functools
import io
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
from boto3.session import Session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials, RefreshableCredentials
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.loaders import Loader, create_loader

from cytobatch.storage.credentials import StoreCredentials, find_credentials
from cytobatch.storage.time_limits import TimeLimits, in_time

_BEGAN = "cytobatch_began"
_NO_SUCCESS, _SERVER_ERRORS = 300, 500
_LEAST_BYTES_A_SECOND = 32 * 2**10
"""An upload that is slower ends."""
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


def bound_requests(client: Any, limits: TimeLimits) -> None:
    """Make each request of a client end in time, and repeat it only within the time limits.

    botocore's own timeout begins anew with each byte, and its number of attempts bounds no time.
    """
    # What sends the requests has no public name. A handler of `before-send` may return the response in its place.
    send = client._endpoint.http_session.send

    def begin(params: Mapping[str, Any], **_: Any) -> None:
        params["context"][_BEGAN] = time.monotonic()

    def send_in_time(request: Any, **_: Any) -> Any:
        if isinstance(request.body, bytes | bytearray):
            # Bytes would be sent at once, within the time limit of a connection. A file is sent in small blocks.
            request.body = io.BytesIO(request.body)
        seconds = limits.request + int(request.headers.get("Content-Length", 0)) / _LEAST_BYTES_A_SECOND
        try:
            return in_time(lambda: _with_error(send(request)), seconds)
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error

    def check(
        request_dict: Mapping[str, Any],
        operation: Any,
        response: tuple[Any, Mapping[str, Any]] | None,
        caught_exception: Exception | None,
        **_: Any,
    ) -> None:
        if time.monotonic() - request_dict["context"][_BEGAN] < limits.retries:
            return
        if caught_exception is not None:
            raise caught_exception
        if response is not None and response[0].status_code >= _SERVER_ERRORS:
            raise ClientError(response[1], operation.name)

    events, service = client.meta.events, client.meta.service_model.service_id.hyphenize()
    events.register_first(f"before-call.{service}", begin)
    events.register_last(f"before-send.{service}", send_in_time)
    events.register_first(f"needs-retry.{service}", check)


def _with_error(response: Any) -> Any:
    """Return a response after the body of an error has come. botocore reads it later, without a time limit."""
    if response.status_code >= _NO_SUCCESS:
        # The response keeps it.
        bytes(response.content)
    return response


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
