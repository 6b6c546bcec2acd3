"""A submission: resolved specs put into the deployment's bucket, and one array job for each."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from cytobatch.aws.arrays import ArrayJob, request_of
from cytobatch.aws.deployment import Compute, Deployment
from cytobatch.aws.service import BatchService
from cytobatch.jobspec import resolved_spec
from cytobatch.storage import Access, write_text


class SubmittedJob(BaseModel):
    """A job that AWS Batch took, and the spec that its children read."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    spec: str
    plates: int
    compute: Compute


class Submission(BaseModel):
    """What was submitted together, as it is kept beside its specs."""

    model_config = ConfigDict(frozen=True)

    deployment: str
    region: str
    jobs: tuple[SubmittedJob, ...]


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who submits: the deployment, AWS Batch there, how to reach its bucket, and a share of a fair queue."""

    deployment: Deployment
    service: BatchService
    access: Access
    share: str | None = None

    def send(self, arrays: Sequence[ArrayJob], folder: str) -> Submission:
        """Submits the jobs. Raises StorageError before any was submitted, ServiceError also after some were.

        Those are kept in the folder's `submission.json` in either case.
        """
        for array in arrays:
            spec = resolved_spec(need.job for need in array.plates)
            write_text(array.spec, spec.model_dump_json(exclude_none=True, indent=2), self.access)
        sent: list[SubmittedJob] = []
        try:
            for array in arrays:
                job = self.service.submit(request_of(array, self.deployment, self.share))
                sent.append(
                    SubmittedJob(
                        id=job, name=array.name, spec=array.spec, plates=len(array.plates), compute=array.compute
                    )
                )
        finally:
            submission = Submission(deployment=self.deployment.name, region=self.deployment.region, jobs=tuple(sent))
            write_text(f"{folder}/submission.json", submission.model_dump_json(indent=2), self.access)
        return submission


def new_folder(deployment: Deployment) -> str:
    """A folder of its own for a submission, in the order of time."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return f"{deployment.jobs_uri.rstrip('/')}/{stamp}-{secrets.token_hex(3)}"
