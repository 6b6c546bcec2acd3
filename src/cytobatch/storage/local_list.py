"""Listings of local folders: links to folders elsewhere are followed, and a folder that cannot be read is an error."""

import difflib
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from cytobatch.planning.inventory import SourceFile

_LOST_FOUND = "lost+found"
_SIMILAR = 0.55
_MOST_NAMES = 1000
"""The most names of a folder that are compared with a wrong one."""


def list_local_files(root: Path) -> Iterator[Path]:
    """Yield the files below a folder, and the links whose targets do not exist.

    Raises OSError if a folder cannot be listed, because its files would be lost.

    A link to a folder elsewhere is followed, once for each target. A link to a folder of the source itself is not,
    because its files are listed in their own place.
    """
    base, targets = root.resolve(), set[Path]()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_raise_unless_hidden):
        here = Path(folder)
        folders[:] = [name for name in folders if _is_followed(here / name, base, targets)]
        yield from (path for name in names if (path := here / name).is_file() or is_dangling(path))


def is_dangling(path: Path) -> bool:
    """Return True for a link whose target does not exist."""
    return path.is_symlink() and not path.exists()


def why_no_files(path: Path) -> tuple[str, str]:
    """Return why a folder has no files, or what of a path does not exist, and what to do."""
    if path.is_dir():
        return "the folder is empty", "name the folder that has the measurements"
    return why_absent(path)


def why_absent(path: Path) -> tuple[str, str]:
    """Return what of a path does not exist, and what to do: the name that is meant, where one is similar."""
    missing = path.absolute()
    while not missing.parent.is_dir() and missing != missing.parent:
        missing = missing.parent
    why, names = f"there is no {missing.name!r} in {missing.parent}", list[str]()
    # Whoever may not list the folder gets no suggestion.
    with suppress(OSError):
        names = [child.name for child in islice(missing.parent.iterdir(), _MOST_NAMES)]
    close = difflib.get_close_matches(missing.name, names, n=1, cutoff=_SIMILAR)
    return why, f"did you mean {missing.with_name(close[0])}?" if close else "check the path"


def why_changed(path: Path, listed: SourceFile, inode: int | None) -> str:
    """Return why a file is not that of the listing: its size, time, or inode, if that is known. Else nothing."""
    if listed.is_dangling:
        return ""
    try:
        now = path.stat()
    except OSError as error:
        return f"it cannot be found again: {error.strerror}"
    if now.st_size != listed.size:
        return f"it had {listed.size} bytes when it was listed, and has {now.st_size}"
    if listed.modified is not None and now.st_mtime != listed.modified:
        return "it was written after it was listed"
    if inode is not None and now.st_ino != inode:
        return "another file has taken its place"
    return ""


def _is_followed(folder: Path, base: Path, targets: set[Path]) -> bool:
    """Return True for a folder, and for a link to a folder that is followed; adds the target of such a link."""
    if not folder.is_symlink():
        return True
    target = folder.resolve()
    if target.is_relative_to(base) or base.is_relative_to(target) or target in targets:
        return False
    targets.add(target)
    return True


def _raise_unless_hidden(error: OSError) -> None:
    """Raise an error, unless it is about a folder that a system or program keeps for itself."""
    name = Path(str(error.filename or "")).name
    if not name.startswith(".") and name != _LOST_FOUND:
        raise error
