"""The checksums of a file's content. They are computed while it is written, and it is known by them when it is read."""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

BLOCK_BYTES = 8 * 2**20
"""Each block of this size has a CRC-32. It is the size of a part of an upload to S3, too."""
_READ_BYTES = 2**18


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file holds: its size in bytes, its sha256 as hexadecimal digits, and the CRC-32 of each block."""

    size: int
    sha256: str
    crc32s: tuple[int, ...]

    @classmethod
    def of(cls, content: bytes) -> "FileContent":
        """Describe the content of a file that is in memory."""
        checksums = Checksums()
        checksums.update(content)
        return checksums.content()

    @classmethod
    def read(cls, path: Path) -> "FileContent":
        """Describe the content of a file, which is read once."""
        checksums = Checksums()
        with path.open("rb", buffering=0) as stream:
            for content in iter(partial(stream.read, _READ_BYTES), b""):
                checksums.update(content)
        return checksums.content()


class Checksums:
    """Computes the checksums of what is written, piece by piece."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._crc32s: list[int] = []
        self._bytes = 0

    def update(self, content: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._sha256.update(content)
        for piece in self._at_block_ends(memoryview(content)):
            if self._bytes % BLOCK_BYTES == 0:
                self._crc32s.append(0)
            self._crc32s[-1] = zlib.crc32(piece, self._crc32s[-1])
            self._bytes += len(piece)

    def _at_block_ends(self, content: memoryview) -> Iterator[memoryview]:
        """Yield bytes in pieces of which none has bytes of two blocks."""
        while content:
            room = BLOCK_BYTES - self._bytes % BLOCK_BYTES
            yield content[:room]
            content = content[room:]

    def content(self) -> FileContent:
        """Describe what was taken."""
        return FileContent(self._bytes, self._sha256.hexdigest(), tuple(self._crc32s))


def crc32_of_block(path: Path, number: int) -> int:
    """Return the CRC-32 of a block of a file, which is read; that of no bytes behind the file's end."""
    crc32, rest = 0, BLOCK_BYTES
    with path.open("rb", buffering=0) as stream:
        stream.seek(number * BLOCK_BYTES)
        while rest and (content := stream.read(min(rest, _READ_BYTES))):
            crc32 = zlib.crc32(content, crc32)
            rest -= len(content)
    return crc32
