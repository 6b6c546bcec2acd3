"""`cytobatch run` with each task runner, as real processes: results, errors, signals."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.pipeline.plate import run_plate
from tests.support.plates import write_sites
from tests.support.program import run_program

# One worker makes the plates that most tests share.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("task-runners")]

needs_dask = pytest.mark.skipif(find_spec("prefect_dask") is None, reason="prefect-dask is not installed")
LOCAL = ["threads:2", "processes:2", pytest.param("dask:2", marks=needs_dask)]
PLATES = ("P1", "P2", "P3", "P4", "P5", "P6")
BAD = "P2"
STOP_SECONDS = 10


def spec_of(folder: Path, names: tuple[str, ...], out: Path) -> str:
    plates = [{"plate": name, "source": str(folder / name)} for name in names]
    return json.dumps({"defaults": {"destination": str(out / "{plate}")}, "plates": plates})


def digests(out: Path) -> dict[str, str]:
    """The SHA-256 of each profile, by plate."""
    return {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.rglob("*.parquet")}


def expected(folder: Path, names: tuple[str, ...], out: Path) -> dict[str, str]:
    """The SHA-256 of each profile as the pipeline makes it in this process, without a task runner."""
    for name in names:
        run_plate(PlateJob(source=str(folder / name), destination=str(out / name), plate=name))
    return digests(out)


@dataclass(frozen=True, slots=True)
class SixPlates:
    """Six plates, one of them bad, and the profiles that a sequential run makes of them."""

    folder: Path
    sequential: Mapping[str, str]


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> SixPlates:
    folder = tmp_path_factory.mktemp("six")
    for number, name in enumerate(PLATES, 1):
        write_sites(folder / name, number + 1, 5)
    next((folder / BAD).rglob("Cells.csv")).write_bytes(b"")
    done = run_program("run", "--job-spec", spec_of(folder, PLATES, folder / "out"), folder=folder)
    assert done.returncode == 3, done.stderr
    return SixPlates(folder, digests(folder / "out"))


def run_six(six: SixPlates, out: Path, runner: str, *flags: str) -> subprocess.CompletedProcess[str]:
    temporary = out.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    arguments = ["run", "--job-spec", spec_of(six.folder, PLATES, out), "--task-runner", runner, *flags]
    return run_program(*arguments, folder=out.parent, env={"TMPDIR": str(temporary)})


@pytest.mark.parametrize("runner", LOCAL)
def test_a_runner_makes_the_same_bytes_and_a_bad_plate_fails_alone(runner: str, six: SixPlates, tmp_path: Path) -> None:
    done = run_six(six, tmp_path / "out", runner, "--workers", "5", "--memory", "3GiB")
    assert done.returncode == 3, done.stderr
    assert digests(tmp_path / "out") == six.sequential
    limits = [json.loads(path.read_text())["limits"] for path in (tmp_path / "out").rglob("run-report.json")]
    assert limits == [{"workers": 2, "memory_bytes": 3 * 2**29}] * 5
    assert len(six.sequential) == 5
    lines = done.stderr.splitlines()
    for name in PLATES:
        assert {f"{name}: {step}" for step in ("plan", "survey", "convert")} <= set(lines)
        assert (f"{name}: report" in lines) == (name != BAD)
    assert sum(line.startswith("error: P2: at least 1 of 3 exports failed") for line in lines) == 1
    assert lines[-1] == "1 of 6 plates failed"
    assert "Traceback" not in done.stderr
    assert {line.partition(":")[0] for line in done.stdout.splitlines() if " rows x " in line} == {*PLATES} - {BAD}
    assert list((tmp_path / "tmp").iterdir()) == []


def test_plates_that_are_done_are_left_alone(six: SixPlates) -> None:
    done = run_six(six, six.folder / "out", "threads:2", "--skip-done")
    assert done.returncode == 3, done.stderr
    assert done.stderr.count("done already at ") == 5
    assert digests(six.folder / "out") == six.sequential


@pytest.mark.parametrize(
    "runner",
    [
        "threads:2",
        pytest.param("processes:2", marks=pytest.mark.long),
        pytest.param("dask:2", marks=[needs_dask, pytest.mark.long]),
    ],
)
def test_an_absent_server_costs_one_warning(runner: str, six: SixPlates, tmp_path: Path) -> None:
    environment = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    spec = spec_of(six.folder, ("P1", "P3"), tmp_path / "out")
    done = run_program("run", "--job-spec", spec, "--task-runner", runner, folder=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Prefect has no record of this run: http://127.0.0.1:9/api cannot be reached") == 1
    assert digests(tmp_path / "out") == {name: six.sequential[name] for name in ("P1", "P3")}


def test_one_plate_has_the_exit_code_and_message_of_a_sequential_run(six: SixPlates, tmp_path: Path) -> None:
    source = ["run", "--source", str(six.folder / BAD), "--destination", str(tmp_path / "out")]
    done = run_program(*source, "--task-runner", "threads:4", folder=tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "task runner: starting 1 threads"
    assert "error: at least 1 of 3 exports failed" in done.stderr


def children_of(process: int) -> list[int]:
    """The processes below a process."""
    children = [
        child for path in Path(f"/proc/{process}/task").glob("*/children") for child in path.read_text().split()
    ]
    return [pid for child in map(int, children) for pid in (child, *children_of(child))]


def is_running(process: int) -> bool:
    """Whether a process runs; one that has ended, and that nobody has waited for, does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def two_large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    write_sites(folder / "L1", 500, 20)
    (folder / "L2").symlink_to(folder / "L1")
    return folder


