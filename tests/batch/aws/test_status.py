"""Descriptions of AWS Batch as states of plates. Real jobs are in test_batch.py."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cytobatch.batch.aws.client import BatchService, Job, JobState
from cytobatch.batch.aws.status import JobStatus, ended_plates, failures, followed, statuses
from cytobatch.errors import JobSpecError, ServiceError
from cytobatch.storage.access import Access
from proxy import Answer, proxy
from tests.support.emulator.server import credentials
from tests.support.emulator.start import Emulator

ARRAY = {
    "jobId": "j",
    "jobName": "cytobatch-B1",
    "status": "PENDING",
    "parameters": {"spec": "s3://b/x.json", "source": "-"},
    "arrayProperties": {"size": 5, "statusSummary": {"FAILED": 1, "SUCCEEDED": 2, "RUNNING": 0}},
}
CHILD = {
    "jobId": "j:3",
    "jobName": "cytobatch-B1",
    "status": "FAILED",
    "statusReason": "Essential container in task exited",
    "arrayProperties": {"index": 3},
    "container": {"exitCode": 3, "logStreamName": "old"},
    "attempts": [
        {"container": {"exitCode": 4}, "statusReason": "x"},
        {"container": {"exitCode": 3, "reason": "OutOfMemoryError: gone", "logStreamName": "s"}, "statusReason": "y"},
    ],
}


def status(job: Job) -> JobStatus:
    """Return the job's status, by a service that has this job alone."""

    class Service:
        def describe(self, _ids: list[str]) -> list[Job]:
            return [job]

    return statuses(Service(), [job.id])[0]  # type: ignore[arg-type]


def test_children_that_do_not_exist_yet_are_pending() -> None:
    state = status(Job.of(ARRAY))
    assert state.counts == {JobState.FAILED: 1, JobState.SUCCEEDED: 2, JobState.PENDING: 2}
    assert (state.total, state.ended, state.failed) == (5, 3, 1)


def test_children_of_an_array_that_failed_as_a_whole_have_failed() -> None:
    state = status(replace(Job.of(ARRAY), state=JobState.FAILED, counts={}))
    assert (state.total, state.ended, state.failed) == (5, 5, 5)


def test_the_reason_is_that_of_the_last_attempt() -> None:
    job = Job.of(CHILD)
    assert (job.index, job.exit_code, job.log_stream, job.attempts) == (3, 3, "s", 2)
    assert job.reason == "OutOfMemoryError: gone; y; Essential container in task exited"


def test_an_empty_parameter_is_none() -> None:
    job = Job.of(ARRAY)
    assert (job.spec, job.source) == ("s3://b/x.json", None)


class OneFailure:
    """A service with a failed array that has no failed child, or a failed job."""

    def children(self, _array: str, _state: JobState, _most: int) -> list[Job]:
        return []

    def last_lines(self, _group: str, _stream: str, _count: int) -> list[str]:
        # A log may be of text or of JSON, and a container may write other lines.
        return [
            '{"event":"step_started","level":"info","plate":"P1","message":"convert"}',
            '{"event":"error","level":"error","message":"why\\n  fix: that"}',
        ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"plates": [{"source": "/a/P7", "destination": "/b"}]}', "P7"),
        ('{"plates": [{"source": "/a/P7", "destination": "/b"}, {"source": "/a/P8", "destination": "/c"}]}', "job"),
        ("plates: [", "job"),
        ('{"plates": [{"sorce": "/a"}]}', "job"),
        ('{"plates": [{"source": "/a/{plate}", "destination": "/b/{plate}", "plate": "*"}]}', "job"),
        (None, "job"),
    ],
)
def test_a_failed_job_is_shown_with_any_spec(
    text: str | None, name: str, upload: Callable[[Path, str], str], bucket: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "specs").mkdir()
        (tmp_path / "specs" / "x.json").write_text(text)
        upload(tmp_path / "specs", "specs")
    plain: dict[str, Any] = {**CHILD, "jobId": "j", "jobName": "job", "arrayProperties": {}}
    job = Job.of(plain | {"parameters": {"spec": f"s3://{bucket}/specs/x.json"}})
    (failure,) = failures(OneFailure(), status(job), "group", Access())  # type: ignore[arg-type]
    assert failure.plate == name
    assert failure.reason.startswith("exit code 3 (input data); OutOfMemoryError")
    assert failure.lines == ("P1: convert", "error: why", "  fix: that")
    assert failure.error == "error: why fix: that"


