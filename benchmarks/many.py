"""The case of many small plates: plates a minute for each task runner, beside the pipeline one after the other.

A plate has ended when its line of counts is printed. The time to the first of these lines is start-up; the time from
there to the last one is the rate.
"""

import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree, rmtree

from rich.table import Table

from measure import MARK, PieceFailedError, TreeWatch, environment_of
from plates import PlateName
from session import Session
from show import Finding, at_least, at_most

_WORK = str(Path(__file__).with_name("work.py"))
_API = "API, one after the other"
_SEQUENTIAL = "sequential"
_MEMORY_GIB = 3
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of all plates: when each has ended, in seconds from the start, and CPU seconds and bytes of memory."""

    ends: tuple[float, ...]
    cpu: float
    peak: float

    @property
    def a_minute(self) -> float:
        """Plates a minute after the first one."""
        return 60 * (len(self.ends) - 1) / (self.ends[-1] - self.ends[0])


def measure_many(session: Session, case: str) -> None:
    """Convert many plates by each task runner, and by the pipeline itself, in turn."""
    at_once = session.options.workers
    folder = _copies(session)
    ways = [_API, _SEQUENTIAL, *(session.options.task_runners or _all_runners(at_once))]
    rounds = [[_run(session, folder, way) for way in ways] for _ in range(session.runs(PlateName.MANY))]
    measured = dict(zip(ways, zip(*rounds, strict=True), strict=True))
    _show(session, case, measured)
    processes = f"processes:{at_once}"
    if processes in measured:
        pairs = zip(measured[processes], measured[_SEQUENTIAL], strict=True)
        gain = statistics.median(one.a_minute / other.a_minute for one, other in pairs)
        session.add(at_least(case, f"plates a minute, {processes} over sequential", gain, 1.6))
    peak = max(run.peak for way, runs in measured.items() if way != _API for run in runs) / _GIB
    session.add(at_most(case, f"peak of all processes with --memory {_MEMORY_GIB}GiB", peak, _MEMORY_GIB, " GiB"))
    distinct = {_digests(session, way) for way in ways}
    reached = "equal" if len(distinct) == 1 else f"{len(distinct)} different sets"
    session.add(Finding(case, "bytes of all profiles by each runner", reached, "equal", held=len(distinct) == 1))
    session.guard(case, PlateName.MANY, _out(session, _API) / "1.parquet")


def _all_runners(at_once: int) -> list[str]:
    dask = [f"dask:{at_once}"] if find_spec("prefect_dask") else []
    return [f"threads:{at_once}", f"processes:{at_once}", *dask]


def _copies(session: Session) -> Path:
    """Return a folder of plates, which are hard links to one."""
    folder = session.scratch / "many"
    rmtree(folder, ignore_errors=True)
    for number in range(1, session.options.scale.many_plates + 1):
        copytree(session.plate(PlateName.MANY), folder / str(number), copy_function=os.link)
    return folder


def _out(session: Session, way: str) -> Path:
    return session.scratch / "many-out" / way.replace(":", "-")


def _command(session: Session, folder: Path, way: str) -> Sequence[str]:
    """Return the command that converts all plates of the folder."""
    out, workers = _out(session, way), ("--workers", str(session.options.workers))
    rmtree(out, ignore_errors=True)
    numbers = range(1, session.options.scale.many_plates + 1)
    if way == _API:
        return (_WORK, "many", str(folder), str(out), str(len(numbers)), *workers, "--scratch", str(session.scratch))
    plates = [{"source": str(folder / str(n)), "destination": str(out / f"{n}.parquet")} for n in numbers]
    spec = session.scratch / "many.json"
    spec.write_text(json.dumps({"plates": plates}), encoding="utf-8")
    limits = (*workers, "--memory", f"{_MEMORY_GIB}GiB")
    return ("-m", "cytobatch", "run", "--job-spec", str(spec), "--task-runner", way, *limits)


def _run(session: Session, folder: Path, way: str) -> _Run:
    """Convert all plates once. Raises PieceFailedError if the run fails."""
    command, mark, log = _command(session, folder, way), uuid.uuid4().hex, session.scratch / "many.log"
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with log.open("wb") as errors:
        process = subprocess.Popen(
            (sys.executable, *command),
            env=environment_of(((MARK, mark),)),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        watch = TreeWatch(process.pid, mark)
        watch.start()
        ends = [time.monotonic() - start for line in process.stdout or () if " rows x " in line]
        code = process.wait()
        watch.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code or len(ends) != session.options.scale.many_plates:
        raise PieceFailedError(f"{way} ended with {code} after {len(ends)} plates: {log.read_text()[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _Run(tuple(ends), cpu, watch.peak)


def _show(session: Session, case: str, measured: dict[str, tuple[_Run, ...]]) -> None:
    """Print the medians of each way to convert the plates."""
    title = f"{case}: {session.options.scale.many_plates} plates, of {session.made_of(PlateName.MANY).describe()}"
    table = Table("", "first plate after s", "plates a minute", "CPU s", "peak MiB", title=title, title_justify="left")
    for way, runs in measured.items():
        figures = (
            f"{statistics.median(run.ends[0] for run in runs):.1f}",
            f"{statistics.median(run.a_minute for run in runs):.0f}",
            f"{statistics.median(run.cpu for run in runs):.1f}",
            f"{statistics.median(run.peak for run in runs) / 2**20:,.0f}",
        )
        table.add_row(way, *figures)
    session.show.console.print(table)


def _digests(session: Session, way: str) -> tuple[str, ...]:
    """Return the SHA-256 of each plate's profile."""
    numbers = range(1, session.options.scale.many_plates + 1)
    files = (_out(session, way) / f"{number}.parquet" for number in numbers)
    return tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
