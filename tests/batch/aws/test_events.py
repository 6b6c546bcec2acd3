"""Uploads that start jobs: a real PutObject, S3's event, the applied rule and target, a container."""

import json
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cytobatch.errors import ExitCode
from cytobatch.storage.access import Access, read_text
from tests.batch.aws.test_batch import bucket_and_key, ended, explained, log_of
from tests.support.emulator.lab import Put, keys_below
from tests.support.emulator.start import Applied
from tests.support.plates import cytominer_tables, site_tables, write_sites, write_sqlite

# All tests here observe one queue.
pytestmark = pytest.mark.xdist_group("uploads")
WHOLE = {"single_cells.parquet", "columns.json", "run-report.json", "report.html"}


class Watch:
    """The jobs of the events' queue, and those of them that are new."""

    def __init__(self, lab: Applied) -> None:
        self.batch = lab.emulator.client("batch")
        self._queue = lab.resources["module.cytobatch.aws_batch_job_queue.events[0]"]["arn"]
        self._known = set(self._ids())

    def _ids(self) -> list[str]:
        states = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
        answers = [self.batch.list_jobs(jobQueue=self._queue, jobStatus=state) for state in states]
        return [job["jobId"] for answer in answers for job in answer["jobSummaryList"]]

    def new(self, uploaded: str) -> list[dict[str, Any]]:
        """Return the new jobs of an uploaded object when they have ended, of which there must be one."""
        end = time.monotonic() + 120
        fresh: set[str] = set()
        while not fresh and time.monotonic() < end:
            fresh = set(self._ids()) - self._known
            fresh = {job for job in fresh if self._is_of(job, uploaded)}
            time.sleep(0.5)
        assert len(fresh) == 1
        self._known |= fresh
        return [ended(self.batch, job) for job in sorted(fresh)]

    def _is_of(self, job: str, uploaded: str) -> bool:
        (description,) = self.batch.describe_jobs(jobs=[job])["jobs"]
        return uploaded in description["parameters"].values()

    def others(self) -> list[tuple[Any, ...]]:
        """Return the parameters and the creation times of all other new jobs."""
        fresh = sorted(set(self._ids()) - self._known)
        jobs = self.batch.describe_jobs(jobs=fresh)["jobs"] if fresh else []
        return [(job["jobId"], job["parameters"], job["createdAt"], job["status"]) for job in jobs]


@pytest.fixture
def watch(lab: Applied) -> Watch:
    return Watch(lab)


@pytest.fixture
def sqlite(tmp_path: Path) -> Path:
    write_sqlite(tmp_path / "plate.sqlite", cytominer_tables(site_tables(7), "t"))
    return tmp_path / "plate.sqlite"


@pytest.mark.usefixtures("jobs_image")
def test_a_sqlite_file_of_an_unusual_name_becomes_a_profile_of_that_name(
    lab: Applied, put: Put, watch: Watch, sqlite: Path, tmp_path: Path
) -> None:
    name = "BR 1+2 (ü, 細胞) & co=x"
    uploaded = f"{lab.deployment['source_uri']}/batch 7/{name}.sqlite"
    put(sqlite, uploaded)
    (job,) = watch.new(uploaded)
    assert job["status"] == "SUCCEEDED", explained(lab, [job])
    s3, profile = lab.emulator.client("s3"), f"{lab.deployment['destination_uri']}/{name}"
    assert keys_below(s3, profile) == WHOLE
    s3.download_file(*bucket_and_key(f"{profile}/single_cells.parquet").values(), str(tmp_path / "out.parquet"))
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == 7
    report = json.loads(read_text(f"{profile}/run-report.json", Access()))
    assert report["source"].endswith(f"{name}.sqlite")


@pytest.mark.usefixtures("jobs_image")
def test_the_marker_starts_a_plate_of_csv_files_and_the_files_do_not(
    lab: Applied, put: Put, watch: Watch, tmp_path: Path
) -> None:
    folder = f"{lab.deployment['source_uri']}/csv/M 1"
    put(write_sites(tmp_path / "in", 2), folder)
    assert watch.others() == []
    (tmp_path / "_SUCCESS").write_bytes(b"")
    put(tmp_path / "_SUCCESS", f"{folder}/_SUCCESS")
    (job,) = watch.new(f"{folder}/_SUCCESS")
    assert job["status"] == "SUCCEEDED", explained(lab, [job])
    assert keys_below(lab.emulator.client("s3"), f"{lab.deployment['destination_uri']}/M 1") == WHOLE


