"""A plate's outcome stands whatever Prefect's server does: absent, busy, silent, or killed at any step."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cytobatch.batch.flows import bookkeeping
from cytobatch.batch.flows.bookkeeping import Patience, Record, convert_recorded
from cytobatch.batch.plate_events import NoticeKind, PlateEvent, PlateNotice
from cytobatch.config.options import PlateJob
from cytobatch.pipeline.steps import PlateStep
from servers import free_port
from tests.support.fault_servers import faulty_server, relay
from tests.support.plates import write_sites
from tests.support.prefect_api import api

pytestmark = pytest.mark.slow
Run = Callable[..., subprocess.CompletedProcess[str]]
WAIT = 2
MOST_SECONDS = 40
"""The start of two programs on a busy machine, and twice the wait."""


def warnings(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines about Prefect on the terminal."""
    return [line for line in (done.stdout + done.stderr).splitlines() if "Prefect" in line]


def check_outcome(done: subprocess.CompletedProcess[str], destination: Path, warning: str) -> None:
    """Check that the plate was converted, with one warning and nothing else from Prefect."""
    assert done.returncode == 0, done.stderr
    assert pq.read_table(destination / "single_cells.parquet").num_rows == 6
    assert len(warnings(done)) == 1, done.stdout + done.stderr
    assert re.search(warning, warnings(done)[0]), done.stderr
    steps = [f"in: {step}" for step in PlateStep]
    assert [line for line in done.stderr.splitlines() if "warning: " not in line] == steps


def flags(tmp_path: Path) -> list[str]:
    source = write_sites(tmp_path / "in", 2)
    return ["run", "--source", str(source), "--destination", str(tmp_path / "out"), "--prefect-wait", str(WAIT)]


