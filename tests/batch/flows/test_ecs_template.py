"""The base job template of a pool on ECS, as the installed worker takes it."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator

from cytobatch.errors import ExitCode
from tests.support.emulator.lab import RunCli
from tests.support.subprocesses import run_python

POOL = {
    "name": "lab",
    "region": "eu-central-1",
    "image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/lab:1",
    "cluster": "lab",
    "vpc_id": "vpc-1",
    "subnet_ids": ["subnet-1", "subnet-2"],
    "security_group_ids": ["sg-1"],
    "assign_public_ip": True,
    "job_role_arn": "arn:aws:iam::123456789012:role/lab-job",
    "execution_role_arn": "arn:aws:iam::123456789012:role/lab-execution",
    "log_group": "/aws/batch/lab",
    "vcpus": 4,
    "memory_mib": 16384,
    "scratch_gib": 150,
}

# The installed worker makes its configuration of the template, and of that the two requests to ECS.
REQUESTS = """
import asyncio, json, sys, uuid
from prefect.client.schemas.objects import FlowRun
from prefect_aws.workers.ecs_worker import ECSWorker

template, variables = json.loads(sys.argv[1]), json.loads(sys.argv[2])
kind = ECSWorker.job_configuration
configuration = asyncio.run(kind.from_template_and_values(base_job_template=template, values=variables))
run = FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="convert P1")
configuration.prepare_for_flow_run(run)
worker = ECSWorker(work_pool_name="cytobatch-ecs")
definition = worker._prepare_task_definition(configuration, region="eu-central-1", flow_run=run)
worker._validate_task_definition(definition, configuration)
# The network is compared with AWS's answers, which are those of the VPC here.
worker._custom_network_configuration = lambda vpc, network, _: {"awsvpcConfiguration": network}
arn = "arn:aws:ecs:eu-central-1:1:task-definition/t:1"
request = worker._prepare_task_run_request(configuration, definition, arn, new_task_definition_registered=True)
print(json.dumps([definition, request]))
"""


@pytest.fixture
def template(tmp_path: Path, run_cli: RunCli) -> dict[str, Any]:
    path = tmp_path / "deployment.json"
    path.write_text(json.dumps({"prefect_pool": {"value": POOL}}))
    code, out, err = run_cli("pool", "--deployment", path)
    assert code == ExitCode.OK, err
    return dict(json.loads(out))


def requests(template: dict[str, Any], **variables: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    definition, request = json.loads(run_python(REQUESTS, json.dumps(template), json.dumps(variables)))
    return definition, request


def check(operation: str, request: dict[str, Any]) -> None:
    """Check a request by the model of ECS that botocore has."""
    service = boto3.client("ecs", region_name="eu-central-1").meta.service_model
    report = ParamValidator().validate(request, service.operation_model(operation).input_shape)
    assert not report.has_errors(), report.generate_report()


@pytest.mark.slow
def test_the_installed_worker_makes_the_tasks_of_the_template(
    template: dict[str, Any], prefect_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    definition, request = requests(template)
    check("RegisterTaskDefinition", definition)
    check("RunTask", request)
    assert definition["ephemeralStorage"] == {"sizeInGiB": 150}
    assert (definition["cpu"], definition["memory"]) == ("4096", "16384")
    assert definition["requiresCompatibilities"] == ["FARGATE"]
    assert definition["executionRoleArn"] == POOL["execution_role_arn"]
    (container,) = definition["containerDefinitions"]
    assert (container["image"], container["readonlyRootFilesystem"]) == (POOL["image"], True)
    (mount,) = container["mountPoints"]
    assert (mount["sourceVolume"], mount["containerPath"]) == (definition["volumes"][0]["name"], "/scratch")
    assert container["logConfiguration"]["options"]["awslogs-group"] == POOL["log_group"]
    assert container["logConfiguration"]["options"]["awslogs-create-group"] == "false"
    assert request["cluster"] == "lab"
    assert request["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": POOL["subnet_ids"],
        "securityGroups": POOL["security_group_ids"],
        "assignPublicIp": "ENABLED",
    }
    assert request["overrides"]["taskRoleArn"] == POOL["job_role_arn"]
    (override,) = request["overrides"]["containerOverrides"]
    assert override["command"] == ["prefect", "flow-run", "execute"]
    assert {"name": "AWS_DEFAULT_REGION", "value": "eu-central-1"} in override["environment"]
    larger, _ = requests(template, scratch_gib=200, cpu=8192, memory=32768)
    assert (larger["ephemeralStorage"], larger["cpu"]) == ({"sizeInGiB": 200}, "8192")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"deployment": {"value": {}}}, "Field required"),
        ({"prefect_pool": {"value": {**POOL, "scratch_gib": 20}}}, "greater than or equal to 21"),
    ],
)
def test_a_deployment_without_a_pool_is_an_error(
    document: dict[str, Any], why: str, tmp_path: Path, run_cli: RunCli
) -> None:
    path = tmp_path / "deployment.json"
    path.write_text(json.dumps(document))
    code, _, err = run_cli("pool", "--deployment", path)
    assert code == ExitCode.CONFIGURATION
    assert f"no prefect_pool: {path}" in err
    assert why in err
