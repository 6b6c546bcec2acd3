"""A temporary folder is removed whatever happens, also if a signal comes at the moment when it is made."""

import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from cytobatch.storage.temporary_folder import temporary_folder


def test_a_folder_of_its_owner_is_removed_with_its_files(tmp_path: Path) -> None:
    with temporary_folder("run-", tmp_path) as folder:
        (folder / "below").mkdir()
        (folder / "below" / "file").touch()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert (folder.parent, folder.name.startswith("run-")) == (tmp_path, True)
    assert list(tmp_path.iterdir()) == []


def test_a_signal_at_the_moment_when_it_is_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Path.mkdir

    def made_and_interrupted(path: Path, *arguments: Any, **options: Any) -> None:
        make(path, *arguments, **options)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Path, "mkdir", made_and_interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), temporary_folder("run-", tmp_path):
        pytest.fail("it is not used")
    signal.signal(signal.SIGINT, before)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_the_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), temporary_folder("run-", tmp_path / "absent"):
        pytest.fail("the folder cannot exist")


def test_the_parent_is_by_default_the_folder_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with temporary_folder("run-") as folder:
        assert folder.parent == tmp_path
