"""Resolve options, environment and job spec to the plates that a process converts.

An option given directly (a flag, or a keyword of the API) wins over the environment, the environment over the job spec.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from pydantic import ValidationError

from cytobatch.config.bad_values import OptionConflictError
from cytobatch.config.credentials import check_credentials
from cytobatch.config.environment import Settings, read_batch_settings, read_settings
from cytobatch.config.expand import plate_jobs
from cytobatch.config.foreign_spec import ForeignSpec
from cytobatch.config.job_spec import JobSpec, parse_spec, spec_of
from cytobatch.config.option_errors import NameOf, option_error
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.config.uris import is_remote
from cytobatch.errors import ConfigurationError, JobSpecError
from cytobatch.report.lines import shortened
from cytobatch.storage.access import Access
from cytobatch.storage.source import list_folders
from cytobatch.storage.spec_file import read_spec

_SPEC = "job spec"
_PLATES_SHOWN = 10


@runtime_checkable
class PathLike(Protocol):
    """A path of any kind: `pathlib`'s, or one of an object store whose text is its URI."""

    def __fspath__(self) -> str:
        """Return the path on the local disk."""


def resolve_jobs(
    options: PlateOptions,
    job_spec: str | Mapping[str, Any] | None,
    origin: str,
    array_index: int | None = None,
) -> list[PlateJob]:
    """Return the plates to convert.

    Parameters
    ----------
    options : PlateOptions
        Options given directly.
    job_spec : str, mapping or None
        A path, a URI, JSON text, or the document itself. None takes `CYTOBATCH_JOB_SPEC`, if it is set.
    origin : str
        Where the options come from, for messages: "command line" or "keyword arguments".
    array_index : int, optional
        The position of one plate, from 0. None takes `AWS_BATCH_JOB_ARRAY_INDEX`, if it is set.

    Raises
    ------
    JobSpecError
        If an option, a variable or the spec is not valid, or a spec from a bucket names what it may not.
    SourceNotFoundError
        If a pattern matches no plate.
    StorageError
        If the spec cannot be read.
    """
    settings = read_settings()
    overrides = PlateOptions(**(settings.explicit() | options.explicit()))
    document = settings.job_spec if job_spec in (None, "") else job_spec
    spec = None if document is None else load_spec(document, settings, options)
    where = f"{origin} and environment" if document is None else _name_of(document)
    index = read_batch_settings().job_array_index if array_index is None else array_index
    if spec is None or settings.trust_spec or not _is_in_bucket(document):
        return plate_jobs(spec, overrides, index, where, folders_at)
    foreign = ForeignSpec.limits(where, overrides, settings.spec_locations)
    foreign.check_spec(spec)
    jobs = plate_jobs(spec, overrides, index, where, foreign.listing(folders_at))
    for job in jobs:
        foreign.check_job(job)
    return jobs


def jobs_of_spec(spec: JobSpec, origin: str) -> list[PlateJob]:
    """Return the plates of a spec that is a parameter, with the environment of this process unless it is `resolved`.

    Raises JobSpecError, SourceNotFoundError and StorageError as `resolve_jobs` does.
    """
    if spec.resolved:
        return [PlateJob.model_validate(spec.defaults.explicit() | plate.explicit()) for plate in spec.plates]
    return resolve_jobs(PlateOptions(), spec.model_dump(mode="json", exclude_unset=True), origin)


def only_job(jobs: Sequence[PlateJob], where: str, remedy: str) -> PlateJob:
    """Return the one plate of a call that converts one. Raises ConfigurationError for several, which it names."""
    if len(jobs) == 1:
        return jobs[0]
    raise ConfigurationError(
        f"{len(jobs)} plates match, but one is expected",
        where=where,
        why=f"they are {shortened([job.label for job in jobs], _PLATES_SHOWN)}",
        remedy=remedy,
    )


def parse_options(values: Mapping[str, Any], origin: str, name_of: NameOf = repr) -> PlateOptions:
    """Return options from values or their text forms.

    Raises JobSpecError for a value that is not valid, with the option as `name_of` writes it.
    """
    try:
        return PlateOptions(**{name: path_as_text(value) for name, value in values.items()})
    except ValidationError as error:
        raise option_error(error, origin, name_of=name_of) from error


def access_options(given: Mapping[str, Any], origin: str) -> PlateOptions:
    """Return options of access that are given directly, over those of the environment. Raises JobSpecError."""
    options = parse_options({name: value for name, value in given.items() if value is not None}, origin)
    return PlateOptions(**(read_settings().explicit() | options.explicit()))


def load_spec(document: str | Mapping[str, Any], settings: Settings, options: PlateOptions) -> JobSpec:
    """Return a job spec from a path, a URI, JSON text or a mapping. Raises JobSpecError and StorageError."""
    if not isinstance(document, str):
        return spec_of(path_as_text(document), _SPEC)
    if _is_json(document):
        return parse_spec(document, _SPEC)
    return parse_spec(read_spec(document, explicit_access(settings, options)), document)


def path_as_text(value: Any) -> Any:
    """Return a value with paths as text, also within mappings and lists; the text of a cloud path is its URI."""
    if isinstance(value, PathLike):
        return str(value)
    if isinstance(value, Mapping):
        return {name: path_as_text(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [path_as_text(item) for item in value]
    return value


def folders_at(options: PlateOptions, uri: str) -> list[str]:
    """Return the names of the folders in a folder, reached with the access that the options give to a source."""
    return list_folders(uri, Access.for_options(options))


def explicit_access(settings: Settings, options: PlateOptions) -> Access:
    """Return the access to specs, deployments and prices: that of a source by flags and environment, always signed."""
    explicit = settings.explicit() | options.explicit()
    profile, credentials = explicit.get("profile"), explicit.get("credentials")
    try:
        check_credentials(profile, credentials)
    except OptionConflictError as error:
        raise JobSpecError(
            "bad value for 'credentials'",
            where="command line and environment",
            why=error.why,
            remedy=error.remedy,
        ) from error
    return Access(profile, credentials, explicit.get("endpoint_url"))


def _is_json(document: str) -> bool:
    return document.lstrip().startswith("{")


def _is_in_bucket(document: str | Mapping[str, Any] | None) -> bool:
    return isinstance(document, str) and not _is_json(document) and is_remote(document)


def _name_of(document: str | Mapping[str, Any]) -> str:
    return document if isinstance(document, str) and not _is_json(document) else _SPEC
