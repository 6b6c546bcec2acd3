"""CPUs and memory that the cgroups of this process grant.

They are read here rather than by a library. DuckDB looks into the process's own cgroup alone and joblib into the
mount's root alone, but a limit is mostly set on an ancestor (systemd's slices, Kubernetes' pods), as the JVM had to
learn: https://bugs.openjdk.org/browse/JDK-8322420. The kernel documents the files at
https://docs.kernel.org/admin-guide/cgroup-v2.html (`cpu.max`, `memory.max`, `memory.high`), and for version 1 at
https://docs.kernel.org/scheduler/sched-bwc.html and https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_UNIFIED = ""
"""The controller list of version 2's one hierarchy, as /proc/self/cgroup has it."""
_CONTROLLERS = frozenset({_UNIFIED, "cpu", "memory"})


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """Limits of a process's cgroups and of all above them: CPUs, and bytes of memory. Empty on other systems."""

    cpus: tuple[int, ...]
    memory: tuple[int, ...]


def cgroup_limits(root: Path) -> CgroupLimits:
    """Return the limits of this process. `/proc` and `/sys` are looked for below `root`.

    A file that cannot be read sets no limit, so that a system without cgroups has no limits.
    """
    cpus: list[int] = []
    memory: list[int] = []
    for folder in _cgroup_folders(root):
        cpus += _cpu_quotas(folder)
        memory += _memory_limits(folder)
    return CgroupLimits(tuple(cpus), tuple(memory))


def _cpu_quotas(folder: Path) -> Iterator[int]:
    """Yield the CPUs of a cgroup's quotas, a part of one counted as one, as the JVM and Go do: it would lie idle."""
    unified = _words(folder / "cpu.max")
    version_1 = (*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us"))
    for words in (unified, version_1):
        numbers = [number for word in words if (number := _limit(word))]
        if len(words) == len(numbers) == 2:
            quota, period = numbers
            yield -(-quota // period)


def _memory_limits(folder: Path) -> Iterator[int]:
    # Above memory.high the kernel does not kill a process but slows it down until it hardly moves.
    for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
        limits = [_limit(word) for word in _words(folder / name)]
        if len(limits) == 1 and limits[0]:
            yield limits[0]


def _limit(word: bytes) -> int | None:
    """Return a positive number, or None for a word that sets no limit, such as `max`, and -1 in version 1."""
    return int(word) or None if re.fullmatch(rb"[0-9]{1,20}", word) else None


def _cgroup_folders(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's cgroups and of all above them, up to the mount of each hierarchy.

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
    """A cgroup file system: its controllers, the cgroup of the hierarchy that is its root, and where it is mounted."""

    controllers: frozenset[str]
    top: PurePosixPath
    point: str

    def path_below(self, group: PurePosixPath) -> PurePosixPath:
        """Return the path of a cgroup below the mount.

        It is the mount's root if the two have nothing in common: from inside a cgroup namespace, an outer cgroup has a
        path that begins with `/..`, and containers of version 1 may have paths of their host.
        """
        below = group.relative_to(self.top) if group.is_relative_to(self.top) else PurePosixPath()
        return PurePosixPath() if ".." in below.parts else below


def _groups(root: Path) -> dict[str, PurePosixPath]:
    """Return this process's cgroup by controller, from lines of `id:controllers:path` (cgroups(7))."""
    groups: dict[str, PurePosixPath] = {}
    for line in _lines(root / "proc/self/cgroup"):
        match line.split(":", 2):
            case [_, controllers, path]:
                groups |= dict.fromkeys(controllers.split(","), PurePosixPath(path))
    return groups


def _mounts(root: Path) -> Iterator[_Mount]:
    """Yield this process's cgroup file systems: `id id dev root point options tags - type source options` (proc(5))."""
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, kind = line.partition(" - ")
        match mount.split(" "), kind.split(" "):
            case [_, _, _, top, point, *_], ["cgroup2", *_]:
                yield _Mount(frozenset({_UNIFIED}), PurePosixPath(_unescaped(top)), _unescaped(point))
            case [_, _, _, top, point, *_], ["cgroup", _, options]:
                yield _Mount(frozenset(options.split(",")), PurePosixPath(_unescaped(top)), _unescaped(point))


def _unescaped(text: str) -> str:
    """Return a path of mountinfo, in which blanks and backslashes are octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _lines(path: Path) -> list[str]:
    # As os.fsdecode does: names of cgroups may be any bytes.
    return _content(path).decode("utf-8", "surrogateescape").split("\n")


def _words(path: Path) -> list[bytes]:
    return _content(path).split()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError):  # ValueError: a path that no file can have
        return b""