def test_a_server_that_is_absent_costs_a_warning(cytobatch: Run, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    done = cytobatch(*flags(tmp_path), env={"PREFECT_API_URL": url})
    check_outcome(done, tmp_path / "out", f"no record of this run: {url} cannot be reached .*refused")


@pytest.mark.parametrize(
    ("mode", "warning"),
    [
        ("busy", "no record of this run: .* answered 503 .*PostgreSQL"),
        pytest.param(
            "healthy-busy", "no record of this run: .* did not answer within|answered 503", marks=pytest.mark.long
        ),
        ("silent", "no record of this run: .* did not answer within"),
        pytest.param("healthy-silent", "no record of this run: .* did not answer within", marks=pytest.mark.long),
    ],
)
def test_a_server_that_does_not_serve_costs_a_warning_and_a_bounded_wait(
    mode: str, warning: str, cytobatch: Run, tmp_path: Path
) -> None:
    with faulty_server(mode) as url:
        start = time.monotonic()
        done = cytobatch(*flags(tmp_path), env={"PREFECT_API_URL": url})
        seconds = time.monotonic() - start
    check_outcome(done, tmp_path / "out", warning)
    assert seconds < MOST_SECONDS


KILLING_RUN = """
import os, signal, sys
from cytobatch.cli.plate_results import PlateResults
from cytobatch.pipeline.steps import StepStarted
from cytobatch.__main__ import main

pid, fatal = int(sys.argv[1]), sys.argv[2]
announce = PlateResults.on_event

def kill_at_step(results, event):
    if isinstance(event, StepStarted) and event.step == fatal:
        os.kill(pid, signal.SIGKILL)
    announce(results, event)

PlateResults.on_event = kill_at_step
sys.argv[1:] = sys.argv[3:]
main()
"""


@pytest.mark.parametrize(
    "step",
    [
        PlateStep.PLAN,
        PlateStep.CONVERT,
        *(
            pytest.param(step, marks=pytest.mark.long)
            for step in (PlateStep.SURVEY, PlateStep.PUBLISH, PlateStep.REPORT)
        ),
    ],
)
def test_a_server_that_is_killed_at_a_step_costs_a_warning(
    step: PlateStep, prefect_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with relay(prefect_url) as (url, pid):
        monkeypatch.setenv("PREFECT_API_URL", url)
        command = [sys.executable, "-c", KILLING_RUN, str(pid), step.value, *flags(tmp_path)]
        start = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        seconds = time.monotonic() - start
    check_outcome(done, tmp_path / "out", "Prefect has no record of (this run|how this run ended): ")
    assert seconds < MOST_SECONDS


def test_each_report_has_a_warning_that_is_printed_once(cytobatch: Run, tmp_path: Path) -> None:
    plates = [{"source": str(write_sites(tmp_path / name, 2))} for name in ("P1", "P2")]
    spec = {"defaults": {"destination": str(tmp_path / "out" / "{plate}")}, "plates": plates}
    url = f"http://127.0.0.1:{free_port()}/api"
    done = cytobatch("run", "--job-spec", json.dumps(spec), env={"PREFECT_API_URL": url})
    assert done.returncode == 0, done.stderr
    assert len(warnings(done)) == 1, done.stdout + done.stderr
    reports = [json.loads((tmp_path / "out" / name / "run-report.json").read_text()) for name in ("P1", "P2")]
    named = [[warning["what"] for warning in report["warnings"] if "Prefect" in warning["what"]] for report in reports]
    assert named[0] == named[1] == [warnings(done)[0].partition("warning: ")[2]]


@pytest.mark.long
def test_a_server_that_answers_records_plates_without_end(cytobatch: Run, prefect_url: str, tmp_path: Path) -> None:
    """Prefect's thread of heartbeats ends up to a second after each run, and no plate waits for it."""
    names = [f"many{number}" for number in range(10)]
    plates = [{"source": str(write_sites(tmp_path / name, 2))} for name in names]
    spec = {"defaults": {"destination": str(tmp_path / "out" / "{plate}"), "prefect_wait": 6}, "plates": plates}
    done = cytobatch("run", "--job-spec", json.dumps(spec), env={"PREFECT_API_URL": prefect_url})
    assert done.returncode == 0, done.stderr
    assert warnings(done) == []
    named = {"flow_runs": {"name": {"any_": [f"convert {name}" for name in names]}}}
    runs = api(prefect_url, "/flow_runs/filter", named)
    assert sorted((run["name"], run["state_type"]) for run in runs) == [
        (f"convert {name}", "COMPLETED") for name in names
    ]


def test_patience_runs_out_where_nothing_comes_and_not_where_answers_come_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(bookkeeping.time, "monotonic", lambda: now)

    def takes(seconds: float, *, comes: bool) -> Callable[[float], bool]:
        def wait(most: float) -> bool:
            nonlocal now
            given.append(most)
            now += min(seconds, most)
            return comes

        return wait

    patience, given = Patience(), list[float]()
    for _ in range(100):
        patience.wait(10.0, takes(2.5, comes=True))
    patience.wait(10.0, takes(5.0, comes=True))
    assert patience.spent == 2.0
    patience.wait(10.0, takes(20.0, comes=False))
    patience.wait(10.0, takes(20.0, comes=False))
    assert given[-3:] == [10.0, 8.0, 0.0]


@pytest.mark.parametrize("mode", ["busy", "silent"])
def test_a_failed_plate_keeps_its_exit_code(mode: str, cytobatch: Run, tmp_path: Path) -> None:
    arguments = flags(tmp_path)
    (tmp_path / "in" / "P1-A01-1" / "Cells.csv").write_bytes(b"")
    with faulty_server(mode) as url:
        done = cytobatch(*arguments, env={"PREFECT_API_URL": url})
    assert done.returncode == 3, done.stderr
    assert done.stderr.count("error: ") == 1
    assert "P1-A01-1/Cells.csv (cells): empty file" in done.stderr
    assert len(warnings(done)) == 1


def test_settings_that_prefect_refuses_cost_a_warning(cytobatch: Run, tmp_path: Path) -> None:
    done = cytobatch(*flags(tmp_path), env={"PREFECT_API_REQUEST_TIMEOUT": "soon"})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "single_cells.parquet").exists()
    assert len(warnings(done)) == 1, done.stdout + done.stderr
    assert "no record of this run: it does not start (ValidationError: " in warnings(done)[0]


def imported(*arguments: str, env: Mapping[str, str]) -> tuple[set[str], str]:
    """Run the program, and return the modules that it imports and what it prints on standard error beside."""
    command = [sys.executable, "-X", "importtime", "-m", "cytobatch", *arguments]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    modules = {line.rsplit("|", 1)[-1].strip() for line in lines if line.startswith("import time:")}
    return modules, "\n".join(line for line in lines if not line.startswith("import time:"))


def test_a_record_that_cannot_be_opened_is_no_error_of_the_plate(tmp_path: Path) -> None:
    def cannot_start_a_thread() -> Record:
        raise RuntimeError("can't start new thread")

    announced: list[PlateEvent] = []
    job = PlateJob(source=str(write_sites(tmp_path / "in", 2)), destination=str(tmp_path / "out"))
    report = convert_recorded(job, announced.append, cannot_start_a_thread, Patience())
    assert report.counts.rows == 6
    warning = "Prefect has no record of this run: it does not start (RuntimeError: can't start new thread)"
    notices = [event for event in announced if isinstance(event, PlateNotice)]
    assert notices == [PlateNotice("in", warning, NoticeKind.WARNING)]
    assert report.warnings[-1].what == warning


def test_a_plate_that_is_done_asks_no_server_and_imports_no_prefect(cytobatch: Run, tmp_path: Path) -> None:
    arguments = [*flags(tmp_path), "--skip-done"]
    assert cytobatch(*arguments, "--orchestrator", "none").returncode == 0
    with faulty_server("silent") as url:
        modules, messages = imported(*arguments, env={"PREFECT_API_URL": url})
    assert [line.partition(" at ")[0] for line in messages.splitlines()] == ["in: plan", "in: done already"]
    assert "cytobatch.batch.flows.bookkeeping" in modules
    assert "prefect" not in modules


def test_without_an_orchestrator_outputs_and_report_are_the_same_and_prefect_is_not_imported(
    cytobatch: Run, tmp_path: Path
) -> None:
    arguments = flags(tmp_path)
    assert cytobatch(*arguments).returncode == 0
    with_prefect = (tmp_path / "out" / "single_cells.parquet").read_bytes(), report_of(tmp_path / "out")
    modules, messages = imported(*arguments, "--force", env={"CYTOBATCH_ORCHESTRATOR": "none"})
    assert messages.splitlines() == [f"in: {step}" for step in PlateStep]
    assert "prefect" not in modules
    assert ((tmp_path / "out" / "single_cells.parquet").read_bytes(), report_of(tmp_path / "out")) == with_prefect


def report_of(destination: Path) -> dict[str, object]:
    """Return a run report without what differs between two runs."""
    report = json.loads((destination / "run-report.json").read_text())
    return {key: report[key] for key in report.keys() - {"started", "finished", "seconds", "peak_memory_bytes"}}


def runs_at_once(number: int, url: str, folder: Path, wait: int = 10) -> list[tuple[str, str]]:
    """Convert plates by as many programs at once. Returns the name of each plate with what the program printed."""
    source = write_sites(folder / "in", 2)
    names = [f"{folder.name}-{n}" for n in range(number)]
    common = [sys.executable, "-m", "cytobatch", "run", "--source", str(source)]
    processes = [
        subprocess.Popen(
            [*common, "--destination", str(folder / name), "--plate", name],
            env={**os.environ, "PREFECT_API_URL": url, "CYTOBATCH_PREFECT_WAIT": str(wait)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in names
    ]
    printed = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * number, printed
    assert all((folder / name / "single_cells.parquet").exists() for name in names)
    return list(zip(names, printed, strict=True))


def recorded(url: str, names: Sequence[str]) -> set[str]:
    """Return the plates whose flow runs a server has as completed."""
    body = {"flow_runs": {"name": {"any_": [f"convert {name}" for name in names]}}}
    runs = api(url, "/flow_runs/filter", body)
    return {run["name"].removeprefix("convert ") for run in runs if run["state_type"] == "COMPLETED"}


def test_runs_at_once_on_sqlite_are_recorded_or_warn(prefect_url: str, tmp_path: Path) -> None:
    plates = runs_at_once(4, prefect_url, tmp_path)
    done = recorded(prefect_url, [name for name, _ in plates])
    for name, printed in plates:
        assert name in done or printed.count("warning: Prefect has no record of ") == 1, printed


def test_runs_at_once_on_postgresql_are_all_recorded(prefect_on_postgresql: str, tmp_path: Path) -> None:
    plates = runs_at_once(4, prefect_on_postgresql, tmp_path, wait=120)
    assert recorded(prefect_on_postgresql, [name for name, _ in plates]) == {name for name, _ in plates}
    assert not any("Prefect has no record" in printed for _, printed in plates)
