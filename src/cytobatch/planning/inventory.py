"""The files of a source from one listing: path, size and ETag of each."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from cytobatch.config.natural_order import natural_key

_COMPRESSED = ".gz"
_EXPANSION = 3
"""About how many times as large a compressed table becomes: those of measurements become 2.0 to 2.3 times as large."""
_COMPRESSED_TABLES = tuple(f"{suffix}{_COMPRESSED}" for suffix in (".csv", ".tsv", ".txt"))


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file: its path below the source's root with forward slashes, and its size in bytes.

    `etag` and `modified` (seconds since 1970) are those of the version in the listing of an object store. `key` is the
    object's key there, if it is not the root's key, a `/` and the path: `plate//Cells.csv` has the path `Cells.csv`.
    `is_dangling` is True for a link whose target does not exist. The path of an object ends in a slash if its key does,
    as the key of a folder's marker, though the object has content. `content` are the bytes of its content where a scan
    has found that the file is compressed.
    """

    path: str
    size: int
    etag: str | None = None
    modified: float | None = None
    key: str | None = None
    is_dangling: bool = False
    content: int | None = None

    @property
    def stem(self) -> str:
        """The name of the file without its last suffix; without `.gz` too if it is a compressed text table."""
        return PurePosixPath(self._uncompressed).stem

    @property
    def suffix(self) -> str:
        """The last suffix of the file in lower case, dot included; that before `.gz` for a compressed text table."""
        return PurePosixPath(self._uncompressed).suffix.lower()

    @property
    def is_compressed(self) -> bool:
        """Whether the name is that of a text table compressed by gzip, such as `Cells.csv.gz`."""
        return self.path.lower().endswith(_COMPRESSED_TABLES)

    @property
    def content_size(self) -> int:
        """The size in bytes of what is read from the file; for a compressed table an estimate from above."""
        if self.content is not None:
            return self.content
        return _EXPANSION * self.size if self.is_compressed else self.size

    @property
    def _uncompressed(self) -> str:
        return self.path[: -len(_COMPRESSED)] if self.is_compressed else self.path

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
