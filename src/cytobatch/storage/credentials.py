"""Credentials by name, in memory only. Another room loads them, because they are kept by a service that it knows.

What is recorded, sent or logged has the name alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from cytobatch.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class StoreCredentials:
    """Credentials of an S3 API. They can be neither printed nor pickled.

    Attributes
    ----------
    name
        The name by which they were found.
    token
        The token of temporary credentials, which are loaded again before they expire.
    region, endpoint_url
        Region and URL of the API, None for the usual ones.
    """

    name: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    region: str | None = None
    endpoint_url: str | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"the credentials {self.name} are not pickled, because they are secret")


CredentialsLoader = Callable[[str], StoreCredentials]
"""Loads credentials by their name. Raises a CytobatchError if it cannot."""


def _load_nothing(name: str) -> StoreCredentials:
    raise ConfigurationError(
        "credentials cannot be loaded",
        where=name,
        why="they are a block of Prefect's server, and Prefect is not used here",
        remedy="name an AWS profile, or convert the plate by `cytobatch run`",
    )


@dataclass(slots=True)
class _Process:
    """This process, and its loader of credentials."""

    load: CredentialsLoader = _load_nothing


_process = _Process()


def provide_credentials(load: CredentialsLoader) -> None:
    """Make a function the loader of credentials in this process. Several threads may call it at once."""
    _process.load = load


def credentials_are_provided() -> bool:
    """Return whether this process has a loader of credentials."""
    return _process.load is not _load_nothing


def find_credentials(name: str) -> StoreCredentials:
    """Return the credentials of a name. Raises the errors of the loader."""
    return _process.load(name)
