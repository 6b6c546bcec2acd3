"""Locks of folders, against real processes."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import StorageError
from cytobatch.pipeline.folders import folders_for
from cytobatch.storage import locks
from cytobatch.storage.locks import Lock, exclusive, marked_as_used, remove_unused
from cytobatch.storage.temporary_folder import temporary_folder

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


def test_an_empty_folder_of_a_run_that_was_killed_before_it_had_a_lock_is_removed_when_it_is_old(
    tmp_path: Path,
) -> None:
    old, new, full = (tmp_path / f"cytobatch-{name}" for name in ("old", "new", "full"))
    for folder in (old, new, full):
        folder.mkdir()
    (full / "data").touch()
    for folder in (old, full):
        os.utime(folder, (0, 0))
    remove_unused(tmp_path, "cytobatch-*")
    assert sorted(tmp_path.iterdir()) == sorted([new, full])


def test_a_lock_without_a_name_shows_whether_its_run_is_alive(tmp_path: Path) -> None:
    killed, alive, full = (tmp_path / f"cytobatch-{name}" for name in ("killed", "alive", "full"))
    for folder in (killed, alive, full):
        folder.mkdir()
        (folder / ".lock-new").touch()
    (full / "data").touch()
    descriptor = os.open(alive / ".lock-new", os.O_RDWR)
    try:
        assert locks.try_lock(descriptor) is Lock.HELD
        remove_unused(tmp_path, "cytobatch-*")
        assert sorted(tmp_path.iterdir()) == sorted([alive, full])
    finally:
        os.close(descriptor)
    remove_unused(tmp_path, "cytobatch-*")
    assert list(tmp_path.iterdir()) == [full]


@pytest.mark.parametrize("is_locked_first", [False, True])
def test_a_folder_that_another_run_removes_before_its_lock_is_held_is_made_again(
    is_locked_first: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "cytobatch-1"
    folder.mkdir()
    removed = list[Path]()

    def try_lock(descriptor: int) -> Lock:
        # The other run comes once, in between the two steps of this one, and then its own lock is asked for.
        if removed or is_other[0]:
            return real(descriptor)
        is_other[0] = True
        before = real(descriptor) if is_locked_first else None
        removed.extend(remove_unused(tmp_path, "cytobatch-*"))
        is_other[0] = False
        return before or real(descriptor)

    real, is_other = locks.try_lock, [False]
    monkeypatch.setattr(locks, "try_lock", try_lock)
    with marked_as_used(folder):
        assert removed == ([] if is_locked_first else [folder])
        assert [path.name for path in folder.iterdir()] == [".lock"]
        assert remove_unused(tmp_path, "cytobatch-*") == []
    assert remove_unused(tmp_path, "cytobatch-*") == [folder]


def test_runs_that_start_and_clean_up_at_once_keep_their_folders(tmp_path: Path) -> None:
    lost = list[Path]()

    def run(number: int) -> None:
        for turn in range(40):
            with temporary_folder(f"cytobatch-{number}-{turn}-", tmp_path) as folder, marked_as_used(folder):
                remove_unused(tmp_path, "cytobatch-*")
                lost.extend([] if (folder / ".lock").exists() else [folder])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert lost == []
    assert list(tmp_path.iterdir()) == []
