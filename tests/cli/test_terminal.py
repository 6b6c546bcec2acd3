"""What a run shows while it converts: on a real terminal, into a pipe, and as JSON."""

import json
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cytobatch.batch.log_event import EventName, LogEvent
from cytobatch.cli import run_progress
from cytobatch.cli.app import main
from cytobatch.pipeline.steps import PlateStep
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.conftest import Run
from tests.support.plates import write_sites
from tests.support.terminal import Frame, Session, on_terminal

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]

PROGRESS = re.compile(r" convert .*? (\d+) %")
LEFT = re.compile(r"about (?:(\d+) min ?)?(?:(\d+) s )?left")
DIRECTLY = ("--orchestrator", "none")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYTOBATCH_ORCHESTRATOR", "none")


def failing_plate(folder: Path, sites: int, failing: int) -> Path:
    """Write a plate of which some sites have a table that is cut short."""
    source = write_sites(folder, sites)
    for cells in sorted(source.rglob("Cells.csv"))[:failing]:
        cells.write_bytes(cells.read_bytes()[:-9])
    return source


def seconds_left(frame: Frame) -> int | None:
    """Return the estimate that a frame shows."""
    found = LEFT.search(frame.text)
    return 60 * int(found[1] or 0) + int(found[2] or 0) if found else None


# A terminal


@dataclass(frozen=True, slots=True)
class Shown:
    """An estimate, and the seconds that the rest would have taken at the speed until then.

    CPU seconds tell the speed: how fast the machine's other work lets a program go on is in no estimate.
    """

    percent: int
    estimated: int
    expected: float

    @property
    def good(self) -> bool:
        """Whether it is right within a factor of two. It is shown in whole seconds."""
        return self.expected / 2 - 1 <= self.estimated <= 2 * self.expected + 1


def estimates(session: Session) -> list[Shown]:
    """Return the estimates from a quarter on."""
    start = next(frame for frame in session.frames if " convert " in frame.text)
    end = next(frame for frame in session.frames if " publish " in frame.text)
    found = []
    for frame in session.frames:
        progress, left = PROGRESS.search(frame.text), seconds_left(frame)
        if progress and left is not None and int(progress[1]) >= 25:
            took = frame.seconds - start.seconds
            speed = (frame.cpu_seconds - start.cpu_seconds) / took
            found.append(Shown(int(progress[1]), left, (end.cpu_seconds - frame.cpu_seconds) / speed))
    return found


def test_a_run_of_400_sites_on_a_terminal(tmp_path: Path) -> None:
    source = tmp_path / "P1"
    write_plate(SyntheticPlate(wells=100, sites=4, cells=4, features=300), source, PlateFormat.CSV)
    arguments = ("run", "--source", str(source), "--destination", str(tmp_path / "out"), "--workers", "1", "--force")
    session = on_terminal(*arguments, slower=8)
    assert session.code == 0, session.text
    shown = [int(found[1]) for frame in session.frames if (found := PROGRESS.search(frame.text))]
    assert shown == sorted(shown)
    assert len(set(shown)) >= 4, shown
    for words in (" starting ", " plan ", " survey ", " of 400 exports", " MB of 39.7 MB"):
        assert words in session.text
    found = estimates(session)
    assert len(found) >= 3
    # Between two steps of a row group an estimate may be late for a moment.
    assert sum(not each.good for each in found) <= len(found) / 4, found
    last = session.frames[-1].text + session.frames[-2].text
    assert "%" not in last, "the bars are erased"


def test_many_plates_on_a_narrow_terminal(tmp_path: Path) -> None:
    for name in ("P1", "P2"):
        write_sites(tmp_path / "in" / name, 2)
    failing_plate(tmp_path / "in" / "P3", 2, 1)
    spec = {
        "defaults": {"destination": str(tmp_path / "out" / "{plate}")},
        "plates": [{"source": str(tmp_path / "in" / name)} for name in ("P1", "P2", "P3")],
    }
    session = on_terminal("run", "--job-spec", json.dumps(spec), *DIRECTLY, columns=60)
    assert session.code == 3
    bars = [line for frame in session.frames for line in re.split("[\r\n]+", frame.text) if "━" in line]
    assert any("all plates" in line and "1 of 3 plates" in line for line in bars)
    assert any(line.startswith("P2 ") for line in bars)
    assert [line for line in bars if len(line.rstrip()) > 60] == []
    assert "P1: 6 rows x 15 columns, 1 well, 2 sites, from 2 exports" in session.text
    assert "error: P3: at least 1 of 2 exports failed" in session.text
    assert session.text.rstrip().endswith("1 of 3 plates failed")


