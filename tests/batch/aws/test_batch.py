"""Array jobs from end to end: what Terraform applied, the program's own commands, and the image's containers."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from cytobatch.errors import ExitCode
from tests.support.containers import Image
from tests.support.emulator.fixtures import Applied
from tests.support.emulator.lab import Put, Say, keys_below
from tests.support.plates import write_sites

ENDED = {"SUCCEEDED", "FAILED"}
_PATIENCE = 600


def ended(batch: Any, job: str, patience: float = _PATIENCE) -> dict[str, Any]:
    """The job when it and, if it is an array, its children have ended."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        (said,) = batch.describe_jobs(jobs=[job])["jobs"]
        if said["status"] in ENDED:
            return dict(said)
        time.sleep(1)
    raise AssertionError(f"job {job} is {said['status']} after {patience} s")


def job_ids(out: str) -> list[str]:
    return next(line for line in out.splitlines() if line.startswith("follow")).split()[3:]


def log_of(lab: Applied, stream: str) -> str:
    events = lab.emulator.client("logs").get_log_events(logGroupName=lab.deployment["log_group"], logStreamName=stream)[
        "events"
    ]
    return "\n".join(event["message"] for event in events)


@pytest.mark.usefixtures("jobs_image")
def test_five_plates_are_converted_by_five_children_and_a_bad_one_fails_alone(
    lab: Applied, put: Put, say: Say, tmp_path: Path
) -> None:
    source, destination = (lab.deployment[name] for name in ("source_uri", "destination_uri"))
    for number in range(5):
        put(write_sites(tmp_path / f"P{number}", 1, objects=number + 2), f"{source}/array/P{number}")
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        f"defaults: {{destination: '{destination}/array/{{plate}}'}}\nplates:\n"
        + "".join(f"  - {{plate: P{number}, source: '{source}/array/P{number}'}}\n" for number in range(5))
    )
    # Complete when it was looked at, and broken when it is read.
    words = ("submit", "--job-spec", spec, "--name", "five")
    broken = tmp_path / "P3" / "P1-A01-1" / "Cells.csv"
    broken.write_bytes(b"")
    put(tmp_path / "P3", f"{source}/array/P3")
    code, out, err = say(*words)
    assert code == ExitCode.OK, err
    assert "cytobatch-five: 5 plates on fargate_spot" in out
    (job,) = job_ids(out)
    batch = lab.emulator.client("batch")
    said = ended(batch, job)
    assert said["arrayProperties"]["size"] == 5
    children = batch.describe_jobs(jobs=[f"{job}:{index}" for index in range(5)])["jobs"]
    assert [child["status"] for child in children] == ["SUCCEEDED"] * 3 + ["FAILED", "SUCCEEDED"]
    s3 = lab.emulator.client("s3")
    for number in (0, 1, 2, 4):
        assert keys_below(s3, f"{destination}/array/P{number}") == {"single_cells.parquet", "run-report.json"}
        assert f"P{number}: {number + 2} rows" in log_of(lab, children[number]["container"]["logStreamName"])
    assert keys_below(s3, f"{destination}/array/P3") == set()
    # A fault of the input is not tried again.
    assert len(children[3]["attempts"]) == 1
    code, out, _ = say("status", job)
    assert code == ExitCode.PLATES_FAILED
    assert f"{job}  cytobatch-five: 5 plates: 4 succeeded, 1 failed" in out
    assert f"P3  {job}:3" in out
    assert "exit code 3 (input data)" in out
    assert "| error: " in out
    assert "empty file" in out
    code, out, _ = say("collect", "--job-spec", submitted_spec(out, batch, job), "--to", tmp_path / "overview")
    assert code == ExitCode.PLATES_FAILED
    assert "5 plate(s): 4 done, 1 missing" in out
    code, out, _ = say(*words, "--skip-done", "--dry-run", "--keep-going")
    assert "4 of 5 plates are done already" in out
    assert "1 plate, about" in out


def submitted_spec(_out: str, batch: Any, job: str) -> str:
    (said,) = batch.describe_jobs(jobs=[job])["jobs"]
    return str(said["parameters"]["spec"])


