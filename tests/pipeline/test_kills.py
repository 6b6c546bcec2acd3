"""Runs that are killed at any line of the code that publishes, or at any moment, and runs that meet.

After each kill the destination has the old result whole, the new one whole, or a journal. A rerun ends with the new
result, byte for byte, and nothing beside it.
"""

import hashlib
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import ExitCode
from cytobatch.report.journal import parse_journal
from cytobatch.report.model import RunReport, UnreadableReportError, parse_report
from cytobatch.storage.destination import Destination
from tests.support.kills import Ending, Moment, barrier_of, converted, finished, lines_of, seconds_of, started
from tests.support.plates import write_sites

_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_REPORT = "run-report.json"
_REPORTS = (_REPORT, "report.html")
"""The report and its page have the times of their run."""
_SHORT, _LONG = (2, 1), (60, 15)
"""Kills at lines and at moments, for each of four scenes."""
_LIFE = 1.1
"""Up to which part of a run's life it is killed: on a busy machine one takes longer than the one that was timed."""
_FEW_RACES, _MANY_RACES = 2, 100

amounts = pytest.mark.parametrize("kills", [_SHORT, pytest.param(_LONG, marks=[pytest.mark.long, pytest.mark.torture])])


@dataclass(frozen=True, slots=True)
class Scene:
    """A plate, a destination on a disk or in a bucket, and what the destination has."""

    source: Path
    target: str
    scratch: Path
    contents: Callable[[], dict[str, str]]
    """The sha256 of each file by its name; hidden names and unfinished uploads are among them."""
    report: Callable[[], bytes | None]
    clear: Callable[[], None]

    def job(self, **options: Any) -> PlateJob:
        return PlateJob(
            source=str(self.source), destination=self.target, scratch_dir=self.scratch, workers=1, **options
        )

    @property
    def old(self) -> PlateJob:
        """A run whose result has files that the new one lacks."""
        return self.job(image_features=True, concat=False)

    @property
    def new(self) -> PlateJob:
        return self.job(well_profiles="median")

    def outputs(self) -> dict[str, str]:
        return {name: content for name, content in self.contents().items() if name not in _REPORTS}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = write_sites(tmp_path / "in", 2)
    time.sleep(0.01)
    return folder


@pytest.fixture(params=["disk", "bucket"])
def scene(request: pytest.FixtureRequest, tmp_path: Path, source: Path) -> Scene:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    if request.param == "disk":
        return on_disk(tmp_path / "out", source, scratch)
    return in_bucket(request.getfixturevalue("s3"), request.getfixturevalue("bucket"), source, scratch)


def on_disk(root: Path, source: Path, scratch: Path) -> Scene:
    def files() -> Iterator[Path]:
        return (path for path in root.rglob("*") if path.is_file())

    def clear() -> None:
        for path in files():
            path.unlink()

    def contents() -> dict[str, str]:
        return {path.relative_to(root).as_posix(): sha256(path.read_bytes()) for path in files()}

    def report() -> bytes | None:
        return (root / _REPORT).read_bytes() if (root / _REPORT).exists() else None

    return Scene(source, str(root), scratch, contents, report, clear)


def in_bucket(s3: Any, bucket: str, source: Path, scratch: Path) -> Scene:
    def keys() -> list[str]:
        return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]

    def content(key: str) -> bytes:
        return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def contents() -> dict[str, str]:
        uploads = {f"upload of {one['Key']}": "" for one in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ())}
        return {key.removeprefix("out/"): sha256(content(key)) for key in keys()} | uploads

    def report() -> bytes | None:
        return content(f"out/{_REPORT}") if f"out/{_REPORT}" in keys() else None

    def clear() -> None:
        for key in keys():
            s3.delete_object(Bucket=bucket, Key=key)

    return Scene(source, f"s3://{bucket}/out", scratch, contents, report, clear)


def published(job: PlateJob, text: bytes | None) -> RunReport | None:
    """The final report at a destination whose files are all those that it names; None for a journal or nothing."""
    if text is None or parse_journal(text) is not None:
        return None
    try:
        report = parse_report(text)
    except UnreadableReportError as error:
        raise AssertionError("neither a report nor a journal") from error
    is_stored = Destination(job).is_stored
    assert all(is_stored(file) for output in report.outputs for file in output.stored)
    return report


