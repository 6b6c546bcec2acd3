"""Sessions of boto3 that start and list sooner than its own. What is done here botocore does too, and more slowly."""

import contextlib
from collections.abc import Callable
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import botocore.session
from boto3.session import Session
from botocore.config import Config
from botocore.loaders import Loader
from botocore.utils import parse_timestamp


def make_session(profile: str | None, config: Config, region: str | None = None) -> Session:
    """A session with a profile's credentials, by default those of the environment, whose clients have this config.

    Without a region, that of the profile or the environment.
    """
    session = botocore.session.get_session()
    session.set_default_client_config(config)
    paths = session.get_component("data_loader").search_paths
    session.register_component("data_loader", Models(paths, include_default_search_paths=False))
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=time_of)
    return ClientSession(botocore_session=session, profile_name=profile, region_name=region)


class ClientSession(Session):  # type: ignore[misc]  # boto3 has no types
    """A session of boto3 that makes a resource when something is asked of it.

    cloudpathlib makes one beside each client of S3. It has a client of its own, and reading and listing need neither.
    """

    def resource(self, *args: Any, **said: Any) -> "Resource":
        """The resource, not made yet."""
        return Resource(partial(super().resource, *args, **said))


class Resource:
    """A resource of boto3 that is made by the first question."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Any:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)


class Models(Loader):  # type: ignore[misc]  # botocore's stubs have no loader
    """botocore's models of services.

    For a list of all services, of which a client needs one, it looks into a thousand folders first: a third of a
    client's making.
    """

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002  that is seen when it is loaded
        """The names of all folders with models."""
        roots = [root for path in self.search_paths if (root := Path(path)).is_dir()]
        return sorted(folder.name for root in roots for folder in root.iterdir())


def time_of(said: object) -> datetime:
    """When an answer says; S3 lists thousands of objects with such times, for which dateutil takes half of all time."""
    if isinstance(said, str) and said.endswith("Z"):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(said)
    parsed: datetime = parse_timestamp(said)
    return parsed
