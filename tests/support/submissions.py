"""Plates and a deployment for tests of submissions."""

from cytobatch.batch.aws.deployment import Compute, Deployment
from cytobatch.batch.aws.sizing import PlateNeed, Size
from cytobatch.config.options import PlateJob

GIB = 2**30


def deployment(**fields: object) -> Deployment:
    kinds = list(Compute)
    usual = {
        "name": "lab",
        "region": "us-east-1",
        "jobs_uri": "s3://results/jobs",
        "log_group": "/aws/batch/lab",
        "source_uri": "s3://plates/uploads",
        "destination_uri": "s3://results/profiles",
        "queues": {kind: f"arn:aws:batch:us-east-1:123456789012:job-queue/lab-{kind}" for kind in kinds},
        "definitions": {kind: f"arn:aws:batch:us-east-1:123456789012:job-definition/lab-{kind}" for kind in kinds},
        "scratch_gib": {Compute.FARGATE: 200, Compute.FARGATE_SPOT: 200, Compute.EC2_SPOT: 1000},
    }
    return Deployment.model_validate(usual | fields)


def need(number: int = 0, source: int = GIB, scratch: int = 3 * GIB, size: Size | None = None) -> PlateNeed:
    job = PlateJob(source=f"s3://plates/P{number}", destination=f"s3://results/P{number}", plate=f"P{number}")
    return PlateNeed(job, source, size or Size(2, 8192), scratch)
