"""Texts of many small files, fetched straight into the memory from which they are read.

Their bytes are neither written to the disk nor read back. Of each file the beginning is there as a rule, and what lies
below its header is known by its size: so all its places are known before its bytes come.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path
from typing import Protocol

from cytobatch.engine.buffers import new_buffer
from cytobatch.errors import FastPathUnavailable
from cytobatch.planning.inventory import SourceFile
from cytobatch.readers.csv.body import read_below_header
from cytobatch.readers.inputs import CsvGroup, Text

Read = Callable[[SourceFile, int, memoryview], bool]
"""Fills memory with a file's bytes from a place on; False where they have to be fetched as a file."""


class Files(Protocol):
    """The local files."""

    def beginning(self, path: str) -> Path:
        """One with at least the first bytes."""
        ...

    def fetched(self, path: str) -> Path:
        """One with all bytes."""
        ...


@dataclass(frozen=True, slots=True)
class _Rest:
    """What a local file lacks, from `begin` on; its place in memory, and where the file's lines end there."""

    file: SourceFile
    local: Path
    begin: int
    memory: memoryview
    end: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything of a text belongs, and the rests that are on their way there."""

    memory: mmap
    rests: tuple[_Rest, ...]
    coming: tuple[Future[None], ...]


@dataclass(slots=True, eq=False)
class _Expected:
    """A text: on its way once there is a layout, `over` once it was read or given up."""

    files: CsvGroup
    size: int
    memory: mmap | None = None
    layout: Future[_Layout] | None = None
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class FetchedTexts:
    """Texts that come in the order in which they are expected, `ahead` at once, and those that are waited for.

    Several threads may ask at once.
    """

    def __init__(self, sources: Mapping[str, SourceFile], files: Files, read: Read, pool: Executor, ahead: int) -> None:
        self._sources = sources
        self._files = files
        self._read = read
        self._pool = pool
        self._ahead = ahead
        self._changing = threading.Lock()
        self._texts: dict[CsvGroup, _Expected] = {}
        self._text_of: dict[str, _Expected] = {}
        self._waiting = deque[_Expected]()
        self._free: list[mmap] = []
        self._begun = 0

    def expect(self, texts: Iterable[CsvGroup]) -> None:
        """Fetches these in their order, ahead of who asks for them."""
        with self._changing:
            for files in texts:
                text = _Expected(files, sum(self._sources[path].size for path in files.paths))
                self._texts[files] = text
                self._text_of.update(dict.fromkeys(files.paths, text))
                self._waiting.append(text)
            self._begin_more()

    def __contains__(self, files: CsvGroup) -> bool:
        text = self._texts.get(files)
        return text is not None and not text.over

    @contextlib.contextmanager
    def text(self, files: CsvGroup) -> Iterator[Text]:
        """Within it, an expected text. If that is odd, all that came of it is in the files afterwards.

        Raises FastPathUnavailable, StorageError.
        """
        text = self._texts[files]
        with text.lock:
            layout = self._layout(text)
            try:
                whole = _complete(layout)
                yield Text(whole.memory, tuple(rest.end for rest in whole.rests))
            except FastPathUnavailable:
                _put_into_files(layout)
                raise
            finally:
                self._end(text)

    def give_up(self, path: str) -> None:
        """A file is asked for by itself: what came of its text, if anything, is in the files afterwards."""
        text = self._text_of.get(path)
        if text is None or text.over:
            return
        with text.lock:
            try:
                if text.layout is not None and not text.over:
                    _put_into_files(text.layout)
            finally:
                self._end(text)

    def _begin_more(self) -> None:
        while self._waiting and self._begun < self._ahead:
            text = self._waiting.popleft()
            if text.layout is None and not text.over:
                self._begin(text)

    def _layout(self, text: _Expected) -> Future[_Layout]:
        """Who needs a text waits for no other to be over."""
        with self._changing:
            return text.layout or self._begin(text)

    def _begin(self, text: _Expected) -> Future[_Layout]:
        self._begun += 1
        text.layout = self._pool.submit(self._lay_out, text)
        return text.layout

    def _lay_out(self, text: _Expected) -> _Layout:
        """Reads what is there of the files, and has the rest come. Raises FastPathUnavailable without a header."""
        text.memory = memory = self._memory(text.size)
        room, end, rests = memoryview(memory), 0, list[_Rest]()
        for path in text.files.paths:
            file, local = self._sources[path], self._files.beginning(path)
            header, read = read_below_header(local, text.files.header_lines, room[end:])
            begin, end = end + read, end + file.size - header
            rests.append(_Rest(file, local, header + read, room[begin:end], end))
        coming = tuple(self._pool.submit(self._fetch, rest) for rest in rests if rest.memory)
        return _Layout(memory, tuple(rests), coming)

    def _memory(self, size: int) -> mmap:
        with self._changing:
            memory = self._free.pop() if self._free else None
        if memory is None or len(memory) < size:
            # What is too small goes first.
            memory = None
            memory = new_buffer(size)
        return memory

    def _fetch(self, rest: _Rest) -> None:
        if not self._read(rest.file, rest.begin, rest.memory):
            with self._files.fetched(rest.file.path).open("rb") as stream:
                stream.seek(rest.begin)
                stream.readinto(rest.memory)

    def _end(self, text: _Expected) -> None:
        with self._changing:
            if text.over:
                return
            text.over = True
            if text.layout is not None:
                self._begun -= 1
                if text.memory is not None:
                    self._free.append(text.memory)
                text.layout, text.memory = None, None
            self._begin_more()


def _complete(layout: Future[_Layout]) -> _Layout:
    """The layout, with all rests there. Raises FastPathUnavailable, StorageError; nothing comes any more then."""
    laid_out = layout.result()
    wait(laid_out.coming)
    for coming in laid_out.coming:
        coming.result()
    return laid_out


def _put_into_files(layout: Future[_Layout]) -> None:
    """Adds to the files what they lack. Raises StorageError."""
    with contextlib.suppress(FastPathUnavailable):
        for rest in _complete(layout).rests:
            # A rest that could not come alone is there already.
            if rest.local.stat().st_size == rest.begin:
                with rest.local.open("ab") as stream:
                    stream.write(rest.memory)
