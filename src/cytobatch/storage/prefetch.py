"""A source's files on the local disk: used where they are, or fetched into the cache before they are read."""

import itertools
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cytobatch.planning.inventory import SourceFile
from cytobatch.readers.inputs import BEGINNING


class LocalFiles:
    """Files that are on the local disk already."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def prepare(self, paths: Iterable[str], wholes: Collection[str]) -> None:
        """Do nothing."""

    def beginning(self, path: str, size: int = BEGINNING) -> Path:  # noqa: ARG002  all of it is there
        """Return the file."""
        return self._root / path

    def whole(self, path: str) -> Path:
        """Return the file."""
        return self._root / path

    def expect(self, paths: Iterable[str]) -> None:
        """Do nothing."""

    def release(self, path: str) -> None:
        """Do nothing: the file is the user's."""


Fetch = Callable[[SourceFile, int], Path]
"""Fetches a file as far as its local copy lacks some of its first bytes, as many as given, and returns the copy."""


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How the cache is used.

    Attributes
    ----------
    room
        About how many bytes of files may wait in the cache to be read.
    keeps
        Whether files stay in the cache after they were read.
    """

    room: int
    keeps: bool


class FetchedFiles:
    """Files that come from a store: each byte once, while files that are there already are read. A context manager.

    At most about `policy.room` bytes of expected files wait in the cache.
    """

    def __init__(self, files: Iterable[SourceFile], fetch: Fetch, threads: int, policy: CachePolicy) -> None:
        self._files = {file.path: file for file in files}
        self._locks = {path: threading.Lock() for path in self._files}
        self._fetch = fetch
        self._policy = policy
        self._pool = ThreadPoolExecutor(threads, "fetch")
        self._state = threading.Lock()
        self._beginning_size = BEGINNING
        self._queue: Iterator[str] = iter(())
        self._expected: set[str] = set()
        self._begun: dict[str, Path] = {}
        self._waiting: set[str] = set()
        self._released: set[str] = set()
        self._local: dict[str, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def prepare(self, paths: Iterable[str], wholes: Collection[str]) -> None:
        """Start to fetch the whole of the paths in `wholes` and the beginnings of the others, side by side."""
        for path in paths:
            self._pool.submit(self._fetch_whole if path in wholes else self._fetch_beginning, path)

    def beginning(self, path: str, size: int = BEGINNING) -> Path:
        """Return the local file with at least its first bytes. The rest may be on its way.

        If `size` is above the usual, that many bytes are fetched of each file that has not begun to come.
        """
        self._beginning_size = max(self._beginning_size, size)
        if path not in self._begun or size > BEGINNING:
            with self._locks[path]:
                self._begun[path] = self._fetched(self._files[path], size)
        return self._begun[path]

    def whole(self, path: str) -> Path:
        """Return the local file with all of its bytes."""
        file = self._files[path]
        with self._locks[path]:
            return self._fetched(file, file.size)

    def expect(self, paths: Iterable[str]) -> None:
        """Fetch these in their order before they are asked for. Paths that were expected before keep their turn."""
        with self._state:
            more = [path for path in paths if path not in self._expected]
            self._expected.update(more)
            self._queue = itertools.chain(self._queue, more)
        self._fetch_ahead()

    def release(self, path: str) -> None:
        """Remove the file, unless the cache keeps files, and make room for another."""
        with self._locks[path]:
            self._released.add(path)
            self._begun.pop(path, None)
            local = self._local.pop(path, None)
            if local is not None and not self._policy.keeps:
                local.unlink(missing_ok=True)
        with self._state:
            self._waiting.discard(path)
        self._fetch_ahead()

    def _fetch_ahead(self) -> None:
        with self._state:
            while sum(self._files[path].size for path in self._waiting) < self._policy.room:
                path = next(self._queue, None)
                if path is None:
                    return
                if path not in self._released:
                    self._waiting.add(path)
                    self._pool.submit(self._fetch_whole, path)

    def _fetch_whole(self, path: str) -> None:
        self._fetch_unless_released(path, self._files[path].size)

    def _fetch_beginning(self, path: str) -> None:
        self._fetch_unless_released(path, self._beginning_size)

    def _fetch_unless_released(self, path: str, size: int) -> None:
        with self._locks[path]:
            # The file may have been read before its turn came. An error here is raised again when the file is read.
            if path not in self._released:
                self._fetched(self._files[path], size)

    def _fetched(self, file: SourceFile, size: int) -> Path:
        self._local[file.path] = self._fetch(file, min(file.size, size))
        return self._local[file.path]
