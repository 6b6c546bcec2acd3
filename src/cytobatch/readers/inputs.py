"""The files of a plate on the local disk, there already or on their way: what those who read them may ask."""

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Protocol

BEGINNING = 128 * 2**10
"""Bytes of a file that are fetched first to be looked into: header and first row of JUMP's tables take 106 KiB."""


@dataclass(frozen=True, slots=True)
class CsvGroup:
    """Small CSV files, each with so many lines of header, whose other lines are read as one text."""

    paths: tuple[str, ...]
    header_lines: int


@dataclass(frozen=True, slots=True)
class Text:
    """The lines of several files, one after the other from the memory's beginning, and where those of each end."""

    memory: mmap
    ends: tuple[int, ...]


class Inputs(Protocol):
    """Files by their path at the source. Several threads may ask at once."""

    def prepare(self, paths: Iterable[str], wholes: Collection[str]) -> None:
        """Files whose beginning, or the whole of which, will be asked for in this order, and begins to come."""
        ...

    def beginning(self, path: str, size: int = BEGINNING) -> Path:
        """A local file that has at least so many bytes, or all there are. Raises StorageError."""
        ...

    def whole(self, path: str) -> Path:
        """The same, once all of it is there. Raises StorageError."""
        ...

    def expect(self, paths: Iterable[str]) -> None:
        """These will be asked for as a whole, in this order."""
        ...

    def expect_groups(self, texts: Iterable[CsvGroup]) -> None:
        """These files will be asked for as texts, in this order."""
        ...

    def text(self, files: CsvGroup) -> AbstractContextManager[Text]:
        """Within it, the files' lines, in memory that others get afterwards. Raises FastPathUnavailable, StorageError.

        Who finds them odd raises FastPathUnavailable within it, and asks for the files as a whole.
        """
        ...

    def release(self, path: str) -> None:
        """Nobody will read the file any more."""
        ...
