"""Array jobs from end to end: the applied deployment, the program's own commands, and containers of the image."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from cytobatch.errors import ExitCode
from tests.support.containers import Image
from tests.support.emulator.lab import Put, RunCli, keys_below
from tests.support.emulator.start import Applied
from tests.support.paths import REPOSITORY
from tests.support.plates import write_sites

ENDED = {"SUCCEEDED", "FAILED"}
_TIMEOUT = 600
_LOG_LINES = 30


def ended(batch: Any, job: str, timeout: float = _TIMEOUT) -> dict[str, Any]:
    """Return the job when it and, if it is an array, its children have ended."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        (description,) = batch.describe_jobs(jobs=[job])["jobs"]
        if description["status"] in ENDED:
            return dict(description)
        time.sleep(0.5)
    raise AssertionError(f"job {job} is {description['status']} after {timeout} s")


def job_ids(out: str) -> list[str]:
    return next(line for line in out.splitlines() if line.startswith("follow")).split()[3:]


def log_of(lab: Applied, stream: str) -> str:
    group = lab.deployment["log_group"]
    answer = lab.emulator.client("logs").get_log_events(logGroupName=group, logStreamName=stream)
    return "\n".join(event["message"] for event in answer["events"])


def explained(lab: Applied, jobs: list[dict[str, Any]]) -> str:
    """Return why jobs ended as they did: state, reason and attempts of each, its log, and the emulator's own log."""
    lines = []
    for job in jobs:
        lines.append(f"{job['jobId']}: {job['status']}, {job.get('statusReason')}, {json.dumps(job['attempts'])}")
        stream = job.get("container", {}).get("logStreamName")
        lines += log_of(lab, stream).splitlines()[-_LOG_LINES:] if stream else ["(no log: no container has ended)"]
    return "\n".join([*lines, "emulator:", lab.emulator.log_tail()])


@pytest.mark.usefixtures("jobs_image")
def test_five_plates_are_converted_by_five_children_and_a_bad_one_fails_alone(
    lab: Applied, put: Put, run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, destination = (lab.deployment[name] for name in ("source_uri", "destination_uri"))
    for number in range(5):
        put(write_sites(tmp_path / f"P{number}", 1, objects=number + 2), f"{source}/array/P{number}")
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        f"defaults: {{destination: '{destination}/array/{{plate}}'}}\nplates:\n"
        + "".join(f"  - {{plate: P{number}, source: '{source}/array/P{number}'}}\n" for number in range(5))
    )
    # The listing is complete; reading fails.
    words = ("submit", "--job-spec", spec, "--name", "five")
    broken = tmp_path / "P3" / "P1-A01-1" / "Cells.csv"
    broken.write_bytes(b"")
    put(tmp_path / "P3", f"{source}/array/P3")
    code, out, err = run_cli(*words)
    assert code == ExitCode.OK, err
    assert "cytobatch-five: 5 plates on fargate_spot" in out
    assert "\ncollect  CYTOBATCH_TRUST_SPEC=true cytobatch collect --job-spec s3://" in out
    (job,) = job_ids(out)
    batch = lab.emulator.client("batch")
    assert ended(batch, job)["arrayProperties"]["size"] == 5
    children = batch.describe_jobs(jobs=[f"{job}:{index}" for index in range(5)])["jobs"]
    assert [child["status"] for child in children] == ["SUCCEEDED"] * 3 + ["FAILED", "SUCCEEDED"], explained(
        lab, children
    )
    s3 = lab.emulator.client("s3")
    for number in (0, 1, 2, 4):
        assert keys_below(s3, f"{destination}/array/P{number}") == {
            "single_cells.parquet",
            "columns.json",
            "run-report.json",
            "report.html",
        }
        assert f"P{number}: {number + 2} rows" in log_of(lab, children[number]["container"]["logStreamName"])
    assert keys_below(s3, f"{destination}/array/P3") == set()
    # Defective input is not retried.
    assert len(children[3]["attempts"]) == 1
    code, out, _ = run_cli("status", job)
    assert code == ExitCode.PLATES_FAILED
    assert f"{job}  cytobatch-five: 5 plates: 4 succeeded, 1 failed" in out
    assert f"P3  {job}:3" in out
    assert "exit code 3 (input data)" in out
    assert "| error: " in out
    assert "empty file" in out
    monkeypatch.setenv("CYTOBATCH_TRUST_SPEC", "true")
    code, out, err = run_cli("collect", "--job-spec", submitted_spec(out, batch, job), "--to", tmp_path / "overview")
    assert code == ExitCode.PLATES_FAILED, err
    assert "5 plates: 4 done, 1 missing" in out
    code, out, _ = run_cli(*words, "--skip-done", "--dry-run", "--keep-going")
    assert "done already: 4 of 5 plates" in out
    assert "1 plate, about" in out


def submitted_spec(_out: str, batch: Any, job: str) -> str:
    (description,) = batch.describe_jobs(jobs=[job])["jobs"]
    return str(description["parameters"]["spec"])


