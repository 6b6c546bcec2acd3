"""The settings that environment variables give, as validated models."""

from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cytobatch.config.log_format import LogFormat
from cytobatch.config.option_errors import nearest, option_error
from cytobatch.config.option_groups import COMMON, OptionGroup
from cytobatch.config.option_types import StoreLocations
from cytobatch.config.options import PlateOptions
from cytobatch.config.variables import PREFIX, variables_with
from cytobatch.errors import JobSpecError

_AWS_BATCH = "AWS_BATCH_"


class Settings(PlateOptions, BaseSettings):
    """Every option of a plate as `CYTOBATCH_<NAME>`, and the location of the job spec."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, enable_decoding=False, extra="ignore", frozen=True
    )

    job_spec: Annotated[str | None, OptionGroup.JOB_SPEC, COMMON] = Field(None, min_length=1)
    """A job spec: a path, a URI, or the JSON itself."""
    spec_locations: Annotated[StoreLocations, OptionGroup.JOB_SPEC] = ()
    """Buckets, and folders of buckets, that a job spec from a bucket may name beside its own bucket and those of flags
    and variables."""
    trust_spec: Annotated[bool, OptionGroup.JOB_SPEC] = False
    """Let a job spec from a bucket name everything that one of this machine may name."""
    deployment: Annotated[str | None, OptionGroup.AWS_BATCH] = Field(None, min_length=1)
    """The Terraform deployment for `submit` and `status`: a path or URI of `terraform output -json`."""
    debug: Annotated[bool, OptionGroup.PROGRAM] = False
    """Show tracebacks."""
    log_format: Annotated[LogFormat, OptionGroup.PROGRAM] = LogFormat.TEXT
    """How events are written: text or json."""
    quiet: Annotated[bool, OptionGroup.PROGRAM] = False
    """Write errors alone."""
    verbose: Annotated[bool, OptionGroup.PROGRAM] = False
    """Write the outcome of each table, and the seconds of each step, too."""


class BatchSettings(BaseSettings):
    """The variables that AWS Batch sets in a job's container."""

    model_config = SettingsConfigDict(env_prefix=_AWS_BATCH, env_ignore_empty=True, extra="ignore", frozen=True)

    job_id: str | None = None
    job_array_index: int | None = Field(None, ge=0)


class PrefectSettings(BaseSettings):
    """The Prefect server that the user has, if any."""

    model_config = SettingsConfigDict(env_prefix="PREFECT_", env_ignore_empty=True, extra="ignore", frozen=True)

    api_url: str | None = None


def variable_of(option: str) -> str:
    """Return the environment variable of an option."""
    return f"{PREFIX}{option.upper()}"


def read_settings() -> Settings:
    """Return the settings. Raises JobSpecError for a bad value, and for a `CYTOBATCH_` variable without an option."""
    known = {variable_of(name) for name in Settings.model_fields}
    for variable in variables_with(PREFIX):
        if variable.upper() not in known:
            raise JobSpecError(
                f"unknown environment variable {variable}",
                where="environment",
                why="no option has that name",
                remedy=nearest(variable.upper(), known) or "remove it; `cytobatch run --help-all` lists the options",
            )
    try:
        return Settings()
    except ValidationError as error:
        raise option_error(error, "environment", name_of=variable_of, fields=Settings.model_fields) from error


def read_batch_settings() -> BatchSettings:
    """Return the settings of this AWS Batch job; all are None elsewhere. Raises JobSpecError for a bad value."""
    try:
        return BatchSettings()
    except ValidationError as error:
        raise option_error(
            error,
            "environment",
            name_of=lambda name: f"{_AWS_BATCH}{name.upper()}",
            fields=BatchSettings.model_fields,
        ) from error


def prefect_server_is_given() -> bool:
    """Return whether PREFECT_API_URL names a server to report to."""
    return PrefectSettings().api_url is not None
