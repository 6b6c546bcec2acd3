"""A job spec that is larger than any spec is refused before it is read."""

from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateOptions
from cytobatch.errors import ExitCode, JobSpecError
from cytobatch.pipeline.resolve_jobs import resolve_jobs
from cytobatch.storage import spec_file

_SPEC = b'{"plates": [{"plate": "P1", "source": "s3://b/P1", "destination": "s3://b/out"}]}'


@pytest.fixture(params=["disk", "bucket"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A function that stores a spec, and returns its path or URI."""

    def on_disk(content: bytes) -> str:
        (tmp_path / "job.json").write_bytes(content)
        return str(tmp_path / "job.json")

    def in_bucket(content: bytes) -> str:
        s3, bucket = request.getfixturevalue("s3"), request.getfixturevalue("bucket")
        s3.put_object(Bucket=bucket, Key="job.json", Body=content)
        return f"s3://{bucket}/job.json"

    return on_disk if request.param == "disk" else in_bucket


def plates(spec: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("CYTOBATCH_TRUST_SPEC", "true")
    return [job.label for job in resolve_jobs(PlateOptions(), spec, "test")]


def test_a_spec_of_the_most_bytes_is_read_and_one_of_more_is_not(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec_file, "MOST_BYTES", 2**20)
    assert plates(stored(_SPEC.ljust(2**20)), monkeypatch) == ["P1"]
    with pytest.raises(JobSpecError, match="has more than 1 MiB") as caught:
        plates(stored(_SPEC.ljust(2**20 + 1)), monkeypatch)
    assert caught.value.exit_code == ExitCode.CONFIGURATION


@pytest.mark.parametrize("source", ["a sparse file", "a device without an end"])
def test_a_local_file_of_any_size_is_refused(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("/dev/zero")
    if source == "a sparse file":
        path = tmp_path / "job.json"
        with path.open("wb") as stream:
            stream.truncate(2**31)
    elif not path.exists():
        pytest.skip("this system has no such device")
    with pytest.raises(JobSpecError, match="job spec is too large"):
        plates(str(path), monkeypatch)
