"""The Terraform deployment that `submit` and `status` use: its output `deployment`."""

import json
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cytobatch.errors import JobSpecError


class Compute(StrEnum):
    """The kinds of machine of a queue."""

    FARGATE = "fargate"
    FARGATE_SPOT = "fargate_spot"
    EC2_SPOT = "ec2_spot"


class Deployment(BaseModel):
    """Queues, job definitions and URIs of one deployment; `scratch_gib` is each kind's scratch disk in GiB.

    `jobs_uri` is the folder of resolved specs. The mappings lack a kind of machine that was not set up.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(min_length=1)
    region: str = Field(min_length=1)
    jobs_uri: str = Field(pattern=r"^s3://[^/]+")
    source_uri: str
    destination_uri: str
    log_group: str = Field(min_length=1)
    queues: dict[Compute, str]
    definitions: dict[Compute, str]
    scratch_gib: dict[Compute, int]
    share_identifier: str | None = None

    @model_validator(mode="after")
    def _check_kinds(self) -> Self:
        if not self.queues or not self.queues.keys() == self.definitions.keys() == self.scratch_gib.keys():
            raise ValueError("queues, definitions and scratch_gib must have the same kinds of compute, one at least")
        return self


def parse_deployment(text: str, where: str) -> Deployment:
    """Parse all of `terraform output -json`, or its output `deployment` alone. Raises JobSpecError."""
    try:
        document: Any = json.loads(text)
        if isinstance(document, dict) and isinstance(document.get("deployment"), dict):
            document = document["deployment"].get("value", document["deployment"])
        return Deployment.model_validate(document)
    except ValidationError as error:
        raise _error(where, first_error(error)) from error
    except ValueError as error:
        # Not valid JSON, or a number of thousands of digits. The words of the error have nothing of the content.
        raise _error(where, str(error)) from error
    except RecursionError as error:
        raise _error(where, "its values are nested too deep") from error


def first_error(error: ValidationError) -> str:
    """Return the first error of a file, with its position in it."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    return f"{path}: {first['msg']}" if path else first["msg"]


def _error(where: str, why: str) -> JobSpecError:
    return JobSpecError(
        "no deployment",
        where=where,
        why=why,
        remedy="write it again: terraform output -json > deployment.json, in the folder of the Terraform root",
    )