@pytest.mark.usefixtures("jobs_image")
def test_one_plate_is_a_plain_job(lab: Applied, put: Put, say: Say, tmp_path: Path) -> None:
    source, destination = (lab.deployment[name] for name in ("source_uri", "destination_uri"))
    put(write_sites(tmp_path / "Q", 1), f"{source}/one/Q")
    words = ("--source", f"{source}/one/Q", "--destination", f"{destination}/one/{{plate}}", "--compute", "fargate")
    code, out, err = say("submit", *words)
    assert code == ExitCode.OK, err
    (job,) = job_ids(out)
    said = ended(lab.emulator.client("batch"), job)
    assert said["status"] == "SUCCEEDED"
    assert "size" not in said.get("arrayProperties", {})
    assert (said["container"]["vcpus"], said["container"]["memory"]) == (1, 4096)
    code, out, err = say("status", job, "a-job-of-last-year")
    assert code == ExitCode.OK
    assert "1 plate: 1 succeeded" in out
    assert "a-job-of-last-year  is not known" in err
    kept = json.loads(
        lab.emulator.client("s3")
        .get_object(**place_of(f"{said['parameters']['spec'].rsplit('/', 1)[0]}/submission.json"))["Body"]
        .read()
    )
    assert [one["id"] for one in kept["jobs"]] == [job]


def place_of(uri: str) -> dict[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def test_what_terraform_registered_is_the_file_but_for_what_is_of_the_account(lab: Applied) -> None:
    batch = lab.emulator.client("batch")
    for kind, name in (("fargate", "fargate"), ("fargate_spot", "fargate-spot"), ("ec2_spot", "ec2-spot")):
        wanted = json.loads((Path(__file__).parents[3] / "job-definitions" / f"{name}.json").read_text())
        registered = batch.describe_job_definitions(jobDefinitionName=lab.deployment["definitions"][kind].split("/")[1])
        (found,) = registered["jobDefinitions"]
        # The provider writes actions in lower case, which to AWS is the same.
        rules = [rule | {"action": rule["action"].upper()} for rule in found["retryStrategy"]["evaluateOnExit"]]
        assert rules == wanted["retryStrategy"]["evaluateOnExit"]
        assert found["parameters"] == wanted["parameters"]
        own, said = found["containerProperties"], wanted["containerProperties"]
        assert own["command"] == said["command"]
        assert own["readonlyRootFilesystem"] is True
        assert own["mountPoints"] == said["mountPoints"]


def test_a_job_that_is_not_known_is_told(lab: Applied, say: Say) -> None:
    assert lab
    code, _, err = say("status", "3f2a0000-0000-0000-0000-000000000000")
    assert code == ExitCode.CONFIGURATION
    assert "no job 3f2a" in err


def test_a_queue_that_is_gone_is_told(lab: Applied, put: Put, say: Say, tmp_path: Path) -> None:
    source, destination = (lab.deployment[name] for name in ("source_uri", "destination_uri"))
    put(write_sites(tmp_path / "G", 1), f"{source}/gone/G")
    gone = json.loads(json.dumps(lab.deployment))
    gone["queues"] = {kind: f"{arn}-gone" for kind, arn in gone["queues"].items()}
    path = tmp_path / "gone.json"
    path.write_text(json.dumps(gone))
    words = ("--source", f"{source}/gone/G", "--destination", f"{destination}/gone", "--deployment", path)
    code, _, err = say("submit", *words)
    assert code == ExitCode.SERVICE
    assert "AWS refused" in err
    assert "-gone" in err


@pytest.mark.usefixtures("jobs_image")
def test_a_storage_fault_is_tried_again(lab: Applied, jobs_image: Image) -> None:
    assert jobs_image
    batch, said = lab.emulator.client("batch"), lab.deployment
    job = batch.submit_job(
        jobName="no-bucket",
        jobQueue=said["queues"]["fargate"],
        jobDefinition=said["definitions"]["fargate"],
        shareIdentifier=said["share_identifier"],
        schedulingPriorityOverride=1,
        parameters={"source": "s3://a-bucket-that-is-not-there/P1", "destination": f"{said['destination_uri']}/x"},
    )["jobId"]
    said = ended(batch, job)
    assert said["status"] == "FAILED"
    assert len(said["attempts"]) == 3
    assert said["container"]["exitCode"] == ExitCode.STORAGE
