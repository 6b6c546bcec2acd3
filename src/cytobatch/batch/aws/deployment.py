"""What Terraform set up, as `submit` and `status` need to know it: its output `deployment`."""

import json
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cytobatch.errors import JobSpecError


class Compute(StrEnum):
    """The kinds of machine that a queue has."""

    FARGATE = "fargate"
    FARGATE_SPOT = "fargate_spot"
    EC2_SPOT = "ec2_spot"


class Deployment(BaseModel):
    """Queues, job definitions and places of one deployment; `scratch_gib` is each kind's scratch disk in GiB.

    `jobs_uri` is where resolved specs go. A kind of machine that was not set up is in none of the mappings.
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
    def _every_kind_is_whole(self) -> Self:
        if not self.queues or not self.queues.keys() == self.definitions.keys() == self.scratch_gib.keys():
            raise ValueError("queues, definitions and scratch_gib must have the same kinds of compute, one at least")
        return self


def parse_deployment(text: str, where: str) -> Deployment:
    """A deployment from all of `terraform output -json`, or from its one output. Raises JobSpecError."""
    try:
        document: Any = json.loads(text)
        if isinstance(document, dict) and isinstance(document.get("deployment"), dict):
            document = document["deployment"].get("value", document["deployment"])
        return Deployment.model_validate(document)
    except json.JSONDecodeError as error:
        raise _error(where, str(error)) from error
    except ValidationError as error:
        raise _error(where, first_fault(error)) from error


def first_fault(error: ValidationError) -> str:
    """The first thing wrong with a file, and where in it."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    return f"{path}: {first['msg']}" if path else first["msg"]


def _error(where: str, why: str) -> JobSpecError:
    return JobSpecError(
        "no deployment",
        where=where,
        why=why,
        remedy="write it anew: terraform output -json > deployment.json, in the folder of the Terraform root",
    )