def endings_of(kills: tuple[int, int], chosen: random.Random, lines: int, seconds: float) -> list[Ending | Moment]:
    """Choose some lines, and some moments of a run's whole life."""
    at_lines, at_moments = kills
    return [
        *(Ending(chosen.randint(1, lines), chosen.choice(_SIGNALS)) for _ in range(at_lines)),
        *(Moment(chosen.uniform(0, _LIFE * seconds), chosen.choice(_SIGNALS)) for _ in range(at_moments)),
    ]


@pytest.mark.slow
@amounts
@pytest.mark.parametrize("is_replacing", [False, True])
def test_a_killed_run_leaves_a_result_or_a_journal(kills: tuple[int, int], is_replacing: bool, scene: Scene) -> None:
    """Holds for both results whole, and for nothing, where nothing was."""
    chosen = random.Random(f"{kills} {is_replacing}")
    assert converted(scene.old) == ExitCode.OK
    old = scene.outputs()
    lines = lines_of(scene.new)
    new = scene.outputs()
    scene.clear()
    seconds = seconds_of(scene.new)
    for ending in endings_of(kills, chosen, lines, seconds):
        scene.clear()
        if is_replacing:
            assert converted(scene.old) == ExitCode.OK
        code = converted(scene.new, ending)
        assert code in {-ending.signal, ExitCode.OK, ExitCode.TERMINATED, ExitCode.INTERRUPTED}, ending
        check_between(scene, code, old if is_replacing else {}, new)
        assert converted(scene.new) == ExitCode.OK, ending
        assert scene.outputs() == new, ending
        assert published(scene.new, scene.report()) is not None
        assert left_in(scene.scratch) == []


def left_in(scratch: Path) -> list[Path]:
    """What runs have left on the scratch disk, but for the empty folder of one that was killed at its first line."""
    return [folder for folder in scratch.iterdir() if {path.name for path in folder.iterdir()} - {".lock-new"}]


def check_between(scene: Scene, code: int, old: dict[str, str], new: dict[str, str]) -> None:
    """Check what a reader finds after a run was ended and before it is run again."""
    text = scene.report()
    report = published(scene.new, text)
    visible = {
        name: content for name, content in scene.outputs().items() if not name.startswith((".cytobatch-", "upload of "))
    }
    if report is not None:
        assert visible == (new if report.options == scene.new.output_options() else old)
    elif text is None:
        assert visible == old
    if code in {ExitCode.TERMINATED, ExitCode.INTERRUPTED} and (report is not None or text is None):
        # A signal that can be handled leaves nothing of its own.
        assert visible == scene.outputs()


@pytest.mark.slow
@pytest.mark.parametrize(
    "races", [_FEW_RACES, pytest.param(_MANY_RACES, marks=[pytest.mark.long, pytest.mark.torture])]
)
def test_of_two_runs_that_meet_one_result_is_left_whole(races: int, scene: Scene) -> None:
    """Runs of the same inputs and options both succeed; of different ones the slower says so."""
    assert converted(scene.old) == ExitCode.OK
    old = scene.outputs()
    assert converted(scene.new) == ExitCode.OK
    new = scene.outputs()
    for number in range(races):
        scene.clear()
        first, second = (scene.new, scene.new) if number % 2 else (scene.new, scene.old)
        barrier = barrier_of(2)
        processes = [started(first, barrier=barrier), started(second, barrier=barrier)]
        codes = [finished(process) for process in processes]
        assert set(codes) <= {ExitCode.OK, ExitCode.STORAGE}
        assert ExitCode.OK in codes
        if first == second:
            assert codes == [ExitCode.OK, ExitCode.OK]
        report = published(scene.new, scene.report())
        assert report is not None
        winner = [first, second][codes.index(ExitCode.OK)]
        if codes.count(ExitCode.OK) == 1:
            assert report.options == winner.output_options()
        assert scene.outputs() == (new if report.options == scene.new.output_options() else old)
        assert left_in(scene.scratch) == []
