"""A finished output on the local disk: how large it is, and the checksum that says what is in it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One output: a file, or a folder of files that are one store.

    `sha256` is the file's; a folder's is that of a list of its files, each with its own, as `sha256sum` prints it.
    """

    path: Path
    rows: int
    columns: int
    bytes: int
    sha256: str


def written(path: Path, rows: int, columns: int) -> WrittenFile:
    """The account of a finished file or folder."""
    if not path.is_dir():
        return WrittenFile(path, rows, columns, path.stat().st_size, _sha256(path))
    files = sorted(files_below(path))
    listing = "".join(f"{_sha256(path / name)}  {name}\n" for name in files)
    size = sum((path / name).stat().st_size for name in files)
    return WrittenFile(path, rows, columns, size, hashlib.sha256(listing.encode()).hexdigest())


def files_below(folder: Path) -> Iterator[str]:
    """The paths of a folder's files below it, with forward slashes."""
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
