"""Plates on an existing Dask cluster: real schedulers and workers, some of which are killed or have another version."""

import importlib.metadata
import json
import re
import signal
import subprocess
import time
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path

import pytest

from cytobatch import __version__
from cytobatch.engine.resources import machine_limits
from dask_processes import DaskProcesses, dask_processes
from tests.batch.flows.test_task_runners import digests, expected, spec_of
from tests.support.plates import write_sites
from tests.support.program import lines_to, run_program, started_program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("prefect_dask") is None, reason="prefect-dask is not installed"),
]

OTHER_VERSION = "import cytobatch; cytobatch.__version__ = '0.0.9'"
NO_CYTOBATCH = """
import importlib.metadata, sys
sys.modules["cytobatch"] = None
find = importlib.metadata.Distribution.discover.__func__
importlib.metadata.Distribution.discover = classmethod(
    lambda cls, *, context=None, **names: iter(()) if "cytobatch" in (names.get("name"), getattr(context, "name", None))
    else find(cls, context=context, **names)
)
"""
INSTALLED = importlib.metadata.version("cytobatch")
LOST_SECONDS = 60


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four plates, each large enough to be killed in, and a small one."""
    folder = tmp_path_factory.mktemp("plates")
    write_sites(folder / "P1", 300, 10)
    write_sites(folder / "SMALL", 2)
    for name in ("P2", "P3", "P4"):
        (folder / name).symlink_to(folder / "P1")
    return folder


def running(
    cluster: DaskProcesses, plates: Path, out: Path, *names: str
) -> AbstractContextManager[subprocess.Popen[str]]:
    """Run the program on a cluster."""
    spec = spec_of(plates, names, out)
    return started_program("run", "--job-spec", spec, "--task-runner", f"dask:{cluster.address}", folder=out.parent)


def step_of(process: subprocess.Popen[str], step: str) -> list[str]:
    """Read lines until a plate is at a step, and return them."""
    return lines_to(process, f": {step}$")


def worker_of(plate: str, lines: list[str]) -> str:
    """The address of the worker on which a plate starts."""
    (address,) = re.findall(rf"^{plate}: starts on .* \((.*)\)$", "".join(lines), re.MULTILINE)
    return str(address)


@pytest.mark.long
def test_plates_of_a_worker_that_is_killed_are_converted_by_another(plates: Path, tmp_path: Path) -> None:
    with dask_processes(tmp_path, 3) as cluster, running(cluster, plates, tmp_path / "out", "P1", "P2") as process:
        lines = step_of(process, "convert")
        plate = lines[-1].partition(":")[0]
        cluster.workers[worker_of(plate, lines)].send_signal(signal.SIGKILL)
        assert process.stderr is not None
        rest = process.stderr.read()
        assert process.wait() == 0, rest
    assert f"{plate}: starts on " in rest
    assert digests(tmp_path / "out") == expected(plates, ("P1", "P2"), tmp_path / "expected")


@pytest.mark.long
def test_without_any_worker_left_a_run_ends_with_its_exit_code(plates: Path, tmp_path: Path) -> None:
    with dask_processes(tmp_path, 2) as cluster, running(cluster, plates, tmp_path / "out", "P1", "P2") as process:
        step_of(process, "convert")
        killed = time.monotonic()
        for worker in cluster.workers.values():
            worker.send_signal(signal.SIGKILL)
        assert process.stderr is not None
        rest = process.stderr.read()
        assert process.wait() == 4, rest
        assert time.monotonic() - killed < LOST_SECONDS
    assert rest.count("the plate's worker was lost") == 2
    assert "2 of 2 plates failed" in rest
    assert "Traceback" not in rest


@pytest.mark.long
def test_a_scheduler_that_dies_ends_a_run_with_its_exit_code(plates: Path, tmp_path: Path) -> None:
    with dask_processes(tmp_path, 1) as cluster, running(cluster, plates, tmp_path / "out", "P1") as process:
        step_of(process, "survey")
        killed = time.monotonic()
        cluster.scheduler.send_signal(signal.SIGKILL)
        assert process.stderr is not None
        rest = process.stderr.read()
        assert process.wait() == 4, rest
        assert time.monotonic() - killed < LOST_SECONDS


def installed_as(version: str, folder: Path) -> dict[str, str]:
    """Variables with which Python finds an installation of another version first."""
    (folder / f"cytobatch-{version}.dist-info").mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: cytobatch\nVersion: {version}\n"
    (folder / f"cytobatch-{version}.dist-info" / "METADATA").write_text(metadata)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("prelude", "version", "what", "why"),
    [
        ("", "0.0.9", "has another version of cytobatch", f"it has 0.0.9, and the run {INSTALLED}"),
        pytest.param(
            NO_CYTOBATCH,
            None,
            "has no cytobatch",
            f"it has none, and the run {INSTALLED}",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_worker_of_another_version_is_refused_by_name_before_any_plate(
    prelude: str, version: str | None, what: str, why: str, plates: Path, tmp_path: Path
) -> None:
    with dask_processes(tmp_path, 1) as cluster:
        other = cluster.add_worker(prelude, installed_as(version, tmp_path / "other") if version else {})
        cluster.wait()
        with running(cluster, plates, tmp_path / "out", "P1", "P2") as process:
            assert process.stderr is not None
            errors = process.stderr.read()
            assert process.wait() == 2, errors
    assert f"error: worker {other} {what}" in errors
    assert why in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_worker_that_joins_later_is_compared_in_the_task(plates: Path, tmp_path: Path) -> None:
    with dask_processes(tmp_path) as cluster, running(cluster, plates, tmp_path / "out", "P1") as process:
        assert process.stderr is not None
        assert "starting the Dask cluster" in process.stderr.readline()
        cluster.add_worker(OTHER_VERSION)
        errors = process.stderr.read()
        assert process.wait() == 2, errors
    assert "error: a worker has another version of cytobatch: worker on " in errors
    assert f"the worker has 0.0.9, and the run {__version__}" in errors
    assert "Traceback" not in errors


@pytest.mark.long
def test_a_scheduler_that_is_not_there_is_an_error_of_storage(plates: Path, tmp_path: Path) -> None:
    flags = ["run", "--job-spec", spec_of(plates, ("P1",), tmp_path / "out"), "--task-runner", "dask:tcp://127.0.0.1:9"]
    done = run_program(*flags, folder=tmp_path)
    assert done.returncode == 4
    assert "the Dask scheduler does not answer" in done.stderr


def test_sigterm_stops_the_plates_on_all_workers_and_leaves_the_cluster(
    plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    with dask_processes(tmp_path, 2) as cluster:
        with running(cluster, plates, tmp_path / "out", "P1", "P2", "P3", "P4") as process:
            step_of(process, "survey")
            process.send_signal(signal.SIGTERM)
            sent = time.monotonic()
            assert process.wait() == 143
            assert time.monotonic() - sent < 10
        assert [worker.poll() for worker in cluster.workers.values()] == [None, None]
        assert [
            path for path in (tmp_path / "tmp").rglob("cytobatch-*") if "dask-scratch-space" not in path.parts
        ] == []
        # The workers are free for the next run, with the limits of their own.
        with running(cluster, plates, tmp_path / "again", "SMALL") as process:
            assert process.stderr is not None
            errors = process.stderr.read()
            assert process.wait() == 0, errors
        report = json.loads((tmp_path / "again" / "SMALL" / "run-report.json").read_text())
        assert report["limits"]["workers"] == machine_limits().shared(2).workers
        assert not list((tmp_path / "tmp").rglob("cytobatch-*"))
