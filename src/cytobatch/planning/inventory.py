"""The files of a source from one listing: path, size and ETag of each."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from cytobatch.config.natural_order import natural_key


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file: its path below the source's root with forward slashes, and its size in bytes.

    `etag` and `modified` (seconds since 1970) are those of the version in the listing of an object store.
    """

    path: str
    size: int
    etag: str | None = None
    modified: float | None = None

    @property
    def stem(self) -> str:
        """The name of the file without its last suffix."""
        return PurePosixPath(self.path).stem

    @property
    def suffix(self) -> str:
        """The last suffix of the file in lower case, dot included."""
        return PurePosixPath(self.path).suffix.lower()

    @property
    def folder(self) -> str:
        """The folder of the file below the root; `.` for the root itself."""
        return str(PurePosixPath(self.path).parent)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Every file below `root` (a local path or a URI), in the natural order of the paths."""

    root: str
    files: tuple[SourceFile, ...]

    @classmethod
    def of(cls, root: str, files: list[SourceFile]) -> "Inventory":
        """Return an inventory of the files in natural order."""
        return cls(root, tuple(sorted(files, key=lambda file: natural_key(file.path))))
