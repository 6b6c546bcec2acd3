"""Limits of containers and machines: from trees of files as the kernel shows them, and from real cgroups."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.config.options import PlateJob
from cytobatch.engine.resources import ResourceLimits, configure_arrow_threads, machine_limits, resource_limits

MIB = 2**20
HUGE = 9223372036854771712
"""The value of version 1 for no limit: the largest that fits, in whole pages."""
V2 = "/ /sys/fs/cgroup cgroup2"
V1 = ("/ /sys/fs/cgroup/cpu,cpuacct cgroup cpu,cpuacct", "/ /sys/fs/cgroup/memory cgroup memory")


@pytest.fixture(autouse=True)
def large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 CPUs and 256 GiB, so that it is the files that limit."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 2**26, "SC_PAGE_SIZE": 2**12}.__getitem__)


ALL = ResourceLimits(64, 2**38)


def tree(root: Path, groups: Iterable[str], mounts: Iterable[str], files: Mapping[str, object]) -> Path:
    """A machine's /proc and /sys: lines of /proc/self/cgroup, mounts as `root point type options`, files' contents."""
    proc = root / "proc" / "self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("".join(f"{line}\n" for line in groups))
    lines = ["23 22 0:21 / /proc rw,nosuid - proc proc rw"]
    for number, mount in enumerate(mounts, 30):
        top, point, kind, *options = mount.split(" ")
        lines.append(f"{number} 22 0:{number} {top} {point} ro shared:9 - {kind} {kind} {','.join(['rw', *options])}")
    (proc / "mountinfo").write_text("".join(f"{line}\n" for line in lines))
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    return root


def unified(root: Path, path: str, **files: object) -> ResourceLimits:
    """The limits of version 2; `files` by their names with `_` for the dot, in the mount's own folder."""
    return machine_limits(tree(root, [f"0::{path}"], [V2], {name.replace("_", "."): x for name, x in files.items()}))


def test_a_container_of_version_2_has_its_limits_at_the_root_of_its_namespace(tmp_path: Path) -> None:
    assert unified(tmp_path, "/", cpu_max="200000 100000", memory_max=512 * MIB) == ResourceLimits(2, 512 * MIB)


def test_without_limits_the_whole_machine_is_granted(tmp_path: Path) -> None:
    assert unified(tmp_path, "/", cpu_max="max 100000", memory_max="max", memory_high="max") == ALL


def test_a_limit_beyond_the_machine_has_no_effect(tmp_path: Path) -> None:
    assert unified(tmp_path, "/", cpu_max="9900000 100000", memory_max=2**40) == ALL


@pytest.mark.parametrize(
    ("quota", "workers"),
    [("1000 100000", 1), ("50000 100000", 1), ("150000 100000", 2), ("300001 100000", 4), ("25000 10000", 3)],
)
def test_part_of_a_cpu_counts_as_one(tmp_path: Path, quota: str, workers: int) -> None:
    assert unified(tmp_path, "/", cpu_max=quota).workers == workers


def test_memory_above_which_the_kernel_slows_a_process_down_is_a_limit(tmp_path: Path) -> None:
    assert unified(tmp_path, "/", memory_max=512 * MIB, memory_high=384 * MIB).memory == 384 * MIB


def test_the_smallest_limit_of_all_groups_above_counts(tmp_path: Path) -> None:
    files = {
        "cpu.max": "max 100000",
        "a/cpu.max": "300000 100000",
        "a/b/cpu.max": "max 100000",
        "a/b/c/cpu.max": "4 1",
        "a/memory.max": "max",
        "a/b/memory.max": 2**30,
        "a/b/c/memory.max": 2**31,
        "a/other/memory.max": 1,
    }
    assert machine_limits(tree(tmp_path, ["0::/a/b/c"], [V2], files)) == ResourceLimits(3, 2**30)


