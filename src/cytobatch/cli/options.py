"""Flags, resolved with environment and job spec to plates."""

from collections.abc import Mapping
from typing import Any

from cytobatch.cli.flags import RunFlags, SpecFlags
from cytobatch.config.option_errors import flag_of
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.errors import JobSpecError
from cytobatch.pipeline import resolve_jobs as resolve

_ORIGIN = "command line"


def resolve_jobs(options: PlateOptions, spec: SpecFlags) -> list[PlateJob]:
    """Return the plates to convert, from flags, environment and spec. Raises JobSpecError, StorageError."""
    given = _as_text(options.explicit())
    if isinstance(spec, RunFlags) and spec.force:
        given = _forced(given)
    return resolve.resolve_jobs(resolve.parse_options(given, _ORIGIN, flag_of), spec.job_spec, _ORIGIN)


def _forced(given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("skip_done"):
        raise JobSpecError(
            "--force and --skip-done are given",
            where=_ORIGIN,
            why="one converts plates again that are up to date, the other leaves them alone",
            remedy="drop one of the two",
        )
    return {**given, "skip_done": False}


def _as_text(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return flags with lists of texts as one text, as in the environment: `--compartments cells,nuclei`."""
    return {
        name: ",".join(value) if isinstance(value, tuple) and all(type(item) is str for item in value) else value
        for name, value in options.items()
    }
