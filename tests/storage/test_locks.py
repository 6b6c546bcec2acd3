"""Locks of folders, against real processes."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import StorageError
from cytobatch.pipeline.folders import folders_for
from cytobatch.storage.locks import exclusive, remove_unused

_HOLDER = """
import sys, time
from pathlib import Path
from cytobatch.config.options import PlateJob
from cytobatch.pipeline.folders import folders_for
with folders_for(PlateJob(source="/in", destination="/out", scratch_dir=Path(sys.argv[1]))) as folders:
    (folders.scratch / "large").write_bytes(b"x" * 1000)
    print("ready", flush=True)
    time.sleep(60)
"""


def test_scratch_folders_of_killed_runs_are_removed_by_the_next_run(tmp_path: Path) -> None:
    foreign = tmp_path / "cytobatch-of-others"
    foreign.mkdir()
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as alive,
        subprocess.Popen(command, stdout=subprocess.PIPE) as killed,
    ):
        try:
            for process in (alive, killed):
                assert process.stdout is not None
                assert process.stdout.readline() == b"ready\n"
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            assert len(list(tmp_path.iterdir())) == 3
            with folders_for(PlateJob(source="/in", destination="/out", scratch_dir=tmp_path)) as folders:
                left = set(tmp_path.iterdir()) - {foreign, folders.scratch.parent}
                assert len(left) == 1
                assert (left.pop() / "scratch" / "large").exists()
        finally:
            alive.kill()
            killed.kill()
    remove_unused(tmp_path, "cytobatch-*")
    assert list(tmp_path.iterdir()) == [foreign]


def test_a_folder_is_locked_by_one_at_a_time(tmp_path: Path) -> None:
    with exclusive(tmp_path, 1) as locked:
        assert locked
        with pytest.raises(StorageError, match="another run publishes here"), exclusive(tmp_path, 0.1):
            pass
    order = list[int]()

    def hold(number: int) -> None:
        with exclusive(tmp_path, 10):
            order.append(number)
            order.append(number)

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order[::2] == order[1::2]
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_of_a_run_killed_before_its_lock_had_a_name_is_removed_when_it_is_old(tmp_path: Path) -> None:
    old, new, full = (tmp_path / f"cytobatch-{name}" for name in ("old", "new", "full"))
    for folder in (old, new, full):
        folder.mkdir()
        (folder / ".lock-new").touch()
    (full / "data").touch()
    for folder in (old, full):
        os.utime(folder, (0, 0))
    remove_unused(tmp_path, "cytobatch-*")
    assert sorted(tmp_path.iterdir()) == sorted([new, full])
