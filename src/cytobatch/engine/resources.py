"""How many CPUs and how much memory a run may take: the job's own numbers, else what container and machine grant.

All threads and all large amounts of memory are derived from these two numbers, here and nowhere else.
"""

import functools
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from cytobatch.config.options import PlateJob
from cytobatch.engine.cgroups import CgroupLimits, cgroup_limits

_MIB = 2**20
FEWEST_FETCH_THREADS = 8
_MOST_FETCH_THREADS = 64
_FETCH_THREADS_OF_A_WORKER = 4
_BATCHES_AHEAD = 2
_SMALLEST_BATCH, _LARGEST_BATCH = 4 * _MIB, 80 * _MIB
_LARGEST_TABLE = 256 * _MIB
_UNKNOWN_MEMORY = 4096 * _MIB

# Measured with keys of three million objects joined and sorted: DuckDB gave up with 64 MiB however few its threads,
# and with 16 MiB a thread now and then; 128 MiB, and 32 MiB a thread, always sufficed.
_LEAST_DUCKDB_MEMORY = 128 * _MIB
_DUCKDB_MEMORY_OF_A_THREAD = 32 * _MIB

# Each worker reads and decodes a batch or a chunk of its own, of 4 to 80 MiB at the source.
_MEMORY_OF_A_WORKER = 192 * _MIB

# Reading empty CSV files and scanning datasets hangs with one: https://github.com/apache/arrow/issues/36121
_FEWEST_IO_THREADS = 2


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """What a whole run may take.

    Attributes
    ----------
    workers
        Threads that compute at once.
    memory
        Bytes of memory.
    """

    workers: int
    memory: int

    @property
    def duckdb_memory(self) -> int:
        """DuckDB's part in bytes: it joins keys alone, and spills. Arrow holds the wide columns in the rest."""
        return max(_LEAST_DUCKDB_MEMORY, self.memory // 4)

    @property
    def duckdb_threads(self) -> int:
        """As many as DuckDB's memory is enough for: each thread has buffers of its own, which cannot be spilled."""
        return min(self.workers, self.duckdb_memory // _DUCKDB_MEMORY_OF_A_THREAD)

    @property
    def batch_bytes(self) -> int:
        """Source bytes of the tables of an export batch, which are read and joined together.

        A small part of the memory, because read tables, the gathered piece, the writer's waiting rows and Arrow's own
        buffers are in memory together. Larger batches cost less time by the column, but more memory: 96 MiB took 4%
        less time than 80, and 45 MiB more at 400 sites.
        """
        return min(_LARGEST_BATCH, max(_SMALLEST_BATCH, self.memory // 32))

    @property
    def table_bytes(self) -> int:
        """Source bytes of the largest table that is held in memory, from where rows in any order are taken faster."""
        return max(self.batch_bytes, min(_LARGEST_TABLE, self.memory // 16))

    @property
    def ahead_bytes(self) -> int:
        """Source bytes of batches that may be read before they are written: a quarter of the memory at most.

        Two batches for each thread but the one that writes: with one, the others wait whenever it is between two row
        groups. With one worker nothing is read ahead.
        """
        return min(_BATCHES_AHEAD * (self.workers - 1) * self.batch_bytes, self.memory // 4)

    def with_affordable_workers(self) -> "ResourceLimits":
        """Return the limits with no more workers than have the memory that each takes."""
        return ResourceLimits(max(1, min(self.workers, self.memory // _MEMORY_OF_A_WORKER)), self.memory)

    def shared(self, count: int) -> "ResourceLimits":
        """Return the part of one of `count` runs that share these limits, with at least one thread each."""
        return ResourceLimits(max(1, self.workers // count), self.memory // count)

    @property
    def fetch_threads(self) -> int:
        """Threads that wait for the network, and so may be more than those that compute."""
        return min(_MOST_FETCH_THREADS, max(FEWEST_FETCH_THREADS, _FETCH_THREADS_OF_A_WORKER * self.workers))


def resource_limits(job: PlateJob) -> ResourceLimits:
    """Return the job's numbers, else what the machine grants: no more workers than the memory is enough for."""
    if job.workers is not None and job.memory is not None:
        return ResourceLimits(job.workers, int(job.memory)).with_affordable_workers()
    granted = machine_limits()
    limits = ResourceLimits(job.workers or granted.workers, int(job.memory or granted.memory))
    return limits.with_affordable_workers()


def leave_signals_to_python() -> None:
    """Keep Arrow from handling signals during its operations, for the rest of the process.

    Arrow sends a signal once more after an operation, and now and then SIGINT then ended the process at once.
    """
    pa.enable_signal_handlers(False)


def configure_arrow_threads(limits: ResourceLimits) -> None:
    """Set the sizes of Arrow's two thread pools, which the whole process shares."""
    pa.set_cpu_count(limits.workers)
    pa.set_io_thread_count(max(_FEWEST_IO_THREADS, limits.workers))


def machine_limits(root: Path = Path("/")) -> ResourceLimits:
    """Return what machine, affinity and cgroups together grant this process.

    `/proc` and `/sys` are looked for below `root`, once a second: a run asks a dozen times.
    """
    limits = _cgroup_limits(root, int(time.monotonic()))
    cpus, memory = min((_cpus_of_this_process(), *limits.cpus)), min((_physical_memory(), *limits.memory))
    return ResourceLimits(max(1, cpus), memory)


@functools.lru_cache(maxsize=1)
def _cgroup_limits(root: Path, _second: int) -> CgroupLimits:
    """Read the limits of cgroups, which takes half a millisecond."""
    return cgroup_limits(root)


def _cpus_of_this_process() -> int:
    # macOS has no affinity. os.process_cpu_count, which hides this, came with Python 3.13.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _physical_memory() -> int:
    """Return the machine's memory in bytes, or 4 GiB on Windows, which has no sysconf."""
    if not hasattr(os, "sysconf"):
        return _UNKNOWN_MEMORY
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
