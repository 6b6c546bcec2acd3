"""Profiles that several tests compare theirs with, each converted once in a process."""

from collections.abc import Callable, Hashable
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.plates import convert

ProfileOf = Callable[..., pa.Table]
"""The type of the fixture `profile_of`."""


@pytest.fixture(scope="session")
def profile_of(tmp_path_factory: pytest.TempPathFactory) -> ProfileOf:
    """Returns the profile of the source that a function writes into a folder, by a name of the source's own."""
    profiles: dict[Hashable, pa.Table] = {}

    def profile(name: str, write: Callable[[Path], object], **options: Hashable) -> pa.Table:
        key = (name, *sorted(options.items()))
        if key not in profiles:
            folder = tmp_path_factory.mktemp("profile")
            write(folder / "in")
            profiles[key] = convert(folder / "in", folder / "out", **options)[0]
        return profiles[key]

    return profile
