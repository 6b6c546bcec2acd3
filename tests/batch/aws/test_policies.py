"""The program's requests to S3, and the job's policy, which must allow those and no more.

A proxy records the requests of real runs, because obstore sends some of them and botocore others. No emulator enforces
policies: they are evaluated as IAM does.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cytobatch.batch.aws.deployment import parse_deployment
from cytobatch.batch.aws.preflight import inspect
from cytobatch.batch.aws.submit import plan_submission
from cytobatch.batch.collect import gather, publish
from cytobatch.config.environment import read_settings
from cytobatch.config.job_spec import resolved_spec
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.errors import CytobatchError
from cytobatch.pipeline.plate import run_plate
from cytobatch.pipeline.resolve_jobs import load_spec
from cytobatch.storage.access import Access
from cytobatch.storage.destination import write_text
from cytobatch.storage.source import list_folders
from proxy import proxy
from tests.support.emulator.start import Applied
from tests.support.iam import Call, allows, call_of
from tests.support.plates import cytominer_tables, site_tables, write_sites, write_sqlite
from tests.support.recorder import Operation, unreported_operations

Policy = dict[str, Any]

_UPLOADS = "s3:ListBucketMultipartUploads"


@pytest.fixture(scope="session")
def job_policy(applied: Applied) -> Policy:
    """The job role's policy, as applied."""
    role = applied.resources["module.cytobatch.aws_iam_role.job"]["name"]
    iam = applied.emulator.client("iam")
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    return dict(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])


@pytest.fixture
def locations(applied: Applied, s3: Any) -> tuple[str, str, str]:
    """The deployment's source, destination and jobs, with buckets of these names on the tests' S3 server."""
    source, destination, jobs = (applied.deployment[f"{name}_uri"] for name in ("source", "destination", "jobs"))
    for bucket in {uri.removeprefix("s3://").partition("/")[0] for uri in (source, destination, jobs)}:
        s3.create_bucket(Bucket=bucket)
    return source, destination, jobs


@contextmanager
def calls(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Call]]:
    """Record the requests to S3 as actions of IAM. The list is filled at the end."""
    recorded: list[Call] = []
    with proxy(url) as (address, requests):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield recorded
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    recorded.extend(call_of(request) for request in requests)


def put(s3: Any, local: Path, uri: str) -> None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    files = [local] if local.is_file() else [path for path in sorted(local.rglob("*")) if path.is_file()]
    for path in files:
        below = "" if local.is_file() else f"/{path.relative_to(local).as_posix()}"
        s3.upload_file(str(path), bucket, f"{key}{below}")


def every_way_of_a_job(s3: Any, locations: tuple[str, str, str], tmp_path: Path) -> None:
    """Run plates as jobs do: from specs, folders and files; once more, up to date, and failing."""
    source, destination, jobs = locations
    put(s3, write_sites(tmp_path / "P1", 2), f"{source}/P1")
    write_sqlite(tmp_path / "P2.sqlite", cytominer_tables(site_tables(7), "t"))
    put(s3, tmp_path / "P2.sqlite", f"{source}/P2 +ü.sqlite")
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"plates": [{"source": f"{source}/P1", "destination": f"{destination}/P1"}]}))
    put(s3, spec, f"{jobs}/x/plates-0.json")
    load_spec(f"{jobs}/x/plates-0.json", read_settings(), PlateOptions())
    first = PlateJob(source=f"{source}/P1", destination=f"{destination}/P1", well_profiles="median")
    run_plate(first)
    run_plate(first.model_copy(update={"skip_done": True}))
    run_plate(first.model_copy(update={"well_profiles": None}))
    run_plate(PlateJob(source=f"{source}/P2 +ü.sqlite", destination=f"{destination}/P2.parquet", skip_done=True))
    with pytest.raises(CytobatchError):
        run_plate(PlateJob(source=f"{source}/absent", destination=f"{destination}/absent"))


