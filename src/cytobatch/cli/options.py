"""Flags, resolved with environment and job spec to plates."""

from collections.abc import Mapping
from typing import Any

from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.pipeline import resolve_jobs as resolve

_ORIGIN = "command line"


def resolve_jobs(options: PlateOptions, job_spec: str | None) -> list[PlateJob]:
    """Return the plates to convert, from flags, environment and spec. Raises JobSpecError, StorageError."""
    return resolve.resolve_jobs(resolve.parse_options(_as_text(options.explicit()), _ORIGIN), job_spec, _ORIGIN)


def _as_text(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return flags with lists of texts as one text, as in the environment: `--compartments cells,nuclei`."""
    return {
        name: ",".join(value) if isinstance(value, tuple) and all(type(item) is str for item in value) else value
        for name, value in options.items()
    }
