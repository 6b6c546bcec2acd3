"""What a job spec from a bucket may name.

Whoever may write to the bucket writes the spec, and is a stranger to the machine that runs it: without limits the spec
would choose the files, folders, identities and hosts of that machine. Flags, variables and specs of this machine have
no such limits, because who gives them may run any program here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from cytobatch.config.job_spec import JobSpec
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.config.task_runner import TaskRunner
from cytobatch.config.uris import bucket_of, has_dot_segments, is_remote, is_within
from cytobatch.errors import JobSpecError

_LOCATIONS = ("source", "destination", "platemap", "load_data")
_NAMES = ("plate", "batch")
_OF_THE_RUN = {
    "endpoint_url": "the API of a store",
    "destination_endpoint_url": "the API of a store",
    "profile": "an AWS profile",
    "destination_profile": "an AWS profile",
    "credentials": "credentials",
    "destination_credentials": "credentials",
    "cache_dir": "a folder of this machine",
    "cache_mode": "how this machine keeps fetched files",
    "scratch_dir": "a folder of this machine",
}
"""The options that a spec from a bucket does not name, and what each of them is."""
_TRUST = "if you trust everybody who may write to the spec's bucket, set CYTOBATCH_TRUST_SPEC=true"

Folders = Callable[[PlateOptions, str], list[str]]


@dataclass(frozen=True, slots=True)
class ForeignSpec:
    """The limits of one spec from a bucket.

    Attributes
    ----------
    uri
        The URI of the spec.
    locations
        The buckets and folders of buckets that it may name.
    """

    uri: str
    locations: tuple[str, ...]

    @classmethod
    def limits(cls, uri: str, given: PlateOptions, allowed: Sequence[str]) -> Self:
        """Return the limits of the spec at a URI.

        It may name its own bucket, the buckets that the options `given` by flags and environment name, and the
        `allowed` locations.
        """
        named = (uri, *(getattr(given, name) for name in _LOCATIONS))
        buckets = (bucket_of(location) for location in named if location is not None and is_remote(location))
        # A bucket with a template in its name would be the spec's to choose.
        return cls(uri, tuple(dict.fromkeys([*(each for each in buckets if "{" not in each), *allowed])))

    def check_spec(self, spec: JobSpec) -> None:
        """Check what a spec names itself, before anything is listed. Raises JobSpecError."""
        for number, options in enumerate((spec.defaults, *spec.plates)):
            entry = f"{self.uri}, {f'plates.{number - 1}' if number else 'defaults'}"
            for name, value, why in _unsafe(options):
                raise JobSpecError(
                    f"a job spec from a bucket may not have this {name!r}",
                    where=entry,
                    why=f"{str(value)!r} is {why}",
                    remedy=f"give it as a flag or a variable, not in the spec; {_TRUST}",
                )

    def check_job(self, job: PlateJob) -> None:
        """Check the locations of a plate, with all names filled in. Raises JobSpecError."""
        for name in _LOCATIONS:
            location = getattr(job, name)
            if location is not None and is_remote(location):
                self.check_location(name, location)

    def check_location(self, option: str, location: str) -> None:
        """Raise JobSpecError if the spec may not name a location in a bucket."""
        if has_dot_segments(location) or not any(is_within(location, allowed) for allowed in self.locations):
            raise JobSpecError(
                f"the {option!r} of a job spec from a bucket is outside the buckets of this run",
                where=self.uri,
                why=f"it is {location!r}, and the spec may name {', '.join(self.locations)}",
                remedy=f"allow it with CYTOBATCH_SPEC_LOCATIONS={bucket_of(location)}; {_TRUST}",
            )

    def listing(self, folders: Folders) -> Folders:
        """Return `folders`, which lists folders, for the locations alone that the spec may name."""

        def checked(options: PlateOptions, uri: str) -> list[str]:
            if is_remote(uri):
                self.check_location("source", uri)
            return folders(options, uri)

        return checked


def _unsafe(options: PlateOptions) -> Iterator[tuple[str, object, str]]:
    """Yield each option that a spec from a bucket may not have, with its value and what it is."""
    for name, value in options.explicit().items():
        if name in _OF_THE_RUN:
            yield name, value, _OF_THE_RUN[name]
        elif name in _LOCATIONS and not is_remote(value):
            yield name, value, "a path of this machine"
        elif name in _NAMES and ("/" in value or has_dot_segments(value)):
            yield name, value, "a path, not a name"
        elif name == "task_runner" and not TaskRunner.parse(value).is_on_this_machine:
            yield name, value, "a cluster of its own choice"
        elif (name == "requester_pays" and value) or (name == "extra_args" and "RequestPayer" in value):
            yield name, value, "an agreement to pay for what is read"
