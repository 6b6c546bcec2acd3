"""Wall and CPU seconds of some stretches of a process, and the most memory that it held."""

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _now() -> tuple[float, float, float]:
    return time.perf_counter(), _cpu(resource.RUSAGE_SELF), _cpu(resource.RUSAGE_CHILDREN)


class Stopwatch:
    """Counts while it runs: wall, the process's own CPU seconds, and those of the children that it waited for."""

    def __init__(self) -> None:
        self._counted = (0.0, 0.0, 0.0)
        self._began = self._counted

    def start(self) -> None:
        self._began = _now()

    def stop(self) -> None:
        spans = zip(self._counted, self._began, _now(), strict=True)
        wall, own, children = (counted + end - start for counted, start, end in spans)
        self._counted = (wall, own, children)

    def tell(self) -> None:
        """Prints what was counted, and the most memory that the process held, as one line of JSON."""
        wall, own, children = self._counted
        print(json.dumps({"wall": wall, "own": own, "children": children, "peak": peak_memory()}))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within it, time counts."""
        self.start()
        try:
            yield
        finally:
            self.stop()


def peak_memory() -> int:
    """The most memory that this process held, in bytes.

    `ru_maxrss` is not asked on Linux: a child inherits there what its parent held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
