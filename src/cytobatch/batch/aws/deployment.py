"""What Terraform set up: its output `deployment` for `submit` and `status`, and `prefect_pool` for a pool on ECS."""

import json
from enum import StrEnum
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cytobatch.errors import JobSpecError

Output = TypeVar("Output", bound=BaseModel)


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


class PrefectPool(BaseModel):
    """The tasks of a work pool of Prefect on ECS: roles, network, image, log group, and size.

    `cluster` is the ECS cluster, None for the account's own "default"; `scratch_gib` the disk of a task in GiB.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(min_length=1)
    region: str = Field(min_length=1)
    image: str = Field(min_length=1)
    cluster: str | None = None
    vpc_id: str = Field(min_length=1)
    subnet_ids: tuple[str, ...] = Field(min_length=1)
    security_group_ids: tuple[str, ...] = ()
    assign_public_ip: bool
    job_role_arn: str = Field(min_length=1)
    execution_role_arn: str = Field(min_length=1)
    log_group: str = Field(min_length=1)
    vcpus: int = Field(ge=1)
    memory_mib: int = Field(ge=1024)
    scratch_gib: int = Field(ge=21, le=200)


def parse_deployment(text: str, where: str) -> Deployment:
    """Parse all of `terraform output -json`, or its output `deployment` alone. Raises JobSpecError."""
    return _parsed(Deployment, "deployment", text, where)


def parse_prefect_pool(text: str, where: str) -> PrefectPool:
    """Parse all of `terraform output -json`, or its output `prefect_pool` alone. Raises JobSpecError."""
    return _parsed(PrefectPool, "prefect_pool", text, where)


def _parsed(kind: type[Output], name: str, text: str, where: str) -> Output:
    try:
        document: Any = json.loads(text)
        if isinstance(document, dict) and isinstance(document.get(name), dict):
            document = document[name].get("value", document[name])
        return kind.model_validate(document)
    except ValidationError as error:
        raise _error(name, where, first_error(error)) from error
    except ValueError as error:
        # Not valid JSON, or a number of thousands of digits. The words of the error have nothing of the content.
        raise _error(name, where, str(error)) from error
    except RecursionError as error:
        raise _error(name, where, "its values are nested too deep") from error


def first_error(error: ValidationError) -> str:
    """Return the first error of a file, with its position in it."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    return f"{path}: {first['msg']}" if path else first["msg"]


def _error(name: str, where: str, why: str) -> JobSpecError:
    return JobSpecError(
        f"no {name}",
        where=where,
        why=why,
        remedy="write it again: terraform output -json > deployment.json, in the folder of the Terraform root",
    )
