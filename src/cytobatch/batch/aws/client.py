"""AWS Batch and its logs over boto3: jobs submitted, jobs described, the last lines that a job wrote.

Faults are ServiceErrors that name what was asked, told apart by class and code and never by text.
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
from cytobatch.storage.access import USER_AGENT
from cytobatch.storage.boto_session import make_session

_ATTEMPTS = 8
_DESCRIBED_AT_ONCE = 100
_DENIED = frozenset(
    {"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "AccessDenied"}
)
_NO_LOG = frozenset({"ResourceNotFoundException"})
_THROTTLED = frozenset({"TooManyRequestsException", "ThrottlingException"})
_NOTHING = "-"


class JobState(StrEnum):
    """The states of a job, in the order in which it goes through them."""

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

    `size` is that of an array and `counts` its children by state; both are nothing for a plain job or a child. `spec`
    and `source` are the parameters of these names, where they say something. `attempts` are those that were begun.
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
    def of(cls, said: dict[str, Any]) -> "Job":
        """From an item of DescribeJobs' answer. What an attempt says of its end comes before what the job says."""
        array, attempts = said.get("arrayProperties") or {}, said.get("attempts") or []
        last = attempts[-1] if attempts else {}
        container = (said.get("container") or {}) | (last.get("container") or {})
        reasons = (container.get("reason"), last.get("statusReason"), said.get("statusReason"))
        counts = {JobState(state): count for state, count in (array.get("statusSummary") or {}).items() if count}
        return cls(
            id=said["jobId"],
            name=said["jobName"],
            state=JobState(said["status"]),
            spec=_parameter(said, "spec"),
            source=_parameter(said, "source"),
            size=array.get("size"),
            counts=counts,
            index=array.get("index"),
            attempts=len(attempts),
            exit_code=container.get("exitCode"),
            reason="; ".join(dict.fromkeys(reason for reason in reasons if reason)),
            log_stream=container.get("logStreamName"),
        )


def _parameter(said: dict[str, Any], name: str) -> str | None:
    value = (said.get("parameters") or {}).get(name)
    return None if value == _NOTHING else value


class BatchService:
    """AWS Batch in one region, as one profile's owner may use it. Every method raises ServiceError."""

    def __init__(self, region: str, profile: str | None = None) -> None:
        with _faults("AWS Batch"):
            config = Config(retries={"mode": "standard", "max_attempts": _ATTEMPTS}, user_agent_extra=USER_AGENT)
            session = make_session(profile, config, region)
            self._batch = session.client("batch")
            self._logs = session.client("logs")
            # SubmitJob has no token to know a request again by: whether one whose answer was lost was heard, nobody can
            # tell, and made twice it would start every plate twice.
            once = Config(retries={"total_max_attempts": 1})
            self._submitting = session.client("batch", config=once)

    def submit(self, request: dict[str, Any]) -> str:
        """Submits a job, and returns its id. Made again only where AWS says that there were too many requests."""
        with _faults(f"job {request['jobName']}, queue {request['jobQueue']}"):
            answer: dict[str, Any] = _patiently(self._submitting.submit_job)(**request)
        if "jobId" not in answer:
            raise ServiceError(
                "AWS gave no job id",
                where=f"job {request['jobName']}, queue {request['jobQueue']}",
                why="its answer was cut off; the job may run all the same",
                remedy="look for it in the queue before you submit again",
            )
        return str(answer["jobId"])

    def describe(self, ids: Sequence[str]) -> list[Job]:
        """Jobs by their ids, in that order; those that AWS Batch does not know any more are not among them."""
        found: dict[str, Job] = {}
        for first in range(0, len(ids), _DESCRIBED_AT_ONCE):
            some = ids[first : first + _DESCRIBED_AT_ONCE]
            with _faults(f"jobs {some[0]} …"):
                found.update({said["jobId"]: Job.of(said) for said in self._batch.describe_jobs(jobs=some)["jobs"]})
        return [found[one] for one in ids if one in found]

    def children(self, array: str, state: JobState, most: int) -> list[Job]:
        """The first children of an array that are in a state, by index."""
        with _faults(f"children of job {array}"):
            pages = self._batch.get_paginator("list_jobs").paginate(arrayJobId=array, jobStatus=state.value)
            found = [said for page in pages for said in page["jobSummaryList"]]
        first = sorted(found, key=lambda said: int(said.get("arrayProperties", {}).get("index", 0)))[:most]
        return sorted(self.describe([said["jobId"] for said in first]), key=lambda job: job.index or 0)

    def last_lines(self, group: str, stream: str, count: int) -> list[str]:
        """The last lines that a job wrote; none where its log is gone, or was never begun."""
        with _faults(f"log {group}, stream {stream}"):
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


_patiently = retry(
    retry=retry_if_exception(_is_throttled),
    stop=stop_after_attempt(_ATTEMPTS),
    wait=wait_exponential_jitter(multiplier=0.5, max=20),
    reraise=True,
)


@contextlib.contextmanager
def _faults(where: str) -> Iterator[None]:
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise ServiceError(
            "no credentials", where=where, why=str(error), remedy="log in to AWS, or name a profile with --profile"
        ) from error
    except ClientError as error:
        said = error.response.get("Error", {})
        denied = said.get("Code") in _DENIED
        raise ServiceError(
            "no permission" if denied else "AWS refused",
            where=where,
            why=f"{said.get('Code')}: {said.get('Message')}",
            remedy="ask for the policy that Terraform's output submitter_policy_arn names"
            if denied
            else "check the names, and that Terraform's deployment is the present one",
        ) from error
    except BotoCoreError as error:
        raise ServiceError(
            "AWS does not answer", where=where, why=str(error), remedy="check network and region, and try again"
        ) from error
