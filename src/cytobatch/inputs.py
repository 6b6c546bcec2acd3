"""The files of a plate on the local disk, there already or on their way: what those who read them may ask."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class Inputs(Protocol):
    """Files by their path at the source. Several threads may ask at once."""

    def prepare(self, beginnings: Iterable[str], wholes: Iterable[str]) -> None:
        """The beginnings of some files and the whole of others will be asked for at once. Raises StorageError."""
        ...

    def beginning(self, path: str) -> Path:
        """A local file that has at least the first lines of a table, as a rule. Raises StorageError."""
        ...

    def whole(self, path: str) -> Path:
        """The same, once all of it is there. Raises StorageError."""
        ...

    def expect(self, paths: Iterable[str]) -> None:
        """These will be asked for as a whole, in this order."""
        ...

    def release(self, path: str) -> None:
        """Nobody will read the file any more."""
        ...
