"""A finished output on the local disk, with the checksums of its content."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cytobatch.output.file_content import FileContent

ITSELF = ""
"""The name of the only file of an output that is no folder."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One output: a file, or a folder that is one store. `files` has its files by their paths below it, or `ITSELF`."""

    path: Path
    rows: int
    columns: int
    files: Mapping[str, FileContent]

    @classmethod
    def measure(cls, path: Path, rows: int, columns: int) -> "WrittenFile":
        """Describe a finished file or folder of `rows` rows and `columns` columns, whose content is read once."""
        names = sorted(files_below(path)) if path.is_dir() else [ITSELF]
        return cls(path, rows, columns, {name: FileContent.read(path / name) for name in names})

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.size for file in self.files.values())

    @property
    def sha256(self) -> str:
        """The checksum of the file; of a folder that of a list of its files, as `sha256sum` prints it."""
        checksums = {name: file.sha256 for name, file in self.files.items()}
        return checksums[ITSELF] if ITSELF in checksums else sha256_of_folder(checksums)


def files_below(folder: Path) -> Iterator[str]:
    """Yield the paths of a folder's files below it, with forward slashes."""
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def sha256_of(path: Path) -> str:
    """Return the checksum of a file in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_folder(checksums: Mapping[str, str]) -> str:
    """Return the checksum of a folder from those of its files by their paths below it."""
    listing = "".join(f"{checksums[name]}  {name}\n" for name in sorted(checksums))
    return hashlib.sha256(listing.encode()).hexdigest()