@pytest.mark.xdist_group("policies")
def test_the_job_role_may_do_what_a_job_does_and_only_there(
    s3: Any,
    aws: str,
    job_policy: Policy,
    locations: tuple[str, str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with calls(aws, monkeypatch) as recorded:
        every_way_of_a_job(s3, locations, tmp_path)
    actions = {call.action for call in recorded}
    assert actions == {
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
    }
    # The tests' own uploads bypass the proxy: their client is older.
    refused = [call for call in recorded if not allows([job_policy], call)]
    assert refused == []
    for call in set(recorded):
        assert not allows([job_policy], elsewhere(call, locations)), call


def elsewhere(call: Call, locations: tuple[str, str, str]) -> Call:
    """Return the same action outside of the prefix: beside the deployment's folders, under a longer name."""
    if call.action == "s3:ListBucket":
        return Call(call.action, call.resource, {"s3:prefix": "elsewhere/x"})
    if call.action == _UPLOADS:
        # It has no condition for a prefix: names of uploads in the whole bucket are listed.
        return Call(call.action, f"{call.resource}-of-others")
    bucket = call.resource.removeprefix("arn:aws:s3:::").partition("/")[0]
    folder = next(uri for uri in locations if uri.startswith(f"s3://{bucket}/")).rsplit("/", 1)[-1]
    return Call(call.action, f"arn:aws:s3:::{bucket}/{folder}-of-others/x")


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"])
def test_the_job_role_may_do_nothing_in_another_bucket(action: str, job_policy: Policy, applied: Applied) -> None:
    source = applied.deployment["source_uri"].removeprefix("s3://")
    key = source.partition("/")[2]
    bucket = f"{source.partition('/')[0]}-of-others"
    resource = f"arn:aws:s3:::{bucket}" if action == "s3:ListBucket" else f"arn:aws:s3:::{bucket}/{key}/x"
    assert not allows([job_policy], Call(action, resource, {"s3:prefix": key}))


@pytest.mark.parametrize("action", ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:PutObjectAcl"])
@pytest.mark.parametrize("place", ["source_uri", "jobs_uri"])
def test_the_job_role_writes_nothing_but_profiles(
    action: str, place: str, job_policy: Policy, applied: Applied
) -> None:
    assert not allows([job_policy], Call(action, f"arn:aws:s3:::{applied.deployment[place][5:]}/x"))


@pytest.mark.parametrize(
    "action", ["s3:DeleteBucket", "s3:PutBucketPolicy", "s3:ListAllMyBuckets", "iam:PassRole", "batch:SubmitJob"]
)
def test_the_job_role_does_nothing_else(action: str, job_policy: Policy, applied: Applied) -> None:
    bucket = applied.deployment["destination_uri"][5:].partition("/")[0]
    for resource in ("*", f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/profiles/x"):
        assert not allows([job_policy], Call(action, resource))


@pytest.mark.xdist_group("policies")
def test_the_submitter_may_do_what_a_submission_takes(
    s3: Any,
    aws: str,
    applied: Applied,
    locations: tuple[str, str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, destination, _ = locations
    deployment = parse_deployment(json.dumps(applied.output), "outputs")
    put(s3, write_sites(tmp_path / "P1", 1), f"{source}/P1")
    job = PlateJob(source=f"{source}/P1", destination=f"{destination}/P1", skip_done=True)
    with calls(aws, monkeypatch) as recorded:
        list_folders(source, Access())
        (plate,) = inspect([job])
        planned = plan_submission([plate.need], deployment, None, "P1")
        (array,) = planned.arrays
        write_text(array.spec, resolved_spec([job]).model_dump_json(exclude_none=True), Access())
        load_spec(array.spec, read_settings(), PlateOptions())
        publish(gather([job]), f"{planned.folder}/overview", Access())
    assert {call.action for call in recorded} >= {"s3:GetObject", "s3:ListBucket", "s3:PutObject"}
    policy = managed_policy(applied, "submitter_policy_arn")
    assert [call for call in recorded if not allows([policy], call)] == []


def managed_policy(applied: Applied, output: str) -> Policy:
    """Return a managed policy, as applied."""
    iam, arn = applied.emulator.client("iam"), applied.output[output]["value"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return dict(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])


def test_the_submitter_may_submit_these_jobs_and_follow_them(applied: Applied) -> None:
    policy = managed_policy(applied, "submitter_policy_arn")
    array = applied.deployment
    for queue, definition in zip(array["queues"].values(), array["definitions"].values(), strict=True):
        assert allows([policy], Call("batch:SubmitJob", queue))
        assert allows([policy], Call("batch:SubmitJob", f"{definition}:3"))
    assert not allows([policy], Call("batch:SubmitJob", f"{array['queues']['fargate']}-of-others"))
    for action in ("batch:DescribeJobs", "batch:ListJobs"):
        assert allows([policy], Call(action, "*"))
    group = f"arn:aws:logs:us-east-1:123456789012:log-group:{array['log_group']}:log-stream:x"
    assert allows([policy], Call("logs:GetLogEvents", group))


# The action that allows an operation: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
ACTIONS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListMultipartUploads": _UPLOADS,
    "ListObjectsV2": "s3:ListBucket",
    "ListParts": "s3:ListMultipartUploadParts",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
}


def test_every_call_of_the_suite_is_allowed(
    applied: Applied,
    job_policy: Policy,
    locations: tuple[str, str, str],
    s3: Any,
    suite_operations: set[Operation],
) -> None:
    """Checks the operations that the program requested in all tests of this run. This test runs last."""
    assert s3
    run_plate_somewhere(locations)
    operations = suite_operations | unreported_operations()
    submitter = managed_policy(applied, "submitter_policy_arn")
    for service, operation in sorted(operations):
        if service == "s3":
            assert allows([job_policy], in_deployment(ACTIONS[operation], locations)), operation
        else:
            assert allowed_to_submit(f"{service}:{operation}", submitter, applied), operation
    assert ("s3", "ListObjectsV2") in operations


def run_plate_somewhere(locations: tuple[str, str, str]) -> None:
    """Make a call, because a run of few tests may have no other."""
    with pytest.raises(CytobatchError):
        run_plate(PlateJob(source=f"{locations[0]}/absent", destination=f"{locations[1]}/absent"))


def in_deployment(action: str, locations: tuple[str, str, str]) -> Call:
    """Return the action as jobs take it: below the source or the destination."""
    bucket, _, key = locations[0 if action == "s3:ListBucket" else 1].removeprefix("s3://").partition("/")
    if action == "s3:ListBucket":
        return Call(action, f"arn:aws:s3:::{bucket}", {"s3:prefix": f"{key}/P1"})
    if action == _UPLOADS:
        return Call(action, f"arn:aws:s3:::{bucket}")
    return Call(action, f"arn:aws:s3:::{bucket}/{key}/P1/x")


def allowed_to_submit(action: str, policy: Policy, applied: Applied) -> bool:
    queue = applied.deployment["queues"]["fargate"]
    group = f"arn:aws:logs:us-east-1:123456789012:log-group:{applied.deployment['log_group']}:log-stream:x"
    return any(allows([policy], Call(action, resource)) for resource in (queue, group, "*"))