# The signal on a cluster that exists is in test_dask_cluster.
@pytest.mark.parametrize(
    "runner", ["sequential", *LOCAL[:2], pytest.param("dask:2", marks=[needs_dask, pytest.mark.long])]
)
def test_sigterm_ends_everything(runner: str, two_large: Path, tmp_path: Path) -> None:
    check_sigterm(runner, ": survey\n", two_large, tmp_path)


@needs_dask
def test_sigterm_ends_workers_that_are_starting(two_large: Path, tmp_path: Path) -> None:
    check_sigterm("dask:2", ": starting 2 Dask workers\n", two_large, tmp_path)


def check_sigterm(runner: str, moment: str, two_large: Path, tmp_path: Path) -> None:
    """Send SIGTERM when a line ends in `moment`, and check that nothing is left within the time."""
    (tmp_path / "tmp").mkdir()
    spec = spec_of(two_large, ("L1", "L2"), tmp_path / "out")
    command = [sys.executable, "-m", "cytobatch", "run", "--job-spec", spec, "--task-runner", runner]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.endswith(moment):
            break
    assert process.poll() is None, seen
    children = children_of(process.pid)
    assert bool(children) == (runner.startswith(("processes", "dask")) and "starting" not in moment)
    sent = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert time.monotonic() - sent < STOP_SECONDS
    process.stderr.close()
    # The tracker of multiprocessing ends when its pipe is closed, which is after the process.
    while any(map(is_running, children)) and time.monotonic() - sent < STOP_SECONDS:
        time.sleep(0.05)
    assert [pid for pid in children if is_running(pid)] == []
    assert list((tmp_path / "tmp").iterdir()) == []
    # A plate may have ended before the signal reached it. A file that is not whole is never left.
    assert list((tmp_path / "out").rglob("*.cytobatch-part*")) == []


@pytest.mark.long
def test_a_process_that_is_killed_loses_no_plate(two_large: Path, tmp_path: Path) -> None:
    spec = spec_of(two_large, ("L1", "L2"), tmp_path / "out")
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "cytobatch", "run", "--job-spec", spec, "--task-runner", "processes:2"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith(": survey\n"):
            break
    os.kill(max(children_of(process.pid)), signal.SIGKILL)
    errors = process.stderr.read()
    assert process.wait(120) == 0, errors
    assert digests(tmp_path / "out") == expected(two_large, ("L1", "L2"), tmp_path / "expected")
    assert list((tmp_path / "tmp").iterdir()) == []
