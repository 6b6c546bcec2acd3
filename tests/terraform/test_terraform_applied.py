"""The complete example, applied to the emulator by the real provider."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cytobatch.batch.aws.deployment import parse_prefect_pool
from tests.support.emulator.start import Applied
from tests.support.paths import REPOSITORY

# Tests that observe the queue of events, or its dead letters.
ONE_QUEUE = pytest.mark.xdist_group("uploads")
KINDS = ("ec2_spot", "fargate", "fargate_spot")


def _file(kind: str) -> dict[str, Any]:
    path = REPOSITORY / "job-definitions" / f"{kind.replace('_', '-')}.json"
    return dict(json.loads(path.read_text()))


def _poll(query: Callable[[], Any], seconds: float = 120) -> Any:
    """Return the result of `query` as soon as it is true, or after some seconds."""
    end = time.monotonic() + seconds
    while not (result := query()) and time.monotonic() < end:
        time.sleep(0.2)
    return result


def test_a_second_plan_changes_nothing(applied: Applied) -> None:
    done = applied.terraform.plan()
    assert done.returncode == 0, done.stdout


def test_the_deployment_names_existing_resources(applied: Applied) -> None:
    deployment = applied.deployment
    batch = applied.emulator.client("batch")
    queues = {queue["jobQueueArn"]: queue for queue in batch.describe_job_queues()["jobQueues"]}
    assert sorted(deployment["queues"]) == sorted(KINDS)
    assert {queues[arn]["state"] for arn in deployment["queues"].values()} == {"ENABLED"}
    for kind, arn in deployment["definitions"].items():
        name = arn.rsplit("/", 1)[1]
        active = batch.describe_job_definitions(jobDefinitionName=name, status="ACTIVE")["jobDefinitions"]
        assert [each["jobDefinitionArn"] for each in active] == [f"{arn}:1"], kind
    logs = applied.emulator.client("logs").describe_log_groups(logGroupNamePrefix=deployment["log_group"])
    assert [group["retentionInDays"] for group in logs["logGroups"]] == [90]
    assert deployment["scratch_gib"] == {"ec2_spot": 2000, "fargate": 200, "fargate_spot": 200}
    assert deployment["share_identifier"] == "screening"


def test_the_prefect_pool_names_existing_resources(applied: Applied) -> None:
    pool = parse_prefect_pool(json.dumps(applied.output), "outputs")
    ec2 = applied.emulator.client("ec2")
    (cluster,) = applied.emulator.client("ecs").describe_clusters(clusters=[str(pool.cluster)])["clusters"]
    assert (cluster["clusterName"], cluster["status"]) == ("screening", "ACTIVE")
    subnets = ec2.describe_subnets(SubnetIds=list(pool.subnet_ids))["Subnets"]
    groups = ec2.describe_security_groups(GroupIds=list(pool.security_group_ids))["SecurityGroups"]
    assert {one["VpcId"] for one in (*subnets, *groups)} == {pool.vpc_id}
    assert (pool.vcpus, pool.memory_mib, pool.scratch_gib) == (4, 16384, 200)
    roles = {role["Arn"] for role in applied.emulator.client("iam").list_roles()["Roles"]}
    assert {pool.job_role_arn, pool.execution_role_arn} <= roles


@pytest.mark.parametrize("kind", KINDS)
def test_definitions_retry_as_in_the_files(applied: Applied, kind: str) -> None:
    name = applied.deployment["definitions"][kind].rsplit("/", 1)[1]
    batch = applied.emulator.client("batch")
    (registered,) = batch.describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]
    strategy, wanted = registered["retryStrategy"], _file(kind)["retryStrategy"]
    rules = [{**rule, "action": rule["action"].upper()} for rule in strategy["evaluateOnExit"]]
    assert (strategy["attempts"], rules) == (wanted["attempts"], wanted["evaluateOnExit"])
    assert registered["parameters"] == _file(kind)["parameters"]
    assert registered["containerProperties"]["command"] == _file(kind)["containerProperties"]["command"]
    assert "schedulingPriority" not in registered


def test_the_source_bucket_is_private_and_sends_events(applied: Applied) -> None:
    s3 = applied.emulator.client("s3")
    bucket = applied.deployment["source_uri"].removeprefix("s3://").split("/")[0]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=bucket)
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


@pytest.fixture
def upload(applied: Applied) -> Iterator[Callable[[str], str]]:
    """Puts an object with a key into the source bucket, and returns its URI. Deletes it after the test."""
    bucket = applied.output["deployment"]["value"]["source_uri"].removeprefix("s3://").partition("/")[0]
    s3 = applied.emulator.client("s3")
    keys = []

    def put(key: str) -> str:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        keys.append(key)
        return f"s3://{bucket}/{key}"

    yield put
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)


def _events_jobs(applied: Applied) -> list[dict[str, Any]]:
    """Return the jobs that uploads have started."""
    batch = applied.emulator.client("batch")
    queue = applied.resources["module.cytobatch.aws_batch_job_queue.events[0]"]["arn"]
    ids = []
    for status in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"):
        ids += [job["jobId"] for job in batch.list_jobs(jobQueue=queue, jobStatus=status)["jobSummaryList"]]
    return list(batch.describe_jobs(jobs=ids)["jobs"]) if ids else []


def _jobs_for(applied: Applied, uri: str) -> list[dict[str, Any]]:
    return [job for job in _events_jobs(applied) if uri in job["parameters"].values()]


@ONE_QUEUE
@pytest.mark.parametrize(
    ("key", "name", "parameter"),
    [
        ("uploads/BR00116991.sqlite", "screening-sqlite", "source"),
        ("uploads/2026/Platte 7+ü ÷.sqlite", "screening-sqlite", "source"),
        ("uploads/BR00116992/_SUCCESS", "screening-success", "source"),
        ("uploads/week 1/all.cytobatch.json", "screening-spec", "spec"),
    ],
)
def test_an_upload_becomes_a_job(
    applied: Applied, upload: Callable[[str], str], key: str, name: str, parameter: str
) -> None:
    uri = upload(key)
    jobs = _poll(lambda: _jobs_for(applied, uri))
    assert [job["jobName"] for job in jobs] == [name]
    destination = f"{applied.deployment['destination_uri']}/{{plate}}" if parameter == "source" else "-"
    assert jobs[0]["parameters"] == {"source": "-", "spec": "-", "destination": destination, parameter: uri}
    assert jobs[0]["jobDefinition"] == applied.deployment["definitions"]["fargate_spot"] + ":1"
    environment = {entry["name"]: entry["value"] for entry in jobs[0]["container"]["environment"]}
    assert (environment["CYTOBATCH_SKIP_DONE"], environment["CYTOBATCH_REPLACE"]) == ("true", "false")
    assert environment["AWS_DEFAULT_REGION"] == applied.deployment["region"]


@ONE_QUEUE
def test_other_objects_start_no_job(applied: Applied, upload: Callable[[str], str]) -> None:
    keys = ("uploads.sqlite", "other/P1.sqlite", "uploads/P1.sqlite.part", "uploads/_SUCCESS", "uploads/P1/job.json")
    others = [upload(key) for key in keys]
    # Events are delivered in order: the job of this one follows those of the others.
    last = upload("uploads/after/_SUCCESS")
    assert len(_poll(lambda: _jobs_for(applied, last))) == 1
    assert [job for uri in others for job in _jobs_for(applied, uri)] == []


@ONE_QUEUE
def test_an_upload_that_cannot_become_a_job_is_a_dead_letter(applied: Applied, upload: Callable[[str], str]) -> None:
    key = 'uploads/a "quoted" plate.sqlite'
    uri = upload(key)
    sqs, url = applied.emulator.client("sqs"), applied.output["dead_letter_queue_url"]["value"]
    messages = _poll(lambda: sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages"))
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert [json.loads(message["Body"])["detail"]["object"]["key"] for message in messages] == [key]
    assert messages[0]["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]
    assert _jobs_for(applied, uri) == []


@contextmanager
def _subscription(applied: Applied, name: str) -> Iterator[Callable[[list[str]], list[str]]]:
    """Subscribe a queue to the notifications, and yield the function that returns those about jobs of some ids.

    Tests in other workers let other jobs fail meanwhile.
    """
    sqs, sns = applied.emulator.client("sqs"), applied.emulator.client("sns")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    subscription = sns.subscribe(
        TopicArn=applied.output["notification_topic_arn"]["value"],
        Protocol="sqs",
        Endpoint=sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )["SubscriptionArn"]
    messages: list[str] = []

    def about(ids: list[str]) -> list[str]:
        messages.extend(each["Body"] for each in sqs.receive_message(QueueUrl=url).get("Messages", []))
        return [text for text in messages if any(job in text for job in ids)]

    try:
        yield about
    finally:
        sns.unsubscribe(SubscriptionArn=subscription)
        sqs.delete_queue(QueueUrl=url)


@ONE_QUEUE
def test_a_failed_job_sends_a_notification(applied: Applied, upload: Callable[[str], str]) -> None:
    with _subscription(applied, "failed-job") as notifications:
        # The job fails: one byte is no SQLite file, and without an engine no container starts.
        uri = upload("uploads/no plate.sqlite")
        (text,) = _poll(lambda: notifications([job["jobId"] for job in _jobs_for(applied, uri)]))
    (job,) = _jobs_for(applied, uri)
    assert text == f"Job screening-sqlite ({job['jobId']}) has failed. See why with: cytobatch status {job['jobId']}"


@pytest.fixture
def with_priority(applied: Applied) -> Iterator[str]:
    """A definition that has a priority."""
    batch = applied.emulator.client("batch")
    definition = _file("fargate")
    registered = batch.register_job_definition(
        jobDefinitionName="hasty",
        type="container",
        platformCapabilities=["FARGATE"],
        schedulingPriority=1,
        containerProperties=definition["containerProperties"],
        parameters=definition["parameters"],
    )
    yield registered["jobDefinitionArn"]
    batch.deregister_job_definition(jobDefinition=registered["jobDefinitionArn"])


SHARE = {"shareIdentifier": "screening"}
PRIORITY = {"schedulingPriorityOverride": 1}
FAIR = "Job with shareIdentifier or schedulingPriority can only be submitted to job queue with fair share"


@pytest.mark.parametrize(
    ("fair", "priority", "arguments", "refusal"),
    [
        (False, False, SHARE, FAIR),
        (False, False, PRIORITY, FAIR),
        (False, True, {}, FAIR),
        (True, False, {}, "shareIdentifier must be specified"),
        (True, False, PRIORITY, "shareIdentifier must be specified"),
        (True, True, {}, "shareIdentifier must be specified"),
        (True, False, SHARE, "schedulingPriority"),
    ],
)
def test_a_queue_refuses_jobs_that_do_not_fit_its_scheduling(
    applied: Applied, with_priority: str, fair: bool, priority: bool, arguments: dict[str, Any], refusal: str
) -> None:
    queue = applied.resources["module.cytobatch.aws_batch_job_queue.events[0]"]["arn"]
    request: dict[str, Any] = {
        "jobName": "refused",
        "jobQueue": applied.deployment["queues"]["fargate"] if fair else queue,
        "jobDefinition": with_priority if priority else applied.deployment["definitions"]["fargate"],
        **arguments,
    }
    with pytest.raises(ClientError, match=refusal):
        applied.emulator.client("batch").submit_job(**request)


@ONE_QUEUE
def test_a_definition_with_a_priority_starts_no_job_from_an_event(
    applied: Applied, with_priority: str, upload: Callable[[str], str]
) -> None:
    events, sqs = applied.emulator.client("events"), applied.emulator.client("sqs")
    url = sqs.create_queue(QueueName="refused")["QueueUrl"]
    letters = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.s3"], "detail": {"object": {"key": [{"prefix": "hasty/"}]}}}
    events.put_rule(Name="hasty", EventPattern=json.dumps(pattern))
    target = {
        "Id": "job",
        "Arn": applied.resources["module.cytobatch.aws_batch_job_queue.events[0]"]["arn"],
        "RoleArn": applied.resources["module.cytobatch.aws_iam_role.events[0]"]["arn"],
        "BatchParameters": {"JobDefinition": with_priority, "JobName": "hasty"},
        "DeadLetterConfig": {"Arn": letters},
    }
    events.put_targets(Rule="hasty", Targets=[target])
    try:
        upload("hasty/P1")
        (message,) = _poll(lambda: sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages"))
    finally:
        events.remove_targets(Rule="hasty", Ids=["job"])
        events.delete_rule(Name="hasty")
        sqs.delete_queue(QueueUrl=url)
    assert FAIR in message["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]


def test_a_failure_with_quotation_marks_in_its_reason_sends_a_notification(applied: Applied) -> None:
    detail = {
        "jobId": "0b5d",
        "jobName": "screening-sqlite",
        "status": "FAILED",
        "statusReason": 'the reason is "no" \\',
        "jobQueue": applied.deployment["queues"]["fargate"],
        "arrayProperties": {},
    }
    entry = {"Source": "aws.batch", "DetailType": "Batch Job State Change", "Detail": json.dumps(detail)}
    with _subscription(applied, "quoted") as notifications:
        assert applied.emulator.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
        (text,) = _poll(lambda: notifications(["(0b5d)"]))
    assert text == "Job screening-sqlite (0b5d) has failed. See why with: cytobatch status 0b5d"
