"""The minimal example applied, planned again and destroyed, with an upload in it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.emulator.server import aws_emulator, missing_modules
from tests.support.emulator.start import Emulator
from tests.support.emulator.terraform import Terraform, copied, point_at

UNATTENDED = ("-auto-approve", "-input=false", "-no-color")


@dataclass(frozen=True)
class Life:
    """The observations: the account's content before, between and after, and the output of Terraform."""

    before: list[str]
    applied: list[str]
    after: list[str]
    deployment: dict[str, Any]
    second_plan: subprocess.CompletedProcess[str]
    resources: list[str]  # in the state at the end


@contextmanager
def minimal_example_life(folder: Path) -> Iterator[Life]:
    """Apply and destroy the minimal example on an emulator of its own, and yield what was observed.

    Skips if the emulator, Terraform or its provider is missing. It takes three minutes, mostly of waiting.
    """
    missing = missing_modules()
    if missing:
        pytest.skip(missing)
    example = copied(folder) / "examples/minimal"
    with aws_emulator(folder) as url:
        point_at(example, url)
        yield _live(Terraform(example), Emulator(url, None, folder / "emulator.log"))


def _live(terraform: Terraform, emulator: Emulator) -> Life:
    before = in_account(emulator)
    terraform.init()
    terraform.apply()
    applied, deployment = in_account(emulator), terraform.output()["deployment"]["value"]
    plan = terraform.plan()
    emulator.client("s3").put_object(**_bucket_and_key(f"{deployment['source_uri']}/P1.txt"), Body=b"x")
    terraform.run("apply", *UNATTENDED, "-var", "force_destroy=true")
    terraform.run("destroy", *UNATTENDED, "-var", "force_destroy=true")
    return Life(before, applied, in_account(emulator), deployment, plan, terraform.resources())


def _bucket_and_key(uri: str) -> dict[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def in_account(emulator: Emulator) -> list[str]:
    """Return what the account contains, of the kinds that a deployment creates."""
    batch, ec2, iam = emulator.client("batch"), emulator.client("ec2"), emulator.client("iam")
    cloudwatch, logs = emulator.client("cloudwatch"), emulator.client("logs")
    return [
        *(vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]),
        *(bucket["Name"] for bucket in emulator.client("s3").list_buckets()["Buckets"]),
        *(image["repositoryName"] for image in emulator.client("ecr").describe_repositories()["repositories"]),
        *(queue["jobQueueName"] for queue in batch.describe_job_queues()["jobQueues"]),
        *(each["computeEnvironmentName"] for each in batch.describe_compute_environments()["computeEnvironments"]),
        *(each["jobDefinitionName"] for each in batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]),
        *(policy["arn"] for policy in batch.list_scheduling_policies()["schedulingPolicies"]),
        *(rule["Name"] for rule in emulator.client("events").list_rules()["Rules"]),
        *(role["RoleName"] for role in iam.list_roles()["Roles"] if not role["Path"].startswith("/aws-service-role/")),
        *(policy["PolicyName"] for policy in iam.list_policies(Scope="Local")["Policies"]),
        *(group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]),
        *emulator.client("sqs").list_queues().get("QueueUrls", []),
        *(topic["TopicArn"] for topic in emulator.client("sns").list_topics()["Topics"]),
        *(alarm["AlarmName"] for alarm in cloudwatch.describe_alarms()["MetricAlarms"]),
        *(board["DashboardName"] for board in cloudwatch.list_dashboards()["DashboardEntries"]),
    ]