def test_a_terminal_shows_no_bar_if_it_shall_be_quiet(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "P1", 2)
    arguments = ("run", "--source", str(source), "--destination", str(tmp_path / "out"), *DIRECTLY)
    assert on_terminal(*arguments, "--quiet").text == ""


# A pipe


def run(capsys: Capture, *arguments: object) -> tuple[int, list[str], list[str]]:
    """Run a command in this process; return its exit code and the lines of results and others."""
    code = main(["run", *map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out.splitlines(), printed.err.splitlines()


def test_a_pipe_gets_plain_lines(tmp_path: Path, cytobatch: Run) -> None:
    source = write_sites(tmp_path / "P1", 2)
    done = cytobatch("run", "--source", str(source), "--destination", "out", env={"FORCE_COLOR": "1"})
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in done.stderr.splitlines()] == [
        f"P1: {step}" for step in PlateStep
    ]
    assert "\r" not in done.stdout + done.stderr


def test_a_run_leaves_ctrl_c_as_it_was(tmp_path: Path, capsys: Capture) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run(capsys, "--source", write_sites(tmp_path / "P1", 2), "--destination", tmp_path / "out")[0] == 0
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_progress_comes_in_lines_at_intervals(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_progress, "_SECONDS", 0.0)
    source = write_sites(tmp_path / "P1", 2)
    _, _, lines = run(capsys, "--source", source, "--destination", tmp_path / "out")
    size = r"(\d+ bytes|[\d.]+ kB)"
    assert re.fullmatch(rf"P1: convert: 100 %, {size} of {size}, 2 of 2 exports, 6 rows", lines[-3])
    monkeypatch.undo()
    monkeypatch.setenv("CYTOBATCH_ORCHESTRATOR", "none")
    _, _, lines = run(capsys, "--source", source, "--destination", tmp_path / "out", "--force")
    assert lines == [f"P1: {step}" for step in PlateStep]


def test_failed_exports_that_were_allowed_are_named(tmp_path: Path, capsys: Capture) -> None:
    source = failing_plate(tmp_path / "P1", 14, 12)
    flags = ("--source", source, "--destination", tmp_path / "out", "--max-failed-exports", 12)
    code, lines, _ = run(capsys, *flags)
    assert code == 0
    failed = [line for line in lines if line.startswith("  failed   ")]
    assert len(failed) == 10
    assert re.fullmatch(r"  failed   P1-A01-\d+/Cells.csv \(cells\): cut short: .*", failed[0])
    assert lines[11] == "  and 2 more failed exports, in the report"
    assert "from 14 exports, 12 failed, in " in lines[0]


def test_quiet_shows_errors_alone(tmp_path: Path, capsys: Capture) -> None:
    source = failing_plate(tmp_path / "P1", 2, 1)
    flags = ("--source", source, "--destination", tmp_path / "out", "--quiet")
    assert run(capsys, *flags, "--max-failed-exports", "1") == (0, [], [])
    code, out, err = run(capsys, *flags, "--max-failed-exports", "0")
    assert (code, out) == (3, [])
    assert err[0].startswith("error: at least 1 of 2 exports failed")


def test_verbose_shows_each_table_and_the_time_of_each_step(tmp_path: Path, capsys: Capture) -> None:
    source = failing_plate(tmp_path / "P1", 2, 1)
    flags = ("--source", source, "--destination", tmp_path / "out", "--max-failed-exports", "1", "--verbose")
    _, out, err = run(capsys, *flags)
    assert "  converted P1-A01-2/Cells.csv (cells): 3 rows" in out
    assert sum(line.startswith("  failed P1-A01-1/Cells.csv (cells): cut short") for line in out) == 1
    assert re.fullmatch(
        r"P1: plan [\d.]+ s, survey .* s, convert .*; at most [\d.]+ MB of memory, \d+ threads?", err[-1]
    )


def test_flags_win_over_variables(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ("--source", write_sites(tmp_path / "P1", 1), "--destination", tmp_path / "out")
    monkeypatch.setenv("CYTOBATCH_LOG_FORMAT", "json")
    monkeypatch.setenv("CYTOBATCH_QUIET", "1")
    assert run(capsys, *flags) == (0, [], [])
    assert run(capsys, *flags, "--verbose", "--log-format", "text")[2][0] == "P1: plan"


def test_quiet_and_verbose_contradict_each_other(capsys: Capture) -> None:
    code, _, err = run(capsys, "--quiet", "--verbose")
    assert (code, err[0]) == (2, "error: --quiet and --verbose are given: command line")


# JSON


def events(lines: list[str], schema: Mapping[str, Any]) -> list[LogEvent]:
    """Return the events of all lines, which have the form of the schema."""
    for line in lines:
        jsonschema.validate(json.loads(line), schema)
    return [LogEvent.model_validate_json(line) for line in lines]


@pytest.fixture
def schema(capsys: Capture) -> dict[str, Any]:
    """The schema as the program prints it."""
    assert main(["schema", "--log"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_the_figures_of_json_lines_are_those_of_the_report(
    tmp_path: Path, capsys: Capture, schema: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_progress, "_SECONDS", 0.0)
    source = failing_plate(tmp_path / "P1", 4, 1)
    flags = ("--source", source, "--destination", tmp_path / "out", "--max-failed-exports", 1, "--log-format", "json")
    code, results, others = run(capsys, *flags, "--verbose")
    assert code == 0
    found = events([*results, *others], schema)
    report = json.loads((tmp_path / "out" / "run-report.json").read_text())
    counts = report["counts"]
    (done,) = (event for event in found if event.event is EventName.PLATE_DONE)
    names = ("exports", "failed_exports", "rows", "columns", "wells", "sites")
    assert {name: getattr(done.figures, name) for name in names} == {name: counts[name] for name in names}
    assert (done.plate, done.report, done.figures.warnings) == (
        report["plate"],
        report["report"],
        len(report["warnings"]),
    )
    *_, last = (event.figures for event in found if event.event is EventName.PROGRESS)
    assert (last.exports_done, last.rows, last.bytes_done) == (counts["exports"], counts["rows"], last.bytes)
    steps = [event.step for event in found if event.event is EventName.STEP_STARTED]
    assert steps == list(PlateStep)
    (failed,) = (event for event in found if event.event is EventName.EXPORT_FAILED)
    assert failed.message.startswith("P1-A01-1/Cells.csv (cells): cut short")
    tables = [event for event in found if event.event is EventName.EXPORT]
    assert len(tables) == len(report["ledger"])
    assert events(others, schema)[-1].figures.plates_done == 1
    assert {event.event for event in events(results, schema)} == {
        EventName.PLATE_DONE,
        EventName.EXPORT_FAILED,
        EventName.EXPORT,
    }


@pytest.mark.slow
@pytest.mark.long
def test_plates_of_processes_as_json(
    tmp_path: Path, cytobatch: Run, schema: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CYTOBATCH_ORCHESTRATOR")
    write_sites(tmp_path / "in" / "P1", 2)
    failing_plate(tmp_path / "in" / "P2", 3, 1)
    (tmp_path / "in" / "P3").mkdir()
    spec = {
        "defaults": {"destination": str(tmp_path / "out" / "{plate}"), "max_failed_exports": 1},
        "plates": [{"source": str(tmp_path / "in" / name)} for name in ("P1", "P2", "P3")],
    }
    arguments = ("run", "--job-spec", json.dumps(spec), "--task-runner", "processes:2")
    done = cytobatch(*arguments, env={"CYTOBATCH_LOG_FORMAT": "json"})
    assert done.returncode == 3
    found = events([*done.stdout.splitlines(), *done.stderr.splitlines()], schema)
    names = [event.event for event in found]
    assert names.count(EventName.PLATE_DONE) == 2
    (export,) = (event for event in found if event.event is EventName.EXPORT_FAILED)
    assert (export.plate, export.message.startswith("P1-A01-1/Cells.csv (cells): cut short")) == ("P2", True)
    (failed,) = (event for event in found if event.event is EventName.PLATE_FAILED)
    assert (failed.plate, failed.figures.exit_code) == ("P3", 3)
    end = found[-1].figures
    assert (found[-1].event, end.plates, end.plates_done, end.plates_failed) == (EventName.RUN_ENDED, 3, 2, 1)
    assert {event.plate for event in found if event.step is PlateStep.REPORT} == {"P1", "P2"}


@pytest.mark.parametrize("arguments", [("--sorce", "x"), ("--source", "absent", "--destination", "out")])
def test_errors_are_json_too(
    arguments: tuple[str, ...], tmp_path: Path, capsys: Capture, schema: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments, "--log-format=json")
    errors = [event for event in events(err, schema) if event.level == "error"]
    assert out == []
    assert [event.figures.exit_code for event in errors] == [code]
