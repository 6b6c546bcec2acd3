"""Locks of folders, by which runs on one disk know of each other. A lock ends with its process, however it ends.

They are those of flock(2). A disk or a system without them, such as Windows, has no locks, and nothing is taken for
the rest of a run that was killed.
"""

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path

from cytobatch.errors import StorageError

# Windows has no `fcntl`.
if sys.platform != "win32":
    import fcntl

LOCK_FILE, _UNNAMED = ".lock", ".lock-new"
_OLD_SECONDS = 3600
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_PAUSE = 0.05
_ATTEMPTS = 100


class Lock(Enum):
    """What an attempt to lock a file or a folder gives."""

    HELD = auto()
    TAKEN = auto()
    """Another process, or another thread of this one, holds it."""
    UNSUPPORTED = auto()


def try_lock(descriptor: int) -> Lock:
    """Lock an open file or folder, without a wait. It is locked until its descriptor is closed."""
    if sys.platform == "win32":
        return Lock.UNSUPPORTED
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Lock.TAKEN
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return Lock.UNSUPPORTED
        raise
    return Lock.HELD


@contextmanager
def exclusive(folder: Path, seconds: float) -> Iterator[bool]:
    """Hold the lock of a folder itself, which no file shows. Yields whether there is a lock.

    Raises StorageError if another run holds it for longer than `seconds`.
    """
    if sys.platform == "win32":
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        until = time.monotonic() + seconds
        while (lock := try_lock(descriptor)) is Lock.TAKEN:
            if time.monotonic() > until:
                raise StorageError(
                    "another run publishes here",
                    where=str(folder),
                    why=f"it has held the lock of the folder for {seconds:.0f} s",
                    remedy="wait for the other run, or end it, and run again",
                )
            time.sleep(_PAUSE)
        yield lock is Lock.HELD
    finally:
        os.close(descriptor)


@contextmanager
def marked_as_used(folder: Path) -> Iterator[None]:
    """Hold a lock file in a new folder, which shows that its run is alive. The file is locked before it has its name.

    A run that cleans up may remove the folder in the moment before the file is locked. Then the folder is made again.
    """
    descriptor = _locked_in(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _locked_in(folder: Path) -> int:
    """Return the descriptor of a folder's lock file, which is locked if the disk has locks. Raises OSError."""
    path, unnamed = folder / LOCK_FILE, folder / _UNNAMED
    for attempt in range(_ATTEMPTS):
        try:
            descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            if attempt + 1 == _ATTEMPTS:
                raise
            folder.mkdir(mode=0o700, exist_ok=True)
            continue
        try:
            if (lock := try_lock(descriptor)) is Lock.UNSUPPORTED:
                unnamed.unlink()
                return descriptor
            if lock is Lock.HELD:
                unnamed.replace(path)
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        time.sleep(_PAUSE)
    raise FileNotFoundError(errno.ENOENT, "others remove it again and again", str(folder))


def remove_unused(parent: Path, pattern: str) -> list[Path]:
    """Remove the folders of a pattern below a folder whose runs have ended without removing them. Return their paths.

    A folder without a lock file is left alone, because its run may be alive, unless it is empty and an hour old, or has
    an open lock without a name. So is one that may not be removed.
    """
    return [folder for folder in sorted(parent.glob(pattern)) if _remove_if_unused(folder)]


def _remove_if_unused(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR)
    except OSError:
        return _remove_if_unmarked(folder)
    try:
        if try_lock(descriptor) is not Lock.HELD:
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()
    finally:
        os.close(descriptor)


def _remove_if_unmarked(folder: Path) -> bool:
    """Remove the folder of a run that was killed before its lock had a name: nothing else is in it."""
    try:
        if {path.name for path in folder.iterdir()} - {_UNNAMED}:
            return False
        with _lock_without_name(folder) as lock:
            is_old = time.time() - folder.stat().st_mtime >= _OLD_SECONDS
            if lock is Lock.TAKEN or (lock is Lock.UNSUPPORTED and not is_old):
                return False
            (folder / _UNNAMED).unlink(missing_ok=True)
            folder.rmdir()
    except OSError:
        return False
    return True


@contextmanager
def _lock_without_name(folder: Path) -> Iterator[Lock]:
    """Lock the `.lock-new` file of a folder. Yields UNSUPPORTED if the folder has no such file."""
    try:
        descriptor = os.open(folder / _UNNAMED, os.O_RDWR)
    except FileNotFoundError:
        yield Lock.UNSUPPORTED
        return
    try:
        yield try_lock(descriptor)
    finally:
        os.close(descriptor)
