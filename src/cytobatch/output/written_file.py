"""A finished output on the local disk: its size, and the checksum of its content."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One output: a file, or a folder that is one store.

    `sha256` is the checksum of the file. For a folder it is the checksum of a list of its files, each with its own, as
    `sha256sum` prints it. `bytes` counts all files.
    """

    path: Path
    rows: int
    columns: int
    bytes: int
    sha256: str

    @classmethod
    def measure(cls, path: Path, rows: int, columns: int) -> "WrittenFile":
        """Describe a finished file or folder of `rows` rows and `columns` columns, whose content is read once."""
        if not path.is_dir():
            return cls(path, rows, columns, path.stat().st_size, sha256_of(path))
        files = sorted(files_below(path))
        size = sum((path / name).stat().st_size for name in files)
        return cls(path, rows, columns, size, sha256_of_folder({name: sha256_of(path / name) for name in files}))


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