@pytest.mark.usefixtures("jobs_image")
def test_a_job_spec_starts_its_plates(lab: Applied, put: Put, watch: Watch, tmp_path: Path) -> None:
    source, destination = (lab.deployment[name] for name in ("source_uri", "destination_uri"))
    plates = []
    for name in ("S1", "S2"):
        put(write_sites(tmp_path / name, 1), f"{source}/spec/{name}")
        plates.append({"plate": name, "source": f"{source}/spec/{name}", "destination": f"{destination}/spec/{name}"})
    spec = tmp_path / "both.cytobatch.json"
    spec.write_text(json.dumps({"plates": plates}))
    uploaded = f"{source}/specs/both of them.cytobatch.json"
    put(spec, uploaded)
    (job,) = watch.new(uploaded)
    assert job["status"] == "SUCCEEDED", explained(lab, [job])
    s3 = lab.emulator.client("s3")
    assert [keys_below(s3, f"{destination}/spec/{name}") for name in ("S1", "S2")] == [WHOLE, WHOLE]


@pytest.mark.long
@pytest.mark.usefixtures("jobs_image")
def test_an_event_that_is_delivered_twice_gives_one_result(lab: Applied, put: Put, watch: Watch, sqlite: Path) -> None:
    uploaded = f"{lab.deployment['source_uri']}/twice/T1.sqlite"
    put(sqlite, uploaded)
    (first,) = watch.new(uploaded)
    s3, profile = lab.emulator.client("s3"), f"{lab.deployment['destination_uri']}/T1"
    versions = [versions_of(s3, f"{profile}/{name}") for name in sorted(WHOLE)]
    # The same request again, as EventBridge would send it.
    batch = watch.batch
    again = batch.submit_job(
        jobName=first["jobName"],
        jobQueue=first["jobQueue"],
        jobDefinition=first["jobDefinition"],
        parameters=first["parameters"],
        containerOverrides={"environment": [{"name": "CYTOBATCH_SKIP_DONE", "value": "true"}]},
    )["jobId"]
    second = ended(batch, again)
    assert [first["status"], second["status"]] == ["SUCCEEDED", "SUCCEEDED"], explained(lab, [first, second])
    assert {"name": "CYTOBATCH_SKIP_DONE", "value": "true"} in first["container"]["environment"]
    assert "done already" in log_of(lab, second["container"]["logStreamName"])
    assert [versions_of(s3, f"{profile}/{name}") for name in sorted(WHOLE)] == versions


@pytest.mark.usefixtures("jobs_image")
def test_a_plate_of_the_same_name_in_another_folder_replaces_nothing(
    lab: Applied, put: Put, watch: Watch, sqlite: Path, tmp_path: Path
) -> None:
    source, profile = lab.deployment["source_uri"], f"{lab.deployment['destination_uri']}/N1"
    put(sqlite, f"{source}/monday/N1.sqlite")
    (first,) = watch.new(f"{source}/monday/N1.sqlite")
    assert first["status"] == "SUCCEEDED", explained(lab, [first])
    s3 = lab.emulator.client("s3")
    versions = versions_of(s3, f"{profile}/single_cells.parquet")
    write_sqlite(tmp_path / "other.sqlite", cytominer_tables(site_tables(9), "t"))
    put(tmp_path / "other.sqlite", f"{source}/tuesday/N1.sqlite")
    (second,) = watch.new(f"{source}/tuesday/N1.sqlite")
    assert (second["status"], second["container"]["exitCode"]) == ("FAILED", ExitCode.CONFIGURATION)
    assert "destination has the profile of another source" in log_of(lab, second["container"]["logStreamName"])
    assert versions_of(s3, f"{profile}/single_cells.parquet") == versions
    assert keys_below(s3, profile) == WHOLE


def versions_of(s3: Any, uri: str) -> list[str]:
    location = bucket_and_key(uri)
    versions = s3.list_object_versions(Bucket=location["Bucket"], Prefix=location["Key"])["Versions"]
    return [version["VersionId"] for version in versions]


def test_uploads_that_are_no_plate_start_no_job(lab: Applied, put: Put, watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    source, destination = (lab.deployment[name] for name in ("source_uri", "destination_uri"))
    for uri in (f"{source}/P1.sqlite.part", f"{source}/x_SUCCESS", f"{destination}/P1.sqlite", f"{source}/job.json"):
        put(tmp_path / "f", uri)
    time.sleep(2)
    assert watch.others() == []


def test_a_key_that_fits_into_no_parameter_is_kept_as_a_dead_letter(
    lab: Applied, put: Put, watch: Watch, sqlite: Path
) -> None:
    queue = lab.output["dead_letter_queue_url"]["value"]
    put(sqlite, f'{lab.deployment["source_uri"]}/a "quoted" name.sqlite')
    sqs = lab.emulator.client("sqs")
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert json.loads(message["Body"])["detail"]["object"]["key"].endswith('a "quoted" name.sqlite')
    assert watch.others() == []
