"""What the program asks of S3, and whether the job's policy allows that and no more.

The requests are those of real runs, seen by a proxy, as obstore sends some of them and botocore others. No emulator
enforces policies: they are read as IAM reads them.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cytobatch.batch.aws.array_jobs import arrays_of
from cytobatch.batch.aws.deployment import parse_deployment
from cytobatch.batch.aws.preflight import inspect
from cytobatch.batch.aws.submit import new_folder
from cytobatch.batch.collect import gather
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
from tests.support.asked_of_s3 import Call, allows, call_of
from tests.support.emulator.fixtures import Applied
from tests.support.plates import cytominer_tables, site_tables, write_sites, write_sqlite
from tests.support.recorder import recorded

Policy = dict[str, Any]


@pytest.fixture(scope="session")
def job_policy(applied: Applied) -> Policy:
    """The job role's policy as it was applied."""
    role = applied.resources["module.cytobatch.aws_iam_role.job"]["name"]
    iam = applied.emulator.client("iam")
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    return dict(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])


@pytest.fixture
def places(applied: Applied, s3: Any) -> tuple[str, str, str]:
    """Source, destination and jobs as the deployment has them, their buckets being of the tests' own S3 server."""
    said = applied.deployment
    found = (said["source_uri"], said["destination_uri"], said["jobs_uri"])
    for bucket in {uri.removeprefix("s3://").partition("/")[0] for uri in found}:
        s3.create_bucket(Bucket=bucket)
    return found


@contextmanager
def calls(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Call]]:
    """What is asked of S3 within it, in IAM's words."""
    found: list[Call] = []
    with proxy(url) as (address, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield found
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    found.extend(call_of(one) for one in asked)


def put(s3: Any, local: Path, uri: str) -> None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    files = [local] if local.is_file() else [path for path in sorted(local.rglob("*")) if path.is_file()]
    for path in files:
        below = "" if local.is_file() else f"/{path.relative_to(local).as_posix()}"
        s3.upload_file(str(path), bucket, f"{key}{below}")


def every_way_of_a_job(s3: Any, places: tuple[str, str, str], tmp_path: Path) -> None:
    """Runs as jobs do: specs read; folders, files and markers converted, again, done already, and failing."""
    source, destination, jobs = places
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


def test_the_job_role_may_do_what_a_job_does_and_only_there(
    s3: Any, aws: str, job_policy: Policy, places: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with calls(aws, monkeypatch) as asked:
        every_way_of_a_job(s3, places, tmp_path)
    seen = {call.action for call in asked}
    assert seen == {"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"}
    # The tests' own uploads go through the client that is older than the proxy.
    refused = [call for call in asked if not allows([job_policy], call)]
    assert refused == []
    for call in set(asked):
        assert not allows([job_policy], elsewhere(call, places)), call


def elsewhere(call: Call, places: tuple[str, str, str]) -> Call:
    """The same action outside of the prefix: beside the deployment's folders, as a name that merely begins alike."""
    if call.action == "s3:ListBucket":
        return Call(call.action, call.resource, {"s3:prefix": "elsewhere/x"})
    bucket = call.resource.removeprefix("arn:aws:s3:::").partition("/")[0]
    folder = next(uri for uri in places if uri.startswith(f"s3://{bucket}/")).rsplit("/", 1)[-1]
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


def test_who_submits_may_do_what_that_takes(
    s3: Any, aws: str, applied: Applied, places: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, destination, _ = places
    deployment = parse_deployment(json.dumps(applied.output), "outputs")
    put(s3, write_sites(tmp_path / "P1", 1), f"{source}/P1")
    job = PlateJob(source=f"{source}/P1", destination=f"{destination}/P1", skip_done=True)
    with calls(aws, monkeypatch) as asked:
        list_folders(source, Access())
        (plate,) = inspect([job])
        (array,) = arrays_of([plate.need], deployment, None, new_folder(deployment), "P1")
        write_text(array.spec, resolved_spec([job]).model_dump_json(exclude_none=True), Access())
        load_spec(array.spec, read_settings(), PlateOptions())
        gather([job])
    assert {call.action for call in asked} >= {"s3:GetObject", "s3:ListBucket", "s3:PutObject"}
    policy = managed_policy(applied, "submitter_policy_arn")
    assert [call for call in asked if not allows([policy], call)] == []


def managed_policy(applied: Applied, output: str) -> Policy:
    """A managed policy as it was applied."""
    iam, arn = applied.emulator.client("iam"), applied.output[output]["value"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return dict(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])


def test_who_submits_may_submit_these_jobs_and_see_what_becomes_of_them(applied: Applied) -> None:
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


# What an operation needs: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
ACTIONS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
}


def test_every_call_of_the_suite_is_allowed(
    applied: Applied, job_policy: Policy, places: tuple[str, str, str], s3: Any
) -> None:
    """Each operation that the program asked for while the tests ran, this one being the last of them."""
    assert s3
    run_plate_somewhere(places)
    submitter = managed_policy(applied, "submitter_policy_arn")
    for service, operation in sorted(recorded):
        if service == "s3":
            assert allows([job_policy], at_home(ACTIONS[operation], places)), operation
        else:
            assert allowed_to_submit(f"{service}:{operation}", submitter, applied), operation
    assert ("s3", "ListObjectsV2") in recorded


def run_plate_somewhere(places: tuple[str, str, str]) -> None:
    """So that there is a call to look at, however few tests were chosen."""
    with pytest.raises(CytobatchError):
        run_plate(PlateJob(source=f"{places[0]}/absent", destination=f"{places[1]}/absent"))


def at_home(action: str, places: tuple[str, str, str]) -> Call:
    """The action where jobs take it: below the source or the destination."""
    bucket, _, key = places[0 if action == "s3:ListBucket" else 1].removeprefix("s3://").partition("/")
    if action == "s3:ListBucket":
        return Call(action, f"arn:aws:s3:::{bucket}", {"s3:prefix": f"{key}/P1"})
    return Call(action, f"arn:aws:s3:::{bucket}/{key}/P1/x")


def allowed_to_submit(action: str, policy: Policy, applied: Applied) -> bool:
    queue = applied.deployment["queues"]["fargate"]
    group = f"arn:aws:logs:us-east-1:123456789012:log-group:{applied.deployment['log_group']}:log-stream:x"
    return any(allows([policy], Call(action, resource)) for resource in (queue, group, "*"))
