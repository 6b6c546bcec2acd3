"""`cytobatch pool`: print the base job template of a work pool of Prefect on ECS."""

import json
import sys

from cytobatch.batch.aws.documents import read_prefect_pool
from cytobatch.batch.flows.ecs_template import ecs_job_template
from cytobatch.config.environment import read_settings
from cytobatch.config.options import PlateOptions
from cytobatch.errors import ExitCode
from cytobatch.pipeline.resolve_jobs import explicit_access


def pool(deployment: str | None) -> int:
    """Print the template as JSON, and return the exit code."""
    target = read_prefect_pool(deployment, explicit_access(read_settings(), PlateOptions()))
    sys.stdout.write(json.dumps(ecs_job_template(target), indent=2) + "\n")
    return ExitCode.OK