@pytest.mark.parametrize("group", ["/..", "/../..", "/../../kubepods/pod1", "/gone", "/gone (deleted)", "a", ""])
def test_a_group_that_cannot_be_seen_leaves_the_mount_s_root(tmp_path: Path, group: str) -> None:
    files = {"cpu.max": "200000 100000", "memory.max": 2**30}
    assert machine_limits(tree(tmp_path, [f"0::{group}"], [V2], files)) == ResourceLimits(2, 2**30)


def test_a_mount_of_a_group_further_out_shows_the_groups_below_it(tmp_path: Path) -> None:
    files = {"memory.max": 2**31, "job/memory.max": 2**30}
    mount = "/.. /sys/fs/cgroup cgroup2"
    assert machine_limits(tree(tmp_path, ["0::/../job"], [mount], files)).memory == 2**30


def test_version_1(tmp_path: Path) -> None:
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": -1,
        "cpu,cpuacct/cpu.cfs_period_us": 100000,
        "cpu,cpuacct/jobs/cpu.cfs_quota_us": 250000,
        "cpu,cpuacct/jobs/cpu.cfs_period_us": 100000,
        "memory/memory.limit_in_bytes": HUGE,
        "memory/slurm/memory.limit_in_bytes": 2**31,
        "memory/slurm/job_7/memory.limit_in_bytes": HUGE,
    }
    groups = ["11:memory:/slurm/job_7", "4:cpu,cpuacct:/jobs", "1:name=systemd:/"]
    assert machine_limits(tree(tmp_path, groups, V1, files)) == ResourceLimits(3, 2**31)


def test_version_1_without_limits(tmp_path: Path) -> None:
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": -1,
        "cpu,cpuacct/cpu.cfs_period_us": 100000,
        "memory/memory.limit_in_bytes": HUGE,
    }
    assert machine_limits(tree(tmp_path, ["4:cpu,cpuacct:/", "11:memory:/"], V1, files)) == ALL


@pytest.mark.parametrize("top", ["/docker/0a1b", "/another/name"])
def test_a_container_of_version_1_has_the_host_s_path_and_only_its_own_folder(tmp_path: Path, top: str) -> None:
    mounts = [f"{top} /sys/fs/cgroup/memory cgroup memory", f"{top} /sys/fs/cgroup/cpu cgroup cpu,cpuacct"]
    files = {
        "memory/memory.limit_in_bytes": 2**30,
        "cpu/cpu.cfs_quota_us": 100000,
        "cpu/cpu.cfs_period_us": 100000,
    }
    groups = ["11:memory:/docker/0a1b", "4:cpu,cpuacct:/docker/0a1b"]
    assert machine_limits(tree(tmp_path, groups, mounts, files)) == ResourceLimits(1, 2**30)


def test_a_group_within_a_container_of_version_1(tmp_path: Path) -> None:
    files = {"memory/memory.limit_in_bytes": 2**31, "memory/inner/memory.limit_in_bytes": 2**30}
    mount = "/docker/0a1b /sys/fs/cgroup/memory cgroup memory"
    assert machine_limits(tree(tmp_path, ["11:memory:/docker/0a1b/inner"], [mount], files)).memory == 2**30


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    mounts = ["/ /sys/fs/cgroup/unified cgroup2 nsdelegate", V1[1]]
    files = {
        "unified/user.slice/cpu.max": "200000 100000",
        "unified/cgroup.procs": 1,
        "memory/jobs/memory.limit_in_bytes": 2**30,
    }
    groups = ["5:memory:/jobs", "1:name=systemd:/user.slice", "0::/user.slice"]
    assert machine_limits(tree(tmp_path, groups, mounts, files)) == ResourceLimits(2, 2**30)


def test_a_mount_may_lie_anywhere(tmp_path: Path) -> None:
    files = {"my groups/memory.max": 2**30}
    mount = r"/ /sys/fs/cgroup/my\040groups cgroup2"
    assert machine_limits(tree(tmp_path, ["0::/"], [mount], files)).memory == 2**30


