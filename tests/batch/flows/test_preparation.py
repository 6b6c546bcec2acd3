"""What is refused before a task runner starts, and how plates are prepared for it."""

from collections.abc import Mapping
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from cytobatch.batch.flows.preparation import check_task_runner, plates_at_once, prepared_run, with_absolute_paths
from cytobatch.cli.app import main
from cytobatch.config.option_types import CacheMode
from cytobatch.config.options import PlateJob
from cytobatch.config.task_runner import TaskRunner
from cytobatch.errors import ConfigurationError

MIB = 2**20
SECRET = {"SSECustomerKey": "abc"}


def jobs(count: int, **options: Any) -> list[PlateJob]:
    return [PlateJob(source=f"in/P{n}", destination=f"out/P{n}", **options) for n in range(count)]


@pytest.fixture
def with_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Dask were installed, since nothing of it is called here."""
    found = util.find_spec("json")
    monkeypatch.setattr("cytobatch.batch.flows.preparation.find_spec", lambda _: found)


@pytest.mark.parametrize(
    ("runner", "options", "server", "what"),
    [
        ("dask:tcp://10.0.0.7:8786", {}, False, "a Dask scheduler elsewhere needs a Prefect server"),
        ("dask:tls://head:8786", {}, False, "a Dask scheduler elsewhere needs a Prefect server"),
        ("dask:tcp://10.0.0.7:8786", {"extra_args": SECRET}, True, "SSECustomerKey would travel in clear"),
        ("threads:3", {"memory": 128 * MIB}, True, "3 plates at once have too little memory"),
        (
            "threads:3",
            {"destination_credentials": "aws-credentials/x"},
            False,
            "a Prefect block needs a Prefect server",
        ),
    ],
)
@pytest.mark.usefixtures("with_dask")
def test_what_is_refused(runner: str, options: Mapping[str, Any], server: bool, what: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        check_task_runner(TaskRunner.parse(runner), jobs(3, **options), server_is_given=server)
    assert error.value.what == what


@pytest.mark.parametrize(
    ("runner", "options", "server"),
    [
        ("dask:tcp://10.0.0.7:8786", {}, True),
        ("dask:tcp://10.0.0.7:8786", {"extra_args": {"ExpectedBucketOwner": "1"}}, True),
        ("dask:tls://head:8786", {"extra_args": SECRET}, True),
        ("dask:tcp://127.0.0.1:8786", {"extra_args": SECRET}, False),
        ("dask:2", {"extra_args": SECRET}, False),
        ("threads:2", {"memory": 128 * MIB}, False),
    ],
)
@pytest.mark.usefixtures("with_dask")
def test_what_is_not_refused(runner: str, options: Mapping[str, Any], server: bool) -> None:
    check_task_runner(TaskRunner.parse(runner), jobs(2, **options), server_is_given=server)


def test_dask_that_is_not_installed_ends_a_run_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("cytobatch.batch.flows.preparation.find_spec", lambda _: None)
    flags = ["run", "--source", str(tmp_path), "--destination", str(tmp_path / "out"), "--task-runner", "dask"]
    assert main(flags) == 2
    errors = capsys.readouterr().err
    assert "support for Dask is not installed" in errors
    assert "install cytobatch[dask]" in errors


def test_no_more_plates_at_once_than_there_are() -> None:
    job = PlateJob(source="in", destination="out")
    assert plates_at_once(TaskRunner.parse("threads:8"), [job] * 3) == 3
    assert plates_at_once(TaskRunner.parse("threads:2"), [job] * 3) == 2
    assert plates_at_once(TaskRunner.parse("dask"), [job] * 10_000) >= 1


def test_a_plate_in_parts_takes_all_workers() -> None:
    job = PlateJob(source="in", destination="out", split="always")
    assert plates_at_once(TaskRunner.parse("dask:3"), [job]) == 3
    assert plates_at_once(TaskRunner.parse("processes:3"), [job]) == 1


def test_plates_on_this_machine_share_its_limits_and_a_folder_that_is_removed(tmp_path: Path) -> None:
    own = jobs(4, workers=7, memory=1024 * MIB, scratch_dir=tmp_path / "scratch", cache_dir=tmp_path / "cache")
    with prepared_run(TaskRunner.parse("processes:2"), own) as prepared:
        assert {(job.workers, job.memory) for job in prepared.jobs} == {(2, 512 * MIB)}
        for name in ("scratch", "cache"):
            (folder,) = {getattr(job, f"{name}_dir") for job in prepared.jobs}
            assert folder.parent == tmp_path / name
            (folder / "left behind").mkdir()
    assert [list((tmp_path / name).iterdir()) for name in ("scratch", "cache")] == [[], []]


def test_a_persistent_cache_stays_as_it_is(tmp_path: Path) -> None:
    own = jobs(2, cache_dir=tmp_path / "cache", cache_mode=CacheMode.PERSISTENT)
    with prepared_run(TaskRunner.parse("threads:2"), own) as prepared:
        assert [job.cache_dir for job in prepared.jobs] == [tmp_path / "cache"] * 2


def test_plates_for_another_machine_have_absolute_paths_and_their_own_limits() -> None:
    (job,) = jobs(1, memory=1024 * MIB, platemap="s3://maps/b", scratch_dir=Path("fast"))
    with prepared_run(TaskRunner.parse("dask:tcp://10.0.0.7:8786"), [job]) as prepared:
        (there,) = prepared.jobs
    assert there == with_absolute_paths(job)
    assert (there.source, there.destination) == (str(Path("in/P0").absolute()), str(Path("out/P0").absolute()))
    assert (there.platemap, there.scratch_dir) == ("s3://maps/b", Path("fast").absolute())
    assert (there.workers, there.memory) == (None, 1024 * MIB)
