"""The case of one large plate on a Dask cluster: the bytes and the share of each step by one, two and three workers.

Workers are processes of this machine, and share its CPUs, so that more of them gain nothing here. In one run a worker
is killed in the middle.
"""

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from rich.table import Table

from dask_processes import DaskProcesses, dask_processes
from measure import PieceFailedError, environment_of
from plates import PlateName, size_of
from session import Session
from show import Finding, at_most

_PLATE = PlateName.CSV_LARGE
_WORKERS = (1, 2, 3)
_LARGEST_RANGE, _LEAST_RANGES = 2**28, 6
_STEPS = ("plan", "survey", "convert", "publish")
_BEGAN = re.compile(r": starts on .* \((.*)\)$")
_PART = re.compile(r": part (\d+) starts on .* \((.*)\)$")
_COUNT = re.compile(r": is converted in (\d+) parts$")
_SPLICED = re.compile(r": (\d+) parts took ([\d.]+) s, of which ([\d.]+) s to put them together$")


@dataclass(frozen=True, slots=True)
class _Run:
    """One run: its seconds as a whole, by step, and those to put parts together; the number of parts, and the bytes."""

    wall: float
    steps: dict[str, float]
    spliced: float
    parts: int
    sha256: str


def measure_split(session: Session, case: str) -> None:
    """Convert a plate on one machine, and by workers of a cluster."""
    ways = {"one machine": _run(session, 0)}
    ways |= {f"{count} worker(s)": _run(session, count) for count in _WORKERS}
    ways["3 workers, one killed"] = _run(session, _WORKERS[-1], kill=True)
    title = f"{case}: {session.made_of(_PLATE).describe()}"
    table = Table("", "wall s", *_STEPS, "put together", "parts", title=title, title_justify="left")
    for way, run in ways.items():
        steps = (f"{run.steps[step]:.1f}" for step in _STEPS)
        table.add_row(way, f"{run.wall:.1f}", *steps, f"{run.spliced:.1f}", str(run.parts))
    session.show.console.print(table)
    distinct = {run.sha256 for run in ways.values()}
    reached = "equal" if len(distinct) == 1 else f"{len(distinct)} different ones"
    session.add(Finding(case, "bytes of the profile by each way", reached, "equal", held=len(distinct) == 1))
    most = max(run.spliced / run.steps["convert"] for run in ways.values())
    session.add(at_most(case, "share of the conversion that puts parts together", most, 0.2))
    session.guard(case, _PLATE, _profile(session))


def _profile(session: Session) -> Path:
    return session.scratch / "split-out" / "single_cells.parquet"


def _run(session: Session, workers: int, *, kill: bool = False) -> _Run:
    """Convert the plate, on one machine if `workers` is 0. Raises PieceFailedError if the run fails."""
    folder = session.scratch / "split-cluster"
    for path in (folder, _profile(session).parent):
        rmtree(path, ignore_errors=True)
    folder.mkdir()
    if not workers:
        return _converted(session, (), None)
    with dask_processes(folder, workers) as cluster:
        runner = ("--task-runner", f"dask:{cluster.address}", "--split", "always")
        return _converted(session, runner, cluster if kill else None)


def _converted(session: Session, flags: Sequence[str], killed: DaskProcesses | None) -> _Run:
    plate = session.plate(_PLATE)
    range_size = min(_LARGEST_RANGE, size_of(plate) // _LEAST_RANGES)
    command = [
        sys.executable,
        "-m",
        "cytobatch",
        "run",
        "--source",
        str(plate),
        "--range-size",
        str(range_size),
        *flags,
    ]
    command += ["--destination", str(_profile(session).parent), "--scratch-dir", str(session.scratch)]
    start = time.monotonic()
    with subprocess.Popen(
        command, env=environment_of(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        lines: list[str] = []
        for line in process.stderr or ():
            lines.append(line.rstrip("\n"))
            if killed is not None and _kill_converter(killed, lines):
                killed = None
    wall = time.monotonic() - start
    if process.returncode or killed is not None:
        raise PieceFailedError(f"{' '.join(command)} ended with {process.returncode}: {lines[-20:]}")
    return _described(session, wall, lines)


def _kill_converter(cluster: DaskProcesses, lines: Sequence[str]) -> bool:
    """Kill a worker that begins with a part, if half of the parts have begun and it does not publish the plate."""
    publisher = next((match[1] for line in lines if (match := _BEGAN.search(line)) and " part " not in line), None)
    count = next((int(match[1]) for line in lines if (match := _COUNT.search(line))), 0)
    part, begun = _PART.search(lines[-1]), sum(_PART.search(line) is not None for line in lines)
    if part is None or begun <= count // 2 or part[2] == publisher:
        return False
    cluster.workers[part[2]].send_signal(signal.SIGKILL)
    return True


def _described(session: Session, wall: float, lines: Sequence[str]) -> _Run:
    profile = _profile(session)
    report = json.loads((profile.parent / "run-report.json").read_text())
    with profile.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    spliced = next((match for line in lines if (match := _SPLICED.search(line))), None)
    return _Run(
        wall, report["seconds"], float(spliced[3]) if spliced else 0.0, int(spliced[1]) if spliced else 1, digest
    )
