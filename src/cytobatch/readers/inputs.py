"""The files of a plate on the local disk, present or on their way: the protocol that storage implements for readers."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Protocol

BEGINNING = 128 * 2**10
"""Bytes of a file that are fetched first, for its header and first row. In JUMP's tables these take 106 KiB."""


class Inputs(Protocol):
    """Files by their path at the source. Several threads may use it at once.

    `fetched` are the bytes that were fetched of files that are not released; 0 if they are on this disk.
    """

    @property
    def fetched(self) -> int:
        """The bytes that were fetched."""
        ...

    def prepare(self, paths: Iterable[str], wholes: Collection[str]) -> None:
        """Start to fetch the beginning of each path in this order, or the whole file if the path is in `wholes`."""
        ...

    def beginning(self, path: str, size: int = BEGINNING) -> Path:
        """Return a local file that has at least the first `size` bytes, or all bytes of a smaller one.

        Raises StorageError.
        """
        ...

    def whole(self, path: str) -> Path:
        """Return a local file that has all bytes. Raises StorageError."""
        ...

    def expect(self, paths: Iterable[str]) -> None:
        """Announce that `whole` will be called for these paths, in this order."""
        ...

    def release(self, path: str) -> None:
        """Declare that the file will not be read again."""
        ...
