"""The job spec as its author wrote it."""

from collections.abc import Iterable, Mapping, Sized

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cytobatch.config.option_errors import nearest, option_error
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.config.spec_text import parse_document
from cytobatch.errors import JobSpecError

MOST_PLATES = 100_000
"""AWS Batch takes arrays of 10,000; a spec of this many plates has tens of megabytes."""


class JobSpec(BaseModel):
    """One or many plates and what they share."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    version: int = Field(1, ge=1, le=1)
    """The job spec's format."""
    defaults: PlateOptions = PlateOptions()
    """Options that hold for every plate that does not say otherwise."""
    resolved: bool = False
    """As `cytobatch submit` writes it: every plate says all there is to say, and no name is a pattern or a template."""
    plates: tuple[PlateOptions, ...] = Field(min_length=1)
    """The plates; AWS_BATCH_JOB_ARRAY_INDEX counts them from 0."""


# Identities, folders and resources of one machine have no meaning on another.
_OF_THIS_MACHINE = (
    "profile",
    "destination_profile",
    "credentials",
    "destination_credentials",
    "cache_dir",
    "cache_mode",
    "scratch_dir",
    "workers",
    "memory",
    "task_runner",
)


def resolved_spec(jobs: Iterable[PlateJob]) -> JobSpec:
    """Return a spec of the same plates with all of their explicit options, for a process on another machine.

    It leaves out the AWS profiles, credentials, folders, CPUs, memory and task runner of this machine.
    """
    plates = [job.model_dump(mode="json", exclude_unset=True, exclude=set(_OF_THIS_MACHINE)) for job in jobs]
    return JobSpec(resolved=True, plates=tuple(PlateOptions.model_validate(plate) for plate in plates))


def parse_spec(text: str, where: str) -> JobSpec:
    """Parse a job spec from JSON or YAML text. Raises JobSpecError with the defect and `where` the text came from."""
    document = parse_document(text, where)
    # Nothing of the content is shown, because any file may be given for a spec, also one with passwords.
    if not isinstance(document, dict) or not any(map(_may_be_key, document)):
        raise JobSpecError(
            "job spec has no key of a spec" if isinstance(document, dict) else "job spec is no mapping",
            where=where,
            why=f"it holds a {type(document).__name__}",
            remedy='write {"plates": [{"source": …, "destination": …}]}',
        )
    return spec_of(document, where)


def _may_be_key(key: object) -> bool:
    """Return whether a key is one of a spec, or a misspelt one."""
    is_key = key in JobSpec.model_fields or key in PlateOptions.model_fields
    return is_key or bool(nearest(str(key), JobSpec.model_fields))


def spec_of(document: object, where: str) -> JobSpec:
    """Return the job spec of a document. Raises JobSpecError with the defect and `where` the document came from."""
    plates = document.get("plates") if isinstance(document, Mapping) else None
    if isinstance(plates, Sized) and len(plates) > MOST_PLATES:
        raise JobSpecError(
            "too many plates",
            where=where,
            why=f"the job spec has {len(plates)}, more than {MOST_PLATES}",
            remedy="write several specs",
        )
    try:
        return JobSpec.model_validate(document)
    except ValidationError as error:
        raise option_error(error, where, fields=JobSpec.model_fields) from error
