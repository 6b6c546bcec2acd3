"""A store that is silent, or sends a byte at a time: a run ends with its exit code in time, and at once on SIGTERM."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cytobatch.errors import ExitCode
from tests.support.fault_proxy import Fault, FaultProxy, Injection, fault_proxy
from tests.support.plates import write_sites
from tests.support.program import Run, started_program

Upload = Callable[[Path, str], str]
LISTING, OBJECTS = 0, 4
"""Numbers of requests from which on a store is silent: from the first on, and while objects come."""


def plan(fault: Fault, first: int) -> list[Injection]:
    return [Injection(fault, first, 10_000)]


def arguments(source: str, tmp_path: Path, proxy: FaultProxy, orchestrator: str = "none") -> list[str]:
    return [
        "run",
        *("--source", source, "--destination", str(tmp_path / "out"), "--endpoint-url", proxy.url, "--plate", "P1"),
        *("--orchestrator", orchestrator, "--scratch-dir", str(tmp_path / "scratch")),
    ]


def nothing_left(tmp_path: Path) -> bool:
    return not list((tmp_path / "scratch").iterdir()) and not list((tmp_path / "out").rglob("*"))


@pytest.mark.parametrize(
    ("fault", "first"), [(Fault.SILENCE, LISTING), (Fault.SILENCE, OBJECTS), (Fault.TRICKLE, OBJECTS)]
)
def test_a_silent_store_ends_a_run_after_a_few_of_its_time_limits(
    fault: Fault, first: int, cytobatch: Run, upload: Upload, aws: str, tmp_path: Path
) -> None:
    source = upload(write_sites(tmp_path / "in", 2, 100), "plate")
    with fault_proxy(aws) as proxy:
        proxy.begin(plan(fault, first))
        began = time.monotonic()
        ended = cytobatch(*arguments(source, tmp_path, proxy), env={"CYTOBATCH_STORE_TIMEOUT": "1"})
    assert ended.returncode == ExitCode.STORAGE, ended.stderr
    assert "store does not answer in time" in ended.stderr
    # Six time limits, and the start of the program on a busy machine.
    assert time.monotonic() - began < 6 + 14
    assert nothing_left(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("fault", [Fault.SILENCE, Fault.TRICKLE])
@pytest.mark.parametrize("first", [LISTING, OBJECTS])
def test_a_silent_store_ends_a_run_within_two_minutes(
    fault: Fault, first: int, cytobatch: Run, upload: Upload, aws: str, tmp_path: Path
) -> None:
    source = upload(write_sites(tmp_path / "in", 2, 1000), "plate")
    with fault_proxy(aws) as proxy:
        proxy.begin(plan(fault, first))
        began = time.monotonic()
        ended = cytobatch(*arguments(source, tmp_path, proxy))
    assert ended.returncode == ExitCode.STORAGE, ended.stderr
    assert time.monotonic() - began < 120


@pytest.mark.parametrize(
    ("fault", "first", "orchestrator"),
    [
        (Fault.SILENCE, LISTING, "none"),
        (Fault.TRICKLE, OBJECTS, "none"),
        (Fault.SILENCE, OBJECTS, "prefect"),
        pytest.param(Fault.TRICKLE, LISTING, "none", marks=pytest.mark.long),
        pytest.param(Fault.SILENCE, OBJECTS, "none", marks=pytest.mark.long),
        pytest.param(Fault.SILENCE, LISTING, "prefect", marks=pytest.mark.long),
        pytest.param(Fault.TRICKLE, LISTING, "prefect", marks=pytest.mark.long),
        pytest.param(Fault.TRICKLE, OBJECTS, "prefect", marks=pytest.mark.long),
    ],
)
def test_sigterm_ends_a_run_whose_store_is_silent(
    fault: Fault, first: int, orchestrator: str, upload: Upload, aws: str, tmp_path: Path
) -> None:
    source = upload(write_sites(tmp_path / "in", 2, 1000), "plate")
    with fault_proxy(aws) as proxy:
        proxy.begin(plan(fault, first))
        with started_program(*arguments(source, tmp_path, proxy, orchestrator), folder=tmp_path) as process:
            end = time.monotonic() + 40
            while not proxy.injected and process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(0.5)
            assert process.poll() is None
            began = time.monotonic()
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(20) == ExitCode.TERMINATED
            took = time.monotonic() - began
    assert took < 10
    assert nothing_left(tmp_path)
