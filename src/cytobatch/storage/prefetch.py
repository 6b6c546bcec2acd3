"""A source's files on the local disk: used where they are, or fetched into the cache ahead of who reads them."""

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
        """Nothing is to be done."""

    def beginning(self, path: str, size: int = BEGINNING) -> Path:  # noqa: ARG002  all of it is there
        """The file."""
        return self._root / path

    def whole(self, path: str) -> Path:
        """The file."""
        return self._root / path

    def expect(self, paths: Iterable[str]) -> None:
        """Nothing is to be done."""

    def release(self, path: str) -> None:
        """The file is the user's and stays."""


Fetch = Callable[[SourceFile, int], Path]
"""Makes the local file of a source file hold at least so many of its bytes, and tells where it is."""


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How the cache is used: about how many bytes may wait in it to be read, and whether files stay that were."""

    room: int
    keeps: bool


class FetchedFiles:
    """Files that come from a store: each byte once, while those already there are read. A context manager.

    At most about `use.room` bytes of what is expected wait in the cache.
    """

    def __init__(self, files: Iterable[SourceFile], fetch: Fetch, threads: int, use: CachePolicy) -> None:
        self._files = {file.path: file for file in files}
        self._locks = {path: threading.Lock() for path in self._files}
        self._fetch = fetch
        self._use = use
        self._pool = ThreadPoolExecutor(threads, "fetch")
        self._counting = threading.Lock()
        self._enough = BEGINNING
        self._coming: Iterator[str] = iter(())
        self._expected: set[str] = set()
        self._begun: dict[str, Path] = {}
        self._waiting: set[str] = set()
        self._done: set[str] = set()
        self._local: dict[str, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def prepare(self, paths: Iterable[str], wholes: Collection[str]) -> None:
        """Fetches the whole of some files and the beginnings of others, side by side, while those there are read."""
        for path in paths:
            self._pool.submit(self._fetch_whole if path in wholes else self._fetch_beginning, path)

    def beginning(self, path: str, size: int = BEGINNING) -> Path:
        """The local file with at least its first bytes; its rest may be on its way.

        If more of them are asked for than usual, of files that have not begun to come so many are fetched at once.
        """
        self._enough = max(self._enough, size)
        if path not in self._begun or size > BEGINNING:
            with self._locks[path]:
                self._begun[path] = self._fetched(self._files[path], size)
        return self._begun[path]

    def whole(self, path: str) -> Path:
        """The local file with all of its bytes."""
        file = self._files[path]
        with self._locks[path]:
            return self._fetched(file, file.size)

    def expect(self, paths: Iterable[str]) -> None:
        """Fetches these in their order, ahead of who asks for them; those expected before stay where they were."""
        with self._counting:
            more = [path for path in paths if path not in self._expected]
            self._expected.update(more)
            self._coming = itertools.chain(self._coming, more)
        self._fetch_ahead()

    def release(self, path: str) -> None:
        """Removes the file, unless fetched files are kept, and makes room for another."""
        with self._locks[path]:
            self._done.add(path)
            self._begun.pop(path, None)
            local = self._local.pop(path, None)
            if local is not None and not self._use.keeps:
                local.unlink(missing_ok=True)
        with self._counting:
            self._waiting.discard(path)
        self._fetch_ahead()

    def _fetch_ahead(self) -> None:
        with self._counting:
            while sum(self._files[path].size for path in self._waiting) < self._use.room:
                path = next(self._coming, None)
                if path is None:
                    return
                if path not in self._done:
                    self._waiting.add(path)
                    self._pool.submit(self._fetch_whole, path)

    def _fetch_whole(self, path: str) -> None:
        self._fetch_unless_done(path, self._files[path].size)

    def _fetch_beginning(self, path: str) -> None:
        self._fetch_unless_done(path, self._enough)

    def _fetch_unless_done(self, path: str, size: int) -> None:
        with self._locks[path]:
            # Who needed it may have come first. A fault here is told when the file is asked for.
            if path not in self._done:
                self._fetched(self._files[path], size)

    def _fetched(self, file: SourceFile, size: int) -> Path:
        self._local[file.path] = self._fetch(file, min(file.size, size))
        return self._local[file.path]
