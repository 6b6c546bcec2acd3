"""Running pieces of work as processes of their own, in turn, and what they took."""

import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_WORK = str(Path(__file__).with_name("work.py"))
_OURS = ("CYTOBATCH_", "AWS_", "PREFECT_")
_EVERY = 0.05


class PieceFailedError(Exception):
    """A piece of work ended with an error."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds of wall and CPU (of the process and its children), and the most memory of all of them, in bytes."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True, slots=True)
class Piece:
    """A command that does one piece of work. A `whole` process is timed from outside, others time themselves."""

    label: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    whole: bool = False


def piece(label: str, *arguments: object, scratch: Path, environment: Sequence[tuple[str, str]] = ()) -> Piece:
    """A piece of `work.py`."""
    command = (sys.executable, _WORK, *map(str, arguments), "--scratch", str(scratch))
    return Piece(label, command, tuple(environment))


def environment_of(said: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
    """The environment without its owner's settings of what is measured, and with what is said here."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return own | {"PYTHONHASHSEED": "0", **dict(said)}


class MemoryWatch(threading.Thread):
    """Looks at the memory of a process and all below it until it is told to stop. Sees nothing where /proc is not."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._process = process
        self._stop_now = threading.Event()

    def run(self) -> None:
        while not self._stop_now.wait(_EVERY):
            self.peak = max(self.peak, sum(map(_resident, _tree(self._process))))

    def stop(self) -> None:
        self._stop_now.set()
        self.join()


def _tree(process: int) -> list[int]:
    found = [process]
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = path.read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in children:
            found += _tree(int(child))
    return found


def _resident(process: int) -> int:
    try:
        pages = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def measured(work: Piece) -> Figures:
    """Runs a piece once. Raises PieceFailedError."""
    # What an earlier piece has left to be written to disk is not this one's.
    os.sync()
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(
        work.command, env=environment_of(work.environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    watch = MemoryWatch(process.pid)
    watch.start()
    output, errors = process.communicate()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    watch.stop()
    if process.returncode:
        last = "\n".join(errors.splitlines()[-15:])
        raise PieceFailedError(f"{work.label} ended with {process.returncode}: {last}")
    if work.whole:
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Figures(wall, cpu, watch.peak)
    told = json.loads(output.splitlines()[-1])
    return Figures(told["wall"], told["cpu"], max(told["peak"], watch.peak))


def median(runs: Sequence[Figures]) -> Figures:
    """The median of each figure by itself."""
    names = ("wall", "cpu", "peak")
    return Figures(**{name: statistics.median(getattr(one, name) for one in runs) for name in names})


@dataclass(slots=True)
class Measurements:
    """Everything measured so far, so that no piece is run again for another case."""

    runs: dict[Piece, list[Figures]] = field(default_factory=dict)

    def of(self, pieces: Sequence[Piece], runs: int) -> list[Figures]:
        """The medians of so many runs of each piece, taken in turn: a machine slow for a while is slow for all."""
        for number in range(runs):
            for one in pieces:
                done = self.runs.setdefault(one, [])
                if len(done) <= number:
                    done.append(measured(one))
        return [median(self.runs[one][:runs]) for one in pieces]
