"""How many CPUs and how much memory a run may take: as the job says, else as the container or machine grants.

Two facts, and every share of them: whoever makes threads or holds much memory asks here and nowhere else.

Cgroups are read here rather than by a library. DuckDB looks into the process's own cgroup alone and joblib into the
mount's root alone, but a limit is mostly set on an ancestor (systemd's slices, Kubernetes' pods), as the JVM had to
learn: https://bugs.openjdk.org/browse/JDK-8322420. The kernel's words on the files are at
https://docs.kernel.org/admin-guide/cgroup-v2.html (`cpu.max`, `memory.max`, `memory.high`), and for version 1 at
https://docs.kernel.org/scheduler/sched-bwc.html and https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa

from cytobatch.config.options import PlateJob

_MIB = 2**20
FEWEST_FETCH_THREADS = 8
_MOST_FETCH_THREADS = 64
_FETCH_THREADS_OF_A_WORKER = 4
_UNITS_AHEAD = 2
_LEAST_UNIT, _LARGEST_UNIT = 4 * _MIB, 80 * _MIB
_LARGEST_TABLE = 256 * _MIB

# Measured with keys of three million objects joined and sorted: DuckDB gave up with 64 MiB however few its threads,
# and with 16 MiB a thread now and then; 128 MiB, and 32 MiB a thread, always sufficed.
_LEAST_DUCKDB_MEMORY = 128 * _MIB
_DUCKDB_MEMORY_OF_A_THREAD = 32 * _MIB

# Reading empty CSV files and scanning datasets hangs with one: https://github.com/apache/arrow/issues/36121
_FEWEST_IO_THREADS = 2

_UNIFIED = ""
"""The controller list of version 2's one hierarchy, as /proc/self/cgroup has it."""
_CONTROLLERS = frozenset({_UNIFIED, "cpu", "memory"})


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """What a whole run may take: threads that compute at once, and bytes of memory."""

    workers: int
    memory: int

    @property
    def duckdb_memory(self) -> int:
        """DuckDB's part: it joins keys alone, and spills; the rest is for the wide columns, which Arrow holds."""
        return max(_LEAST_DUCKDB_MEMORY, self.memory // 4)

    @property
    def duckdb_threads(self) -> int:
        """As many as its memory is enough for: each thread has buffers of its own, which cannot be spilled."""
        return min(self.workers, self.duckdb_memory // _DUCKDB_MEMORY_OF_A_THREAD)

    @property
    def unit_bytes(self) -> int:
        """Source bytes of tables that are read and joined together.

        A small part of the memory, for read tables, the gathered piece, the writer's waiting rows and Arrow's own
        buffers stand in it side by side. Larger units cost less time by the column, but more memory: 96 MiB took 4%
        less time than 80, and 45 MiB more at 400 sites.
        """
        return min(_LARGEST_UNIT, max(_LEAST_UNIT, self.memory // 32))

    @property
    def table_bytes(self) -> int:
        """Source bytes of the largest table that is held in memory; rows in any order are taken from there faster."""
        return max(self.unit_bytes, min(_LARGEST_TABLE, self.memory // 16))

    @property
    def ahead_bytes(self) -> int:
        """Source bytes of units that may be ahead of the writing: a quarter of the memory at most.

        Two units for each thread but the one that writes: with one, the others wait whenever it is between two row
        groups. With one worker nothing is read ahead.
        """
        return min(_UNITS_AHEAD * (self.workers - 1) * self.unit_bytes, self.memory // 4)

    @property
    def fetch_threads(self) -> int:
        """Threads that wait for the network, and so may be more than those that compute."""
        return min(_MOST_FETCH_THREADS, max(FEWEST_FETCH_THREADS, _FETCH_THREADS_OF_A_WORKER * self.workers))


def resource_limits(job: PlateJob) -> ResourceLimits:
    """What the job says, else what the machine grants."""
    if job.workers is not None and job.memory is not None:
        return ResourceLimits(job.workers, int(job.memory))
    granted = machine_limits()
    return ResourceLimits(job.workers or granted.workers, int(job.memory or granted.memory))


def configure_arrow_threads(limits: ResourceLimits) -> None:
    """Gives Arrow's two thread pools, which the whole process shares, their sizes."""
    pa.set_cpu_count(limits.workers)
    pa.set_io_thread_count(max(_FEWEST_IO_THREADS, limits.workers))


def machine_limits(root: Path = Path("/")) -> ResourceLimits:
    """What machine, affinity and cgroups together grant this process; `/proc` and `/sys` are looked for below `root`.

    A limit that cannot be read is none, so that a system without cgroups has none.
    """
    cpus = [_cpus_of_this_process()]
    memory = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder in _cgroup_folders(root):
        cpus += _quotas(folder)
        memory += _memory_limits(folder)
    return ResourceLimits(max(1, min(cpus)), min(memory))


def _cpus_of_this_process() -> int:
    # macOS has no affinity. os.process_cpu_count, which hides this, came with Python 3.13.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas(folder: Path) -> Iterator[int]:
    """The CPUs that a cgroup's quotas come to. Part of one counts as one, as for the JVM and Go: it would lie idle."""
    unified = _words(folder / "cpu.max")
    version_1 = (*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us"))
    for words in (unified, version_1):
        numbers = [number for word in words if (number := _limit(word))]
        if len(words) == len(numbers) == 2:
            quota, period = numbers
            yield -(-quota // period)


def _memory_limits(folder: Path) -> Iterator[int]:
    # Above memory.high the kernel does not kill but slows the process down until it hardly moves.
    for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
        limits = [_limit(word) for word in _words(folder / name)]
        if len(limits) == 1 and limits[0]:
            yield limits[0]


def _limit(word: bytes) -> int | None:
    """A positive number; None for what sets no limit, such as `max`, and -1 in version 1."""
    return int(word) or None if re.fullmatch(rb"[0-9]{1,20}", word) else None


def _cgroup_folders(root: Path) -> Iterator[Path]:
    """The folders of this process's cgroups and of all above them, up to where each hierarchy is mounted.

    Both versions may be there at once, with controllers in one or the other (systemd's "hybrid" hierarchy).
    """
    groups = _groups(root)
    for mount in _mounts(root):
        for controller in sorted(mount.controllers & groups.keys() & _CONTROLLERS):
            below = mount.path_below(groups[controller])
            for part in (below, *below.parents):
                yield root / mount.point.lstrip("/") / part


@dataclass(frozen=True, slots=True)
class _Mount:
    """A cgroup file system: its controllers, which cgroup of the hierarchy its root is, and where it is mounted."""

    controllers: frozenset[str]
    top: PurePosixPath
    point: str

    def path_below(self, group: PurePosixPath) -> PurePosixPath:
        """The path of a cgroup below the mount.

        The mount's root itself where the two have nothing in common: from inside a cgroup namespace, what lies outside
        has a path that begins with `/..`, and containers of version 1 may have paths of their host.
        """
        below = group.relative_to(self.top) if group.is_relative_to(self.top) else PurePosixPath()
        return PurePosixPath() if ".." in below.parts else below


def _groups(root: Path) -> dict[str, PurePosixPath]:
    """This process's cgroup by controller: lines of `id:controllers:path` (cgroups(7))."""
    groups: dict[str, PurePosixPath] = {}
    for line in _lines(root / "proc/self/cgroup"):
        match line.split(":", 2):
            case [_, controllers, path]:
                groups |= dict.fromkeys(controllers.split(","), PurePosixPath(path))
    return groups


def _mounts(root: Path) -> Iterator[_Mount]:
    """The cgroup file systems of this process: `id id dev root point options tags - type source options` (proc(5))."""
    for line in _lines(root / "proc/self/mountinfo"):
        place, _, kind = line.partition(" - ")
        match place.split(" "), kind.split(" "):
            case [_, _, _, top, point, *_], ["cgroup2", *_]:
                yield _Mount(frozenset({_UNIFIED}), PurePosixPath(_unescaped(top)), _unescaped(point))
            case [_, _, _, top, point, *_], ["cgroup", _, options]:
                yield _Mount(frozenset(options.split(",")), PurePosixPath(_unescaped(top)), _unescaped(point))


def _unescaped(text: str) -> str:
    """A path of mountinfo, in which blanks and backslashes are octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _lines(path: Path) -> list[str]:
    return os.fsdecode(_content(path)).split("\n")


def _words(path: Path) -> list[bytes]:
    return _content(path).split()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError):  # ValueError: a path that no file can have
        return b""