@pytest.mark.usefixtures("jobs_image")
def test_one_plate_is_a_plain_job(lab: Applied, put: Put, run_cli: RunCli, tmp_path: Path) -> None:
    source, destination = (lab.deployment[name] for name in ("source_uri", "destination_uri"))
    put(write_sites(tmp_path / "Q", 1), f"{source}/one/Q")
    words = ("--source", f"{source}/one/Q", "--destination", f"{destination}/one/{{plate}}", "--compute", "fargate")
    code, out, err = run_cli("submit", *words)
    assert code == ExitCode.OK, err
    (job,) = job_ids(out)
    plain = ended(lab.emulator.client("batch"), job)
    assert plain["status"] == "SUCCEEDED", explained(lab, [plain])
    assert "size" not in plain.get("arrayProperties", {})
    assert (plain["container"]["vcpus"], plain["container"]["memory"]) == (1, 4096)
    code, out, err = run_cli("status", job, "a-job-of-last-year")
    assert code == ExitCode.OK
    assert "1 plate: 1 succeeded" in out
    assert "a-job-of-last-year  is not known" in err
    record = f"{plain['parameters']['spec'].rsplit('/', 1)[0]}/submission.json"
    submission = json.loads(lab.emulator.client("s3").get_object(**bucket_and_key(record))["Body"].read())
    assert [one["id"] for one in submission["jobs"]] == [job]


def bucket_and_key(uri: str) -> dict[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def test_registered_definitions_equal_the_files_except_for_the_accounts_values(lab: Applied) -> None:
    batch = lab.emulator.client("batch")
    for kind, name in (("fargate", "fargate"), ("fargate_spot", "fargate-spot"), ("ec2_spot", "ec2-spot")):
        wanted = json.loads((REPOSITORY / "job-definitions" / f"{name}.json").read_text())
        registered = batch.describe_job_definitions(jobDefinitionName=lab.deployment["definitions"][kind].split("/")[1])
        (registered_definition,) = registered["jobDefinitions"]
        # The provider writes actions in lower case, which is the same to AWS.
        rules = [
            rule | {"action": rule["action"].upper()}
            for rule in registered_definition["retryStrategy"]["evaluateOnExit"]
        ]
        assert rules == wanted["retryStrategy"]["evaluateOnExit"]
        assert registered_definition["parameters"] == wanted["parameters"]
        container, wanted_container = registered_definition["containerProperties"], wanted["containerProperties"]
        assert container["command"] == wanted_container["command"]
        assert container["readonlyRootFilesystem"] is True
        assert container["mountPoints"] == wanted_container["mountPoints"]


def test_an_unknown_job_is_an_error(lab: Applied, run_cli: RunCli) -> None:
    assert lab
    code, _, err = run_cli("status", "3f2a0000-0000-0000-0000-000000000000")
    assert code == ExitCode.CONFIGURATION
    assert "no job 3f2a" in err


def test_a_missing_queue_is_an_error(lab: Applied, put: Put, run_cli: RunCli, tmp_path: Path) -> None:
    source, destination = (lab.deployment[name] for name in ("source_uri", "destination_uri"))
    put(write_sites(tmp_path / "G", 1), f"{source}/gone/G")
    gone = json.loads(json.dumps(lab.deployment))
    gone["queues"] = {kind: f"{arn}-gone" for kind, arn in gone["queues"].items()}
    path = tmp_path / "gone.json"
    path.write_text(json.dumps(gone))
    words = ("--source", f"{source}/gone/G", "--destination", f"{destination}/gone", "--deployment", path)
    code, _, err = run_cli("submit", *words)
    assert code == ExitCode.SERVICE
    assert "AWS refused" in err
    assert "-gone" in err


@pytest.mark.usefixtures("jobs_image")
@pytest.mark.parametrize(
    ("endpoint", "attempts", "code"),
    [(None, 1, ExitCode.ACCESS), ("http://127.0.0.1:9", 3, ExitCode.STORAGE)],
    ids=["no-bucket", "no-answer"],
)
def test_a_job_is_retried_if_a_store_fails_and_not_if_a_bucket_is_missing(
    endpoint: str | None, attempts: int, code: ExitCode, lab: Applied, jobs_image: Image
) -> None:
    assert jobs_image
    batch, deployment = lab.emulator.client("batch"), lab.deployment
    plate = {
        "plate": "P1",
        "source": "s3://a-bucket-that-is-not-there/P1",
        "destination": f"{deployment['destination_uri']}/x",
        "store_timeout": 2,
    }
    spec = {"version": 1, "plates": [plate | ({"endpoint_url": endpoint} if endpoint else {})]}
    job = batch.submit_job(
        jobName="no-bucket",
        jobQueue=deployment["queues"]["fargate"],
        jobDefinition=deployment["definitions"]["fargate"],
        shareIdentifier=deployment["share_identifier"],
        schedulingPriorityOverride=1,
        parameters={"spec": json.dumps(spec)},
        # As jobs of a lab: Prefect passes the exit code on.
        containerOverrides={"environment": [{"name": "CYTOBATCH_ORCHESTRATOR", "value": "prefect"}]},
    )["jobId"]
    failed = ended(batch, job)
    assert failed["status"] == "FAILED"
    assert len(failed["attempts"]) == attempts, explained(lab, [failed])
    assert failed["container"]["exitCode"] == code, explained(lab, [failed])
