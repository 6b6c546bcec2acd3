"""AWS Batch and its logs through boto3: submit jobs, describe jobs, read the last lines of a job's log.

Every fault becomes a ServiceError that names the request. Faults are distinguished by class and code, never by text.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from cytobatch.errors import ServiceError
from cytobatch.storage.access import USER_AGENT, Access
from cytobatch.storage.boto_session import make_session

_ATTEMPTS = 8
_DESCRIBED_AT_ONCE = 100
_DENIED = frozenset(
    {"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "AccessDenied"}
)
_NO_LOG = frozenset({"ResourceNotFoundException"})
_THROTTLED = frozenset({"TooManyRequestsException", "ThrottlingException"})
_NOTHING = "-"
_NO_ACCESS = Access()


class JobState(StrEnum):
    """The states of a job, in the order in which it passes through them."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED})


@dataclass(frozen=True, slots=True)
class Job:
    """A job as AWS Batch describes it.

    `size` is the number of an array's children and `counts` their number by state; None and empty for a plain job or a
    child. `spec` and `source` are the parameters of these names, None if they are `-`. `attempts` counts those begun.
    """

    id: str
    name: str
    state: JobState
    spec: str | None
    source: str | None
    size: int | None
    counts: dict[JobState, int]
    index: int | None
    attempts: int
    exit_code: int | None
    reason: str
    log_stream: str | None

    @classmethod
    def of(cls, raw: dict[str, Any]) -> "Job":
        """Make a job from an item of DescribeJobs' answer. The last attempt's reason comes before that of the job."""
        array, attempts = raw.get("arrayProperties") or {}, raw.get("attempts") or []
        last = attempts[-1] if attempts else {}
        container = (raw.get("container") or {}) | (last.get("container") or {})
        reasons = (container.get("reason"), last.get("statusReason"), raw.get("statusReason"))
        counts = {JobState(state): count for state, count in (array.get("statusSummary") or {}).items() if count}
        return cls(
            id=raw["jobId"],
            name=raw["jobName"],
            state=JobState(raw["status"]),
            spec=_parameter(raw, "spec"),
            source=_parameter(raw, "source"),
            size=array.get("size"),
            counts=counts,
            index=array.get("index"),
            attempts=len(attempts),
            exit_code=container.get("exitCode"),
            reason="; ".join(dict.fromkeys(reason for reason in reasons if reason)),
            log_stream=container.get("logStreamName"),
        )


def _parameter(raw: dict[str, Any], name: str) -> str | None:
    value = (raw.get("parameters") or {}).get(name)
    return None if value == _NOTHING else value


class BatchService:
    """AWS Batch in one region, with the profile or credentials of an access. Every method raises ServiceError."""

    def __init__(self, region: str, access: Access = _NO_ACCESS) -> None:
        with _service_errors("AWS Batch"):
            config = Config(retries={"mode": "standard", "max_attempts": _ATTEMPTS}, user_agent_extra=USER_AGENT)
            session = make_session(access.profile, config, region, access.stored_credentials())
            self._batch = session.client("batch")
            self._logs = session.client("logs")
            # SubmitJob has no idempotency token. A request whose answer was lost may have been accepted, and a second
            # one would start every plate twice.
            once = Config(retries={"total_max_attempts": 1})
            self._submitting = session.client("batch", config=once)

    def submit(self, request: dict[str, Any]) -> str:
        """Submit a job, and return its id. Retries only if AWS refuses a request because of too many requests."""
        with _service_errors(f"job {request['jobName']}, queue {request['jobQueue']}"):
            answer: dict[str, Any] = _with_retries(self._submitting.submit_job)(**request)
        if "jobId" not in answer:
            raise ServiceError(
                "AWS gave no job id",
                where=f"job {request['jobName']}, queue {request['jobQueue']}",
                why="its answer was cut off; the job may run all the same",
                remedy="look for it in the queue before you submit again",
            )
        return str(answer["jobId"])

    def describe(self, ids: Sequence[str]) -> list[Job]:
        """Return jobs by their ids, in that order, without those that AWS Batch does not know any more."""
        jobs: dict[str, Job] = {}
        for first in range(0, len(ids), _DESCRIBED_AT_ONCE):
            some = ids[first : first + _DESCRIBED_AT_ONCE]
            with _service_errors(f"jobs {some[0]} …"):
                jobs.update({raw["jobId"]: Job.of(raw) for raw in self._batch.describe_jobs(jobs=some)["jobs"]})
        return [jobs[one] for one in ids if one in jobs]

    def children(self, array: str, state: JobState, most: int) -> list[Job]:
        """Return the first `most` children of an array that are in a state, by index."""
        with _service_errors(f"children of job {array}"):
            pages = self._batch.get_paginator("list_jobs").paginate(arrayJobId=array, jobStatus=state.value)
            summaries = [raw for page in pages for raw in page["jobSummaryList"]]
        first = sorted(summaries, key=lambda raw: int(raw.get("arrayProperties", {}).get("index", 0)))[:most]
        return sorted(self.describe([raw["jobId"] for raw in first]), key=lambda job: job.index or 0)

    def last_lines(self, group: str, stream: str, count: int) -> list[str]:
        """Return the last lines of a job's log; empty if the log is gone, or was never begun."""
        with _service_errors(f"log {group}, stream {stream}"):
            try:
                answer = self._logs.get_log_events(
                    logGroupName=group, logStreamName=stream, limit=count, startFromHead=False
                )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _NO_LOG:
                    return []
                raise
        return [event["message"].rstrip() for event in answer["events"]]


def _is_throttled(error: BaseException) -> bool:
    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in _THROTTLED


_with_retries = retry(
    retry=retry_if_exception(_is_throttled),
    stop=stop_after_attempt(_ATTEMPTS),
    wait=wait_exponential_jitter(multiplier=0.5, max=20),
    reraise=True,
)


@contextlib.contextmanager
def _service_errors(where: str) -> Iterator[None]:
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise ServiceError(
            "no credentials", where=where, why=str(error), remedy="log in to AWS, or name a profile with --profile"
        ) from error
    except ClientError as error:
        raw = error.response.get("Error", {})
        denied = raw.get("Code") in _DENIED
        raise ServiceError(
            "no permission" if denied else "AWS refused",
            where=where,
            why=f"{raw.get('Code')}: {raw.get('Message')}",
            remedy="ask for the policy that Terraform's output submitter_policy_arn names"
            if denied
            else "check the names, and that Terraform's deployment is the present one",
        ) from error
    except BotoCoreError as error:
        raise ServiceError(
            "AWS does not answer", where=where, why=str(error), remedy="check network and region, and try again"
        ) from error
