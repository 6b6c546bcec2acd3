"""What is really at the source: every file, its size and its ETag, from one listing."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from cytobatch.config.natural_order import natural_key


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file: its path below the source's root with forward slashes, and its size in bytes.

    `etag` and `modified` (seconds since 1970) are what a store says of the version that was listed.
    """

    path: str
    size: int
    etag: str | None = None
    modified: float | None = None

    @property
    def stem(self) -> str:
        """The file's name without its last suffix."""
        return PurePosixPath(self.path).stem

    @property
    def suffix(self) -> str:
        """The file's last suffix in lower case, dot included."""
        return PurePosixPath(self.path).suffix.lower()

    @property
    def folder(self) -> str:
        """The file's folder below the root; `.` for the root itself."""
        return str(PurePosixPath(self.path).parent)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Every file below `root` (a local path or a URI), in natural order of their paths."""

    root: str
    files: tuple[SourceFile, ...]

    @classmethod
    def of(cls, root: str, files: list[SourceFile]) -> "Inventory":
        """An inventory with its files put in order."""
        return cls(root, tuple(sorted(files, key=lambda file: natural_key(file.path))))
