"""Runs pieces of work as processes of their own, in turn, and measures them."""

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_WORK = str(Path(__file__).with_name("work.py"))
_OURS = ("CYTOBATCH_", "AWS_", "PREFECT_")
_EVERY = 0.05
MARK = "BENCHMARKED_PIECE"


class PieceFailedError(Exception):
    """A piece of work ended with an error."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds of wall and CPU (of the process and its children), and the peak memory of all of them, in bytes."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True, slots=True)
class Piece:
    """A command that does one piece of work. A `whole` process is timed from outside; others time themselves."""

    label: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    whole: bool = False
    folder: Path | None = None


def piece(label: str, *arguments: object, scratch: Path, environment: Sequence[tuple[str, str]] = ()) -> Piece:
    """Return a piece of `work.py`."""
    command = (sys.executable, _WORK, *map(str, arguments), "--scratch", str(scratch))
    return Piece(label, command, tuple(environment))


def environment_of(variables: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
    """Return the environment without the user's own settings of the measured programs, plus `variables`."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return own | {"PYTHONHASHSEED": "0", **dict(variables)}


class TreeWatch(threading.Thread):
    """Samples memory and CPU of a process and its descendants until `stop`. Without /proc it samples nothing.

    A mark in the environment identifies them, so that a process whose parent has ended still counts, as do the workers
    that CytoTable starts.
    """

    def __init__(self, process: int, mark: str) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._root = str(process)
        self._mark = f"{MARK}={mark}".encode()
        self._unrelated: set[str] = set()
        self._cpu: dict[str, float] = {self._root: 0.0}
        self._stop_now = threading.Event()

    @property
    def below(self) -> float:
        """CPU seconds of all but the first process, as of the last sample."""
        return sum(seconds for process, seconds in self._cpu.items() if process != self._root)

    def run(self) -> None:
        while not self._stop_now.wait(_EVERY):
            self._find_processes()
            self.peak = max(self.peak, sum(map(_resident, self._cpu)))
            self._cpu |= {process: max(_cpu(process), seconds) for process, seconds in self._cpu.items()}

    def _find_processes(self) -> None:
        for entry in os.scandir("/proc") if Path("/proc/self/environ").exists() else ():
            name = entry.name
            if name.isdigit() and name not in self._cpu and name not in self._unrelated:
                environment = _read_proc(name, "environ").split(b"\0")
                if self._mark in environment:
                    self._cpu[name] = 0.0
                elif any(environment):  # during exec the environment is empty
                    self._unrelated.add(name)

    def stop(self) -> None:
        self._stop_now.set()
        self.join()


def _resident(process: str) -> int:
    words = _read_proc(process, "statm").split()
    return int(words[1]) * resource.getpagesize() if words else 0


def _cpu(process: str) -> float:
    # The second field is the program's name in brackets, which may contain blanks.
    words = _read_proc(process, "stat").rpartition(b")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") if words else 0.0


def _read_proc(process: str, name: str) -> bytes:
    """Return a file of /proc about a process; empty if it has ended, or is another user's."""
    try:
        return Path(f"/proc/{process}/{name}").read_bytes()
    except OSError:
        return b""


def measured(work: Piece) -> Figures:
    """Run a piece once. Raises PieceFailedError if it fails."""
    # Data that an earlier piece left to be written to disk must not count for this one.
    os.sync()
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        work.command,
        env=environment_of((*work.environment, (MARK, mark))),
        cwd=work.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watch = TreeWatch(process.pid, mark)
    # Sampling slows the sampled process. A piece that times itself is one process and prints its own peak.
    if work.whole:
        watch.start()
    output, errors = process.communicate()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if work.whole:
        watch.stop()
    if process.returncode:
        last = "\n".join(errors.splitlines()[-15:])
        raise PieceFailedError(f"{work.label} ended with {process.returncode}: {last}")
    if work.whole:
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Figures(wall, cpu, watch.peak)
    figures = json.loads(output.splitlines()[-1])
    # A process knows the CPU seconds only of those children that it has waited for.
    cpu = figures["own"] + max(figures["children"], watch.below)
    return Figures(figures["wall"], cpu, max(figures["peak"], watch.peak))


@dataclass(frozen=True, slots=True)
class Runs:
    """The figures of each run of a piece. For pieces that ran in turn, equal indexes are one round."""

    each: tuple[Figures, ...]

    @property
    def median(self) -> Figures:
        """The median of each figure."""
        names = ("wall", "cpu", "peak")
        return Figures(**{name: statistics.median(getattr(one, name) for one in self.each) for name in names})

    def over(self, *others: "Runs") -> Figures:
        """Return the ratio to the largest of the others in each round: the median over the rounds.

        A machine that is slow for a while is slow for all pieces of a round, so that ratios vary less than times.
        """
        rounds = zip(self.each, *(other.each for other in others), strict=True)
        return Runs(tuple(_times(own, beside) for own, *beside in rounds)).median


def _times(own: Figures, beside: Sequence[Figures]) -> Figures:
    def times(figure: Callable[[Figures], float]) -> float:
        most = max(map(figure, beside))
        return figure(own) / most if most else math.inf

    return Figures(times(lambda one: one.wall), times(lambda one: one.cpu), times(lambda one: one.peak))


def in_turn(pieces: Sequence[Piece], runs: int) -> list[Runs]:
    """Run each piece `runs` times, in turn, and in every second round in the reverse order.

    The first of two equal pieces took 3% more CPU seconds than the second, perhaps for what the second left behind.
    """
    rounds = [_round(pieces, reverse=number % 2 == 1) for number in range(runs)]
    return [Runs(tuple(each)) for each in zip(*rounds, strict=True)]


def _round(pieces: Sequence[Piece], *, reverse: bool) -> list[Figures]:
    """Run each piece once, from the last to the first if `reverse`, and return the figures in the order of pieces."""
    figures = [measured(one) for one in (reversed(pieces) if reverse else pieces)]
    return figures[::-1] if reverse else figures
