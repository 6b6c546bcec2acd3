"""A source's files on the local disk: used where they are, or fetched into the cache before they are read."""

import itertools
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from cytobatch.errors import SourceChangedError, StorageError
from cytobatch.planning.inventory import SourceFile
from cytobatch.readers.inputs import BEGINNING
from cytobatch.storage.local_list import why_changed
from cytobatch.storage.s3_read import CHANGED_REMEDY
from cytobatch.storage.time_limits import STORE_THREADS

_AT_ONCE = 64
"""Threads that may wait for a file at once: more than compute."""


class LocalFiles:
    """Files that are on the local disk already. A context manager that looks at the listed files again at its end.

    A file that has changed is the error, whatever the conversion found in it. `inodes` are those of the listing; an
    inode is compared only where the listing was made by this process, because machines may number a shared disk's files
    differently.
    """

    def __init__(self, root: Path, files: Iterable[SourceFile] = (), inodes: Mapping[str, int] | None = None) -> None:
        self._root = root
        self._files = tuple(files)
        self._inodes = inodes or {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A signal ends the run at once.
        if kind is None or issubclass(kind, Exception):
            self._check_unchanged(error)

    def _check_unchanged(self, error: BaseException | None) -> None:
        """Raise SourceChangedError if a file is not that of the listing."""
        for file in self._files:
            if why := why_changed(self._root / file.path, file, self._inodes.get(file.path)):
                raise SourceChangedError(
                    "file changed while it was read",
                    where=str(self._root / file.path),
                    why=why,
                    remedy=CHANGED_REMEDY,
                ) from error

    @contextmanager
    def ended_by_errors(self) -> Iterator[None]:
        """Do nothing: no thread waits for a file."""
        yield

    @property
    def fetched(self) -> int:
        """No bytes: the files are where they were."""
        return 0

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


def close_nothing() -> None:
    """Close a cache that keeps nothing."""


class FetchedFiles:
    """Files that come from a store: each byte once, while files that are there already are read. A context manager.

    At most about `room` bytes of expected files wait in the cache to be read. Only threads of its own wait for the
    store. A caller waits for these until an error of any thread, or a signal, has ended the run. `close` is called at
    the end.
    """

    def __init__(
        self,
        files: Iterable[SourceFile],
        fetch: Fetch,
        threads: int,
        room: int,
        close: Callable[[], None] = close_nothing,
    ) -> None:
        self._files = {file.path: file for file in files}
        self._fetch = fetch
        self._room = room
        self._close = close
        self._pool = ThreadPoolExecutor(threads, f"{STORE_THREADS}fetch")
        self._now = ThreadPoolExecutor(_AT_ONCE, f"{STORE_THREADS}now")
        self._ended = False
        self._state = threading.Lock()
        self._changed = threading.Condition()
        self._fetching: set[str] = set()
        self._beginning_size = BEGINNING
        self._queue: Iterator[str] = iter(())
        self._expected: set[str] = set()
        self._begun: dict[str, Path] = {}
        self._waiting: set[str] = set()
        self._released: set[str] = set()
        self._local: dict[str, Path] = {}
        self._sizes: dict[str, int] = {}
        self._failed: dict[str, BaseException] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._end()
        for pool in (self._pool, self._now):
            # A thread that waits for a silent store must not keep an error, or a signal, from ending the run.
            pool.shutdown(wait=kind is None, cancel_futures=True)
        self._close()

    @contextmanager
    def ended_by_errors(self) -> Iterator[None]:
        """End every wait for a file as soon as the block raises, so that threads which wait for one can be joined."""
        try:
            yield
        except BaseException:
            self._end()
            raise

    @property
    def fetched(self) -> int:
        """The bytes of files that were fetched and not released."""
        with self._changed:
            return sum(self._sizes.values())

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
            self._begun[path] = self._wait_for(path, size)
        return self._begun[path]

    def whole(self, path: str) -> Path:
        """Return the local file with all of its bytes."""
        return self._wait_for(path, self._files[path].size)

    def expect(self, paths: Iterable[str]) -> None:
        """Fetch these in their order before they are asked for. Paths that were expected before keep their turn."""
        with self._state:
            more = [path for path in paths if path not in self._expected]
            self._expected.update(more)
            self._queue = itertools.chain(self._queue, more)
        self._fetch_ahead()

    def release(self, path: str) -> None:
        """Remove the local file, and make room for another."""
        self._released.add(path)
        with self._changed:
            # The thread that fetches the file may wait for a silent store.
            self._changed.wait_for(lambda: path not in self._fetching or self._ended)
        self._remove(path)
        with self._state:
            self._waiting.discard(path)
        self._fetch_ahead()

    def _remove(self, path: str) -> None:
        self._begun.pop(path, None)
        self._sizes.pop(path, None)
        local = self._local.pop(path, None)
        if local is not None:
            local.unlink(missing_ok=True)

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait_for(self, path: str, size: int) -> Path:
        """Return the local file once it has its first bytes. Raises StorageError, also once the run has ended.

        A file that no thread fetches goes before all that wait for their turn.
        """
        wanted = min(size, self._files[path].size)
        with self._changed:
            while self._sizes.get(path, -1) < wanted:
                if path in self._failed:
                    raise self._failed[path]
                if self._ended:
                    raise StorageError("fetching has ended", why="another error, or a signal, has ended the run")
                if path not in self._fetching:
                    self._fetching.add(path)
                    self._now.submit(self._fetched, path, wanted)
                self._changed.wait()
            return self._local[path]

    def _fetch_ahead(self) -> None:
        with self._state:
            while sum(self._files[path].size for path in self._waiting) < self._room and not self._ended:
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
        wanted = min(size, self._files[path].size)
        with self._changed:
            # The file may be on its way, or may have been read, before its turn came.
            self._changed.wait_for(lambda: path not in self._fetching or self._ended)
            if self._ended or path in self._released or self._sizes.get(path, -1) >= wanted:
                return
            self._fetching.add(path)
        self._fetched(path, wanted)

    def _fetched(self, path: str, wanted: int) -> None:
        """Fetch a file that is in `_fetching`. What has failed once has used up its attempts."""
        local, failed = None, self._failed.get(path)
        try:
            local = None if failed else self._fetch(self._files[path], wanted)
        except BaseException as error:  # noqa: BLE001  raised again where the file is read
            failed = error
        with self._changed:
            self._fetching.discard(path)
            if failed is not None:
                self._failed[path] = failed
            elif local is not None:
                self._local[path] = local
                self._sizes[path] = max(wanted, self._sizes.get(path, 0))
            self._changed.notify_all()
