"""A run is begun with the least memory that its plan names, and refused with less, before a file is read."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError, ExitCode, StorageError
from cytobatch.pipeline.describe import describe_job
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.layouts import LAYOUTS, write_layout_named
from tests.support.plates import cells_file, convert, write_sites

MIB = 2**20
LARGE = SyntheticPlate(wells=4, sites=5, cells=100, features=1800)


def least_of(source: Path, orchestrator: str = "prefect") -> int:
    """Return the MiB that `plan` names."""
    job = PlateJob(source=str(source), destination="/out", orchestrator=orchestrator)
    return describe_job(job).least_memory // MIB


@pytest.mark.parametrize("layout", LAYOUTS)
def test_less_than_the_least_is_refused_and_the_least_is_enough(layout: str, tmp_path: Path) -> None:
    source = write_layout_named(layout, tmp_path / "in")
    least = least_of(source)
    with pytest.raises(ConfigurationError, match=f"this plate takes {least} MiB at least") as caught:
        convert(source, tmp_path / "out", memory=(least - 1) * MIB)
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert not (tmp_path / "out").exists()
    convert(source, tmp_path / "out", memory=least * MIB)


def test_memory_is_checked_before_any_file_is_read(tmp_path: Path) -> None:
    root = write_sites(tmp_path / "in", 1)
    cells_file(root / "P1-A01-1", b"ImageNumber,ObjectNumber\nno table")
    with pytest.raises(ConfigurationError, match="too little memory"):
        convert(root, tmp_path / "out", memory=100 * MIB)


@pytest.mark.skipif(sys.platform != "linux", reason="files with holes are those of Linux's file systems")
def test_a_disk_that_cannot_hold_the_outputs_is_named_before_it_is_filled(tmp_path: Path) -> None:
    root = write_sites(tmp_path / "in", 1)
    os.truncate(root / "P1-A01-1" / "Cells.csv", 8 * 2**40)
    scratch = tmp_path / "scratch"
    with pytest.raises(StorageError, match=r"scratch disk: .*scratch[^$]*4194304 MiB at least[^$]*--scratch-dir"):
        convert(root, tmp_path / "out", scratch_dir=scratch)


@contextmanager
def memory_group(mib: int) -> Iterator[Path]:
    """A cgroup of version 1 with a limit of memory. Skips the test where none can be made."""
    folder = Path("/sys/fs/cgroup/memory") / f"cytobatch-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(mib * MIB))
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    try:
        yield folder
    finally:
        # The kernel lets go of a process a moment after it has ended.
        time.sleep(0.2)
        folder.rmdir()


def run_within(mib: int, source: Path, destination: Path, orchestrator: str) -> subprocess.CompletedProcess[str]:
    with memory_group(mib) as group:
        enter = f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"
        arguments = ["run", "--source", source, "--destination", destination, "--orchestrator", orchestrator]
        call = f"from cytobatch.__main__ import main; import sys; sys.argv[1:] = {[str(each) for each in arguments]!r}"
        command = [sys.executable, "-c", f"{enter}; {call}; main()"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def _synthetic(kind: PlateFormat) -> Callable[[Path], object]:
    return lambda root: write_plate(LARGE, root, kind)


SOURCES: dict[str, Callable[[Path], object]] = {
    **{name: (lambda root, name=name: write_layout_named(name, root)) for name in LAYOUTS},
    **{f"large {kind.value}": _synthetic(kind) for kind in PlateFormat},
}


@pytest.mark.long
@pytest.mark.parametrize("orchestrator", ["prefect", "none"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_cgroup_of_the_least_memory_is_enough(source: str, orchestrator: str, tmp_path: Path) -> None:
    SOURCES[source](tmp_path / "in")
    least = least_of(tmp_path / "in", orchestrator)
    for mib, code in ((least - 1, ExitCode.CONFIGURATION), (least, ExitCode.OK), (2 * least, ExitCode.OK)):
        done = run_within(mib, tmp_path / "in", tmp_path / str(mib), orchestrator)
        assert done.returncode == code, (mib, done.stderr[-500:])
        assert (tmp_path / str(mib)).exists() == (code == ExitCode.OK)
