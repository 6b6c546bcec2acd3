"""A finished output on the local disk: how large it is, and the checksum that says what is in it."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_CHUNK = 2**20


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


class FileDigest:
    """The SHA-256 of a file that grows at its end, taken in a thread of its own as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._sum = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1, "digest")

    def catch_up(self) -> None:
        """Takes in what was written since, in the background."""
        self._thread.submit(self._take_in)

    def close(self) -> str:
        """The digest of the whole file, which does not grow any more."""
        self._thread.shutdown()
        self._take_in()
        return self._sum.hexdigest()

    def _take_in(self) -> None:
        with self._path.open("rb") as stream:
            stream.seek(self._read)
            while chunk := stream.read(_CHUNK):
                self._sum.update(chunk)
                self._read += len(chunk)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
