"""Sessions of boto3 that start and list sooner than its own. What is done here botocore does too, and more slowly."""

import contextlib
from datetime import datetime
from pathlib import Path

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
    return Session(botocore_session=session, profile_name=profile, region_name=region)


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
