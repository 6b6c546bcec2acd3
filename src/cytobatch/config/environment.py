"""What the environment says. The only reader of environment variables, and the only writer (for Prefect's sake)."""

import os
from collections.abc import Mapping

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cytobatch.config.job_spec import nearest, spec_error
from cytobatch.config.options import PlateOptions
from cytobatch.errors import JobSpecError

PREFIX = "CYTOBATCH_"


class Settings(PlateOptions, BaseSettings):
    """Every option of a plate as `CYTOBATCH_<NAME>`, and where the job spec is."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, enable_decoding=False, extra="ignore", frozen=True
    )

    job_spec: str | None = Field(None, min_length=1)
    """A job spec: a path, a URI, or the JSON itself."""
    deployment: str | None = Field(None, min_length=1)
    """What Terraform set up, for `submit` and `status`: a path or URI of `terraform output -json`."""
    debug: bool = False
    """Show tracebacks."""


class BatchSettings(BaseSettings):
    """What AWS Batch tells a job's container."""

    model_config = SettingsConfigDict(env_prefix="AWS_BATCH_", env_ignore_empty=True, extra="ignore", frozen=True)

    job_array_index: int | None = Field(None, ge=0)


class PrefectSettings(BaseSettings):
    """Whether the user has a Prefect server."""

    model_config = SettingsConfigDict(env_prefix="PREFECT_", env_ignore_empty=True, extra="ignore", frozen=True)

    api_url: str | None = None


def read_settings() -> Settings:
    """The settings. Raises JobSpecError for a bad value, or a `CYTOBATCH_` variable that no option has."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            raise JobSpecError(
                f"unknown environment variable {variable}",
                where="environment",
                why="no option has that name",
                remedy=nearest(variable.upper(), known) or "see `cytobatch run --help` for the options",
            )
    try:
        return Settings()
    except ValidationError as error:
        raise spec_error(error, f"environment ({PREFIX}*)") from error


def debugging() -> bool:
    """Whether CYTOBATCH_DEBUG asks for tracebacks; a value that cannot be read does."""
    value = os.environ.get(f"{PREFIX}DEBUG", "").strip().lower()
    return value not in ("", "0", "false", "no", "off")


def read_batch_settings() -> BatchSettings:
    """What AWS Batch says of this job; all None elsewhere."""
    try:
        return BatchSettings()
    except ValidationError as error:
        raise spec_error(error, "environment (AWS_BATCH_*)") from error


def prefect_server_is_given() -> bool:
    """Whether PREFECT_API_URL names a server to report to."""
    return PrefectSettings().api_url is not None


def set_environment_defaults(values: Mapping[str, str]) -> None:
    """Sets variables that are not set yet: Prefect reads its own settings from nowhere else."""
    for name, value in values.items():
        os.environ.setdefault(name, value)


def set_environment(values: Mapping[str, str]) -> None:
    """Sets variables, whatever they were."""
    os.environ.update(values)
