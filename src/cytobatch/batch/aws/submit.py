"""Submit plates: write resolved specs into the deployment's bucket, and start one array job for each."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from cytobatch.batch.aws.array_jobs import ArrayJob, arrays_of, request_of
from cytobatch.batch.aws.client import BatchService
from cytobatch.batch.aws.deployment import Compute, Deployment
from cytobatch.batch.aws.sizing import PlateNeed
from cytobatch.config.expand import plate_jobs
from cytobatch.config.job_spec import parse_spec, resolved_spec
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.errors import InternalError
from cytobatch.storage.access import Access
from cytobatch.storage.destination import write_text


class SubmittedJob(BaseModel):
    """A job that AWS Batch accepted, and the spec that its children read."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    spec: str
    plates: int
    compute: Compute


class Submission(BaseModel):
    """The jobs of one submission, as `submission.json` beside their specs keeps them."""

    model_config = ConfigDict(frozen=True)

    deployment: str
    region: str
    jobs: tuple[SubmittedJob, ...]


@dataclass(frozen=True, slots=True)
class PlannedSubmission:
    """The jobs of a future submission, and the URI of the folder of its specs."""

    folder: str
    arrays: tuple[ArrayJob, ...]


@dataclass(frozen=True, slots=True)
class Submitter:
    """Submits to a deployment: its AWS Batch, the access to its bucket, and a share of a fair-share queue."""

    deployment: Deployment
    service: BatchService
    access: Access
    share: str | None = None

    def send(self, planned: PlannedSubmission, on_submitted: Callable[[SubmittedJob], None]) -> Submission:
        """Submit the jobs, and keep each in the folder's `submission.json`.

        Calls `on_submitted` after each job, so that its id is printed even if the next one fails. Raises StorageError,
        ServiceError.
        """
        for array in planned.arrays:
            write_text(array.spec, _spec_text(array), self.access)
        submission = Submission(deployment=self.deployment.name, region=self.deployment.region, jobs=())
        for array in planned.arrays:
            job = self._submitted(array)
            on_submitted(job)
            submission = submission.model_copy(update={"jobs": (*submission.jobs, job)})
            write_text(f"{planned.folder}/submission.json", submission.model_dump_json(indent=2), self.access)
        return submission

    def _submitted(self, array: ArrayJob) -> SubmittedJob:
        request = request_of(array, self.deployment, self.share)
        job = self.service.submit(request)
        return SubmittedJob(id=job, name=array.name, spec=array.spec, plates=len(array.plates), compute=array.compute)


def _spec_text(array: ArrayJob) -> str:
    """Return the text of the array's spec, from which each child reads its plate.

    Raises InternalError if the text gives other plates, because a thousand children would fail one after the other.
    """
    jobs = [need.job for need in array.plates]
    spec = resolved_spec(jobs)
    text = spec.model_dump_json(exclude_none=True, indent=2)
    again = plate_jobs(parse_spec(text, array.spec), PlateOptions(), None, array.spec, lambda *_: [])
    if resolved_spec(again) != spec:
        raise InternalError(
            "resolved spec is invalid",
            where=array.spec,
            why="its plates differ from the plates that it was made of",
            remedy="report it, with the spec that was submitted",
        )
    return text


def plan_submission(
    needs: Sequence[PlateNeed], deployment: Deployment, compute: Compute | None, name: str | None
) -> PlannedSubmission:
    """Group plates into jobs, named after the batch or the first plate unless a name is given.

    Raises JobSpecError if the deployment lacks the compute, InputDataError if no scratch disk is large enough.
    """
    folder = _new_folder(deployment)
    return PlannedSubmission(folder, arrays_of(needs, deployment, compute, folder, name or name_after(needs[0].job)))


def name_after(first: PlateJob) -> str:
    """Return the name of a submission by its first plate: the batch, or the plate itself."""
    return first.batch or first.label


def _new_folder(deployment: Deployment) -> str:
    """Return the URI of a new folder for a submission; the names of folders sort by time."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return f"{deployment.jobs_uri.rstrip('/')}/{stamp}-{secrets.token_hex(3)}"
