"""The job spec as its author wrote it, and the error messages for an invalid one."""

import difflib
from collections.abc import Iterable, Mapping, Sized

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.config.presets.catalog import PresetName
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


_LONGEST_NAME = 100


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` with the known name nearest to a wrong one, or an empty text."""
    close = difflib.get_close_matches(name[:_LONGEST_NAME], list(known), n=1, cutoff=0.6)
    return f"did you mean {str(close[0])!r}?" if close else ""


def spec_error(error: ValidationError, where: str) -> JobSpecError:
    """Return the first error of a spec, an environment or a set of flags as one message."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    name = str(first["loc"][-1]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        known = JobSpec.model_fields if len(first["loc"]) == 1 else PlateOptions.model_fields
        return JobSpecError(
            f"unknown key {path!r}",
            where=where,
            why="no such option",
            remedy=nearest(name, known) or f"known keys: {', '.join(known)}",
        )
    if name == "preset":
        return JobSpecError(
            f"unknown preset {first['input']!r}",
            where=where,
            why="no preset has that name",
            remedy=nearest(str(first["input"]), PresetName) or f"presets: {', '.join(PresetName)}",
        )
    message = str(first.get("ctx", {}).get("error", first["msg"]))
    option, _, why = (path, "", message) if path else message.partition(": ")
    return JobSpecError(
        f"bad value for {option!r}", where=where, why=why, remedy="see `cytobatch schema` for what it takes"
    )


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
    return key in JobSpec.model_fields or bool(nearest(str(key), JobSpec.model_fields))


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
        raise spec_error(error, where) from error
