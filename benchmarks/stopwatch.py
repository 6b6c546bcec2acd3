"""Wall and CPU seconds of some stretches of a process, and the most memory that it held."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _cpu() -> float:
    """CPU seconds of this process and of those children that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class Stopwatch:
    """Counts while it runs."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.cpu = 0.0
        self._began = (0.0, 0.0)

    def start(self) -> None:
        self._began = (time.perf_counter(), _cpu())

    def stop(self) -> None:
        self.wall += time.perf_counter() - self._began[0]
        self.cpu += _cpu() - self._began[1]

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