def test_a_system_without_cgroups_grants_all(tmp_path: Path) -> None:
    assert machine_limits(tmp_path) == ALL
    assert machine_limits(tree(tmp_path, [], [], {"memory.max": 5})) == ALL


def test_a_system_without_affinity_has_its_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert machine_limits(tmp_path).workers == 10
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine_limits(tmp_path).workers == 1


@pytest.mark.parametrize("text", ["", "lots", "0", "-1", "12 34 56", "1.5", "1e9", "0x10", "9" * 5000, b"\xff\x00"])
def test_text_that_is_not_a_number_sets_no_limit(tmp_path: Path, text: object) -> None:
    assert unified(tmp_path, "/", cpu_max=text, memory_max=text, memory_high=text) == ALL


def test_a_file_that_cannot_be_read_sets_no_limit(tmp_path: Path) -> None:
    tree(tmp_path, ["0::/"], [V2], {"cpu.max": "max 100000"})
    (tmp_path / "sys/fs/cgroup/memory.max").mkdir()
    assert machine_limits(tmp_path) == ALL


@given(st.binary(), st.binary(), st.binary(), st.binary())
def test_files_with_any_content_give_limits(group: bytes, mounts: bytes, cpus: bytes, memory: bytes) -> None:
    with TemporaryDirectory() as folder:
        root = tree(Path(folder), ["0::/"], [V2], {"cpu.max": cpus, "memory.max": memory})
        for name, extra in (("cgroup", group), ("mountinfo", mounts)):
            with (root / "proc/self" / name).open("ab") as file:
                file.write(extra)
        found = machine_limits(root)
    assert 1 <= found.workers <= 64
    assert 1 <= found.memory <= 2**38


@given(st.lists(st.tuples(st.integers(1, 10**7), st.integers(1, 10**6), st.integers(1, 2**40)), max_size=5))
def test_the_narrowest_group_of_a_chain_counts(chain: list[tuple[int, int, int]]) -> None:
    files: dict[str, object] = {}
    path = ""
    for quota, period, memory in chain:
        files |= {f"{path}cpu.max": f"{quota} {period}", f"{path}memory.max": memory}
        path += "x/"
    with TemporaryDirectory() as folder:
        found = machine_limits(tree(Path(folder), [f"0::/{path.rstrip('/')}"], [V2], files))
    assert found.memory == min([2**38, *(memory for _, _, memory in chain)])
    # As many CPUs as make the quota, and not one more.
    granted = [quota / period for quota, period, _ in chain]
    assert all(found.workers - 1 < quota for quota in granted)
    assert found.workers == 64 or any(found.workers >= quota for quota in granted)


@given(st.integers(1, 1024), st.integers(1, 2**45))
def test_shares_are_within_their_bounds(workers: int, memory: int) -> None:
    limits = ResourceLimits(workers, memory)
    assert 4 * MIB <= limits.batch_bytes <= 128 * MIB
    assert 8 <= limits.fetch_threads <= 64
    assert limits.duckdb_memory >= 128 * MIB
    assert 1 <= limits.duckdb_threads <= workers
    if memory >= 512 * MIB:
        assert limits.duckdb_memory + 4 * limits.batch_bytes <= memory // 2


@pytest.mark.parametrize(
    ("limits", "duckdb", "unit", "fetch"),
    [
        (ResourceLimits(1, 256 * MIB), (128 * MIB, 1), 8 * MIB, 8),
        (ResourceLimits(4, 2**30), (256 * MIB, 4), 32 * MIB, 16),
        (ResourceLimits(64, 2**30), (256 * MIB, 8), 32 * MIB, 64),
        (ResourceLimits(32, 2**36), (2**34, 32), 80 * MIB, 64),
    ],
)
def test_shares(limits: ResourceLimits, duckdb: tuple[int, int], unit: int, fetch: int) -> None:
    assert (limits.duckdb_memory, limits.duckdb_threads) == duckdb
    assert (limits.batch_bytes, limits.fetch_threads) == (unit, fetch)


