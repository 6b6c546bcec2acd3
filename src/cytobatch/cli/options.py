"""Options from flags, environment and job spec, resolved to plates."""

from collections.abc import Mapping
from typing import Any

from cytobatch.config.environment import Settings, read_batch_settings, read_settings
from cytobatch.config.expand import plate_jobs
from cytobatch.config.job_spec import JobSpec, parse_spec
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.storage.access import Access, read_text
from cytobatch.storage.source import list_folders


def resolve_jobs(options: PlateOptions, job_spec: str | None) -> list[PlateJob]:
    """Return the plates to convert, from flags, environment and spec. Raises JobSpecError, StorageError."""
    settings = read_settings()
    overrides = PlateOptions(**(settings.explicit() | _as_text(options.explicit())))
    uri = job_spec or settings.job_spec
    spec = load_spec(uri, settings, options) if uri else None
    where = "command line and environment" if uri is None else "job spec" if _is_json(uri) else uri
    return plate_jobs(spec, overrides, read_batch_settings().job_array_index, where, list_folders_at)


def _as_text(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return flags with lists of texts as one text, as in the environment: `--compartments cells,nuclei`."""
    return {
        name: ",".join(value) if isinstance(value, tuple) and all(type(item) is str for item in value) else value
        for name, value in options.items()
    }


def _is_json(uri: str) -> bool:
    """Return whether a job spec is given as text in place of its location."""
    return uri.lstrip().startswith("{")


def list_folders_at(options: PlateOptions, uri: str) -> list[str]:
    """List the names of a folder's subfolders, with the options' access."""
    return list_folders(uri, Access.for_options(options))


def load_spec(uri: str, settings: Settings, options: PlateOptions) -> JobSpec:
    """Read a job spec from a path, a URI or the text itself. Raises JobSpecError, StorageError."""
    if _is_json(uri):
        return parse_spec(uri, "job spec")
    return parse_spec(read_text(uri, explicit_access(settings, options)), uri)


def explicit_access(settings: Settings, options: PlateOptions) -> Access:
    """Return the access to specs, deployments and prices: the profile and endpoint of a source, but always signed."""
    explicit = settings.explicit() | options.explicit()
    return Access(explicit.get("profile"), explicit.get("endpoint_url"))