def test_a_job_of_an_upload_has_the_uploads_name() -> None:
    parameters = {"source": "s3://b/P 1/_SUCCESS"}
    plain = {**CHILD, "jobId": "j", "jobName": "job", "arrayProperties": {}, "parameters": parameters}
    (failure,) = failures(OneFailure(), status(Job.of(plain)), "group", Access())  # type: ignore[arg-type]
    assert failure.plate == "P 1"


def test_an_unknown_id_is_an_error(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in credentials(emulator.url).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(JobSpecError, match="no job gone"):
        statuses(BatchService("us-east-1"), ["gone"])


def test_a_service_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cytobatch.batch.aws.client._ATTEMPTS", 1)
    for name, value in credentials("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ServiceError, match="AWS does not answer"):
        statuses(BatchService("us-east-1"), ["x"])


def test_missing_credentials_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(ServiceError, match="no credentials"):
        statuses(BatchService("us-east-1"), ["x"])
    with pytest.raises(ServiceError, match="no credentials"):
        BatchService("us-east-1", Access("a-profile-that-is-not-there"))


REQUEST = {"jobName": "job", "jobQueue": "queue", "jobDefinition": "definition"}
TOO_MANY = Answer(429, b'{"__type": "TooManyRequestsException", "message": "slowly"}')


def submitted(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in credentials(address).items():
        monkeypatch.setenv(name, value)
    BatchService("us-east-1").submit(REQUEST)


def test_a_job_is_submitted_again_after_too_many_requests(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([TOO_MANY, TOO_MANY])
    # The emulator refuses the third, because the queue does not exist.
    with proxy(emulator.url, lambda _: next(answers, None)) as (address, requests):
        with pytest.raises(ServiceError, match="AWS refused"):
            submitted(address, monkeypatch)
        assert [one.path for one in requests] == ["/v1/submitjob"] * 3


@pytest.mark.parametrize("answer", [Answer(200, b'{"jobId":', missing=9), Answer(500, b"{}")], ids=["cut off", "fault"])
def test_a_job_whose_answer_is_lost_is_not_submitted_again(
    answer: Answer, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(emulator.url, lambda _: answer) as (address, requests):
        with pytest.raises(ServiceError):
            submitted(address, monkeypatch)
        assert len(requests) == 1


def a_job(state: JobState, size: int | None = None, **counts: int) -> JobStatus:
    raw = {**ARRAY, "status": state.value, "arrayProperties": {"size": size, "statusSummary": counts} if size else {}}
    return status(Job.of(raw))


class Children:
    """A service with the children of an array, whose third has failed."""

    def children(self, _array: str, state: JobState, most: int) -> list[Job]:
        assert most == 4
        indexes = {JobState.FAILED: [2], JobState.SUCCEEDED: [0]}[state]
        return [replace(Job.of(CHILD), state=state, index=index) for index in indexes]


def test_each_plate_has_the_job_that_has_ended_it() -> None:
    def states(one: JobStatus, service: object = None) -> list[JobState | None]:
        return [job.state if job else None for job in ended_plates(service or Children(), one)]  # type: ignore[arg-type]

    ended, failed, none = JobState.SUCCEEDED, JobState.FAILED, None
    assert states(a_job(ended)) == [ended]
    assert states(a_job(JobState.RUNNING)) == [none]
    assert states(a_job(failed, 4, FAILED=1, SUCCEEDED=3)) == [ended, ended, failed, ended]
    assert states(a_job(JobState.PENDING, 4, FAILED=1, SUCCEEDED=1, RUNNING=2)) == [ended, none, failed, none]
    assert states(a_job(failed, 4), OneFailure()) == [failed] * 4


def test_jobs_are_followed_until_they_end_or_the_time_is_over() -> None:
    running, ended = a_job(JobState.RUNNING), a_job(JobState.SUCCEEDED)
    answers = iter([[running], ServiceError("AWS does not answer"), [running], [ended]])

    def fetch() -> list[JobStatus]:
        answer = next(answers)
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    shown = [states[0].job.state for states in followed(fetch, 0)]
    assert shown == [JobState.RUNNING, JobState.RUNNING, JobState.RUNNING, JobState.SUCCEEDED]
    assert len(list(followed(lambda: [running], 0.01, limit=0.03))) in range(2, 6)
    broken = iter([[running], *[ServiceError("AWS does not answer")] * 6])
    answers = broken
    with pytest.raises(ServiceError, match="AWS does not answer"):
        list(followed(fetch, 0))