def test_a_jobs_numbers_win_over_the_machine() -> None:
    granted = machine_limits()
    job = PlateJob(source="/a", destination="/b", workers=200, memory=2**40)
    assert resource_limits(job) == ResourceLimits(200, 2**40)
    assert resource_limits(job.model_copy(update={"memory": None})) == ResourceLimits(200, granted.memory)
    assert resource_limits(job.model_copy(update={"workers": None})) == ResourceLimits(granted.workers, 2**40)
    assert resource_limits(PlateJob(source="/a", destination="/b")) == granted


@pytest.mark.parametrize(("workers", "waiting"), [(1, 2), (3, 3)])
def test_arrow_computes_on_the_given_threads_and_waits_on_two_at_least(workers: int, waiting: int) -> None:
    before = ResourceLimits(pa.cpu_count(), 2**30)
    configure_arrow_threads(ResourceLimits(workers, 2**30))
    assert (pa.cpu_count(), pa.io_thread_count()) == (workers, waiting)
    configure_arrow_threads(before)


PRINT_LIMITS = "from cytobatch.engine.resources import machine_limits as m; print(m().workers, m().memory)"


def limits_of_process(*before: str, first: str = "") -> ResourceLimits:
    """The limits of a separate process, run through another command or after a statement."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*before, sys.executable, "-c", f"import os; {first}\n{PRINT_LIMITS}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    workers, memory = done.stdout.split()
    return ResourceLimits(int(workers), int(memory))


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="affinity and cgroups are Linux's")


@on_linux
def test_a_process_held_to_one_cpu_has_one_worker() -> None:
    assert limits_of_process(first="os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])").workers == 1


@contextmanager
def group_of_version_1(quota: int) -> Iterator[Path]:
    """A cgroup with a CPU quota, below that of this process. Skips the test where none can be made."""
    paths = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    own = next((path for _, controllers, path in paths if "cpu" in controllers.split(",")), None)
    if own is None:
        pytest.skip("no CPU controller of version 1")
    folder = Path(f"/sys/fs/cgroup/cpu{own}") / f"cytobatch-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    try:
        (folder / "cpu.cfs_quota_us").write_text(str(quota))
        yield folder
    finally:
        folder.rmdir()


@on_linux
def test_a_real_cgroup_of_version_1_limits() -> None:
    with group_of_version_1(quota=50_000) as folder:
        enter = f"open({str(folder / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"
        assert limits_of_process(first=enter).workers == 1


@on_linux
def test_a_real_cgroup_of_systemd_limits() -> None:
    run = shutil.which("systemd-run")
    if run is None:
        pytest.skip("no systemd")
    scope = [run, *(["--user"] if os.getuid() else []), "--scope", "--quiet", "--collect"]
    if (done := subprocess.run([*scope, "true"], capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"systemd makes no scope: {done.stderr.strip()}")
    found = limits_of_process(*scope, "-p", "MemoryMax=1G")
    assert found.memory == 2**30


@pytest.mark.parametrize(("memory", "workers"), [(64, 1), (512, 2), (3072, 16), (2**20, 200)])
def test_no_more_workers_run_than_have_memory(memory: int, workers: int) -> None:
    job = PlateJob(source="/a", destination="/b", workers=200, memory=memory * MIB)
    assert resource_limits(job) == ResourceLimits(workers, memory * MIB)


@given(st.integers(1, 256), st.integers(2**26, 2**42))
def test_batches_read_ahead_fit_the_memory(workers: int, memory: int) -> None:
    limits = ResourceLimits(workers, memory)
    assert limits.ahead_bytes <= memory // 4
    assert (limits.ahead_bytes == 0) == (workers == 1)


@given(st.integers(1, 256), st.integers(1, 2**40), st.integers(1, 64))
def test_runs_that_share_limits_take_no_more_than_all_of_them(workers: int, memory: int, count: int) -> None:
    part = ResourceLimits(workers, memory).shared(count)
    assert part.workers * count <= max(workers, count)
    assert part.memory * count <= memory
    assert part.workers >= 1
