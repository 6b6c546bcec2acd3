"""The case of many small plates: plates a minute for each task runner, beside the pipeline one after the other.

A run of a few plates is measured too. What it takes is start-up; what the other plates take beyond it is their rate.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from measure import Piece, Runs, in_turn
from plates import PlateName
from session import Session
from show import Finding, Row, at_least, at_most

_WORK = str(Path(__file__).with_name("work.py"))
_API = "API, one after the other"
_SEQUENTIAL = "sequential"
_MEMORY_GIB = 3
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class _Measured:
    """A way to convert plates, with runs of all plates and of a few."""

    label: str
    all: Runs
    few: Runs
    plates: int

    @property
    def a_minute(self) -> float:
        """Plates a minute after the start, from medians."""
        return 60 * self.plates / max(self.all.median.wall - self.few.median.wall, 0.001)


def measure_many(session: Session, case: str) -> None:
    """Convert many plates by each task runner, and by the pipeline itself."""
    count, at_once = session.options.scale.many_plates, session.options.workers
    few = min(at_once, count - 1)
    folder = _copies(session, count)
    ways = [_API, _SEQUENTIAL, f"threads:{at_once}", f"processes:{at_once}"]
    ways += [f"dask:{at_once}"] if find_spec("prefect_dask") else []
    measured = [_measure(session, folder, way, count, few) for way in ways]
    session.show.case(f"{case}: {count} plates", [Row(one.label, one.all) for one in measured])
    session.show.case(f"{case}: the first {few}, with start-up", [Row(one.label, one.few) for one in measured])
    for one in measured:
        session.show.note(f"{case}: {one.label}: {one.a_minute:.0f} plates a minute after the first {few}")
    by_way = dict(zip(ways, measured, strict=True))
    gain = by_way[f"processes:{at_once}"].a_minute / by_way[_SEQUENTIAL].a_minute
    session.add(at_least(case, f"plates a minute, processes:{at_once} over sequential", gain, 1.6))
    peak = max(one.all.median.peak for one in measured[1:]) / _GIB
    session.add(at_most(case, f"peak of all processes with --memory {_MEMORY_GIB}GiB", peak, _MEMORY_GIB, " GiB"))
    _check_bytes(session, case, ways, count)
    session.guard(case, PlateName.MANY, _out(session, _API) / "1.parquet")


def _copies(session: Session, count: int) -> Path:
    """Return a folder of plates, which are hard links to one."""
    folder = session.scratch / "many"
    shutil.rmtree(folder, ignore_errors=True)
    for number in range(1, count + 1):
        shutil.copytree(
            session.plate(PlateName.MANY), folder / str(number), copy_function=lambda a, b: Path(b).hardlink_to(a)
        )
    return folder


def _measure(session: Session, folder: Path, way: str, count: int, few: int) -> _Measured:
    pieces = [_piece(session, folder, way, number) for number in (count, few)]
    every, first = in_turn(pieces, session.runs(PlateName.MANY))
    return _Measured(way, every, first, count - few)


def _out(session: Session, way: str) -> Path:
    return session.scratch / "many-out" / way.replace(":", "-")


def _piece(session: Session, folder: Path, way: str, count: int) -> Piece:
    """Return the conversion of the first plates of the folder, as a whole process."""
    out = _out(session, way)
    workers = ("--workers", str(session.options.workers))
    if way == _API:
        scratch = ("--scratch", str(session.scratch))
        command: Sequence[str] = (_WORK, "many", str(folder), str(out), str(count), *workers, *scratch)
    else:
        plates = [
            {"source": str(folder / str(n)), "destination": str(out / f"{n}.parquet")} for n in range(1, count + 1)
        ]
        spec = session.scratch / f"many-{count}.json"
        spec.write_text(json.dumps({"plates": plates}), encoding="utf-8")
        memory = ("--memory", f"{_MEMORY_GIB}GiB")
        command = ("-m", "cytobatch", "run", "--job-spec", str(spec), "--task-runner", way, *workers, *memory)
    return Piece(f"{way}, {count} plates", (sys.executable, *command), whole=True)


def _check_bytes(session: Session, case: str, ways: Sequence[str], count: int) -> None:
    """Compare the bytes of all profiles: the plates are the same, but for their names."""
    digests = {
        hashlib.sha256((_out(session, way) / f"{number}.parquet").read_bytes()).hexdigest()
        for way in ways
        for number in range(1, count + 1)
    }
    reached = f"{len(digests)} distinct profile(s)"
    session.add(Finding(case, "bytes of all profiles", reached, "equal", held=len(digests) == 1))
