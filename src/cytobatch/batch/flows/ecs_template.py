"""The base job template of a work pool of Prefect on ECS, filled from what Terraform set up."""

from typing import Any

from prefect_aws.workers.ecs_worker import ECSWorker

from cytobatch.batch.aws.deployment import PrefectPool

_CPU_UNITS = 1024
_SCRATCH = "scratch"
_SCRATCH_GIB = "scratch_gib"


def ecs_job_template(pool: PrefectPool) -> dict[str, Any]:
    """Return the template: the installed worker's own one, whose variables have the pool's values as defaults.

    A task has the scratch disk at /scratch, and writes nowhere else, as a job of AWS Batch does. A deployment can
    change each variable; `scratch_gib` is one more.
    """
    template: dict[str, Any] = ECSWorker.get_default_base_job_template()
    variables = template["variables"]["properties"]
    for name, value in _defaults(pool).items():
        # A variable that the worker does not know would have no effect.
        variables[name] = variables[name] | {"default": value}
    variables[_SCRATCH_GIB] = {
        "title": "Scratch disk (GiB)",
        "description": "The disk of a task at /scratch. `cytobatch plan` shows what a plate takes.",
        "type": "integer",
        "minimum": 21,
        "maximum": 200,
        "default": pool.scratch_gib,
    }
    definition = template["job_configuration"]["task_definition"]
    definition |= {
        "ephemeralStorage": {"sizeInGiB": f"{{{{ {_SCRATCH_GIB} }}}}"},
        "volumes": [{"name": _SCRATCH}],
        "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
    }
    definition["containerDefinitions"][0] |= {
        "readonlyRootFilesystem": True,
        "mountPoints": [{"sourceVolume": _SCRATCH, "containerPath": "/scratch", "readOnly": False}],
    }
    return template


def _defaults(pool: PrefectPool) -> dict[str, Any]:
    """Return the values of the worker's variables."""
    return {
        "image": pool.image,
        "cluster": pool.cluster,
        "family": f"{pool.name}-prefect",
        "launch_type": "FARGATE",
        "cpu": pool.vcpus * _CPU_UNITS,
        "memory": pool.memory_mib,
        "task_role_arn": pool.job_role_arn,
        "execution_role_arn": pool.execution_role_arn,
        "vpc_id": pool.vpc_id,
        "network_configuration": {
            "subnets": list(pool.subnet_ids),
            "securityGroups": list(pool.security_group_ids),
            "assignPublicIp": "ENABLED" if pool.assign_public_ip else "DISABLED",
        },
        # boto3 does not read AWS_REGION, which Fargate sets.
        "env": {"AWS_DEFAULT_REGION": pool.region},
        "configure_cloudwatch_logs": True,
        # The execution role may write into the group, and not make one.
        "cloudwatch_logs_options": {
            "awslogs-create-group": "false",
            "awslogs-group": pool.log_group,
            "awslogs-region": pool.region,
            "awslogs-stream-prefix": f"{pool.name}-prefect",
        },
    }
