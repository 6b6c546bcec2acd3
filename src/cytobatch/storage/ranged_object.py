"""An object of S3 as a file of which only the parts that are read are fetched: columns of a profile, heads of files."""

import io
from typing import TYPE_CHECKING

from cloudpathlib import S3Path

from cytobatch.storage.access import storage_errors
from cytobatch.storage.s3_read import object_version, read_span

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class RangedObject(io.RawIOBase):
    """A file for reading. Each read is a request for just these bytes, of the version that was there at first.

    Attributes
    ----------
    fetched
        The bytes that were fetched so far.
    """

    def __init__(self, path: S3Path) -> None:
        """Look up the size and the version of an object. Raises StorageError."""
        super().__init__()
        self._path = path
        self._position = 0
        self.fetched = 0
        with storage_errors(str(path)):
            self._version = object_version(path, path.key)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position, and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._version.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill a buffer with the next bytes, and return their number. Raises StorageError."""
        view = memoryview(buffer).cast("B")
        content = self.read(len(view))
        view[: len(content)] = content
        return len(content)

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes. Raises StorageError, and SourceChangedError if the object was replaced."""
        end = self._version.size if size is None or size < 0 else min(self._position + size, self._version.size)
        if end <= self._position:
            return b""
        with storage_errors(str(self._path)):
            content = read_span(self._path, self._path.key, self._version, (self._position, end))
        self._position += len(content)
        self.fetched += len(content)
        return content
