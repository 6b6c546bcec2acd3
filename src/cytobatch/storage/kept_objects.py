"""Objects that a persistent cache keeps for the next run, and that several runs share.

A run writes only into a folder of its own, which is locked while the run lives. A whole object is linked from there
under a name that is made of its key and version: it is there whole or not at all, and no run changes it. Another run
links it into its own folder.
"""

import hashlib
import os
import shutil
import uuid
from contextlib import ExitStack
from pathlib import Path

from cytobatch.planning.inventory import SourceFile
from cytobatch.storage.locks import marked_as_used, remove_unused
from cytobatch.storage.temporary_folder import temporary_folder

_RUN, _PART = ".run-", ".part-"


class KeptObjects:
    """A persistent cache, and the folder of a run in it. Several threads, and several runs, may use it at once."""

    def __init__(self, cache: Path) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        remove_unused(cache, f"{_RUN}*")
        self._cache = cache
        self._resources = ExitStack()
        self.folder = self._resources.enter_context(temporary_folder(_RUN, cache))
        """Where the run's own files are."""
        self._resources.enter_context(marked_as_used(self.folder))

    def take(self, uri: str, version: SourceFile, local: Path) -> bool:
        """Link a kept object of this very version to a local path. Return False if there is none."""
        kept = self._path(uri, version)
        try:
            if kept.stat().st_size != version.size:
                return False
            _link(kept, local)
        except FileNotFoundError:
            return False
        os.utime(kept)
        return True

    def keep(self, uri: str, version: SourceFile, local: Path) -> None:
        """Keep a whole object, in place of other versions of it."""
        kept = self._path(uri, version)
        if kept.exists():
            return
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"{_PART}{uuid.uuid4().hex}")
        try:
            _link(local, part)
            part.replace(kept)
        finally:
            part.unlink(missing_ok=True)
        for other in kept.parent.iterdir():
            if other != kept and not other.name.startswith(_PART):
                # A run that reads it has a link of its own.
                other.unlink(missing_ok=True)

    def drop(self, uri: str, version: SourceFile) -> None:
        """Keep an object no more, because its bytes are not those of its ETag."""
        self._path(uri, version).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the run's own folder."""
        self._resources.close()

    def _path(self, uri: str, version: SourceFile) -> Path:
        known_by = version.etag or f"{version.modified}"
        return self._cache / _digest(uri) / _digest(f"{known_by} {version.size}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:40]


def _link(existing: Path, new: Path) -> None:
    """Make a file under a second name; a copy of it on a disk that has no links."""
    try:
        os.link(existing, new)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(existing, new)
