"""Wall and CPU seconds of parts of a process, and its peak memory."""

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
    """Counts while it runs: wall seconds, the process's own CPU seconds, and those of its children that have ended."""

    def __init__(self) -> None:
        self._counted = (0.0, 0.0, 0.0)
        self._began = self._counted

    def start(self) -> None:
        self._began = _now()

    def stop(self) -> None:
        spans = zip(self._counted, self._began, _now(), strict=True)
        wall, own, children = (counted + end - start for counted, start, end in spans)
        self._counted = (wall, own, children)

    def print_figures(self) -> None:
        """Print the counted seconds and the peak memory as one line of JSON."""
        wall, own, children = self._counted
        print(json.dumps({"wall": wall, "own": own, "children": children, "peak": peak_memory()}))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time within the context."""
        self.start()
        try:
            yield
        finally:
            self.stop()


def peak_memory() -> int:
    """Return the peak memory of this process, in bytes.

    `ru_maxrss` is not used on Linux, where a child inherits its parent's value.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
