"""NPZ archives and the headers of their members, which are checked before any of their content is used."""

import io
import math
import reprlib
import threading
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy

from cytobatch.errors import InvalidTableError
from cytobatch.readers.npz.safe_pickle import in_short

_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# NumPy parses a header with `ast`. CPython 3.11 and 3.12 count the depth of that for all threads together, and raise
# SystemError if a finalizer lets another thread parse in between.
_HEADER_LOCK = threading.Lock()
_LONGEST_HEADER = 12 + 10_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED_OR_PATCHED = 0x01 | 0x20 | 0x40
_END_RECORD_BYTES = 22
_EXACT_INTEGERS = 2**53
# What zipfile raises for bytes that are not an archive, and for damage that it finds later.
_ARCHIVE_ERRORS = (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError)
_DAMAGE_ERRORS = (*_ARCHIVE_ERRORS, zlib.error, EOFError)
# What NumPy raises for bytes that are not a valid header.
_HEADER_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
    SyntaxError,
    tokenize.TokenError,
)


def invalid_file(path: Path, what: str, why: str) -> InvalidTableError:
    """Return the error for an NPZ file that cannot be read whole."""
    return InvalidTableError(what, where=path.name, why=why, remedy="export or copy it again")


@dataclass(frozen=True, slots=True)
class Archive:
    """An open ZIP archive, and its members by their names without `.npy`."""

    path: Path
    file: zipfile.ZipFile
    members: Mapping[str, zipfile.ZipInfo]

    def shape(self, name: str) -> tuple[int, ...]:
        """Read the shape of a matrix from its header. Raises InvalidTableError as `matrix` does, but for its data."""
        with self.file.open(self.members[name]) as member:
            start = member.read(_LONGEST_HEADER)
        return _matrix_header(self.path, name, start, self.members[name].file_size).shape

    def matrix(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Read a matrix of numbers.

        Parameters
        ----------
        name
            Name of the member, an array (rows, columns) of integers or floats.

        Returns
        -------
        float64, (columns, rows), in C order: each column of the member is contiguous.

        Raises
        ------
        InvalidTableError
            If the member is not a matrix of numbers, not whole, or has integers that float64 cannot represent.
        """
        data = self.file.read(self.members[name])
        header = _matrix_header(self.path, name, data, len(data))
        matrix: np.ndarray[Any, Any] = np.ndarray(
            header.shape, header.dtype, data, header.size, order="F" if header.fortran_order else "C"
        )
        is_integer = header.dtype.kind in "iu"
        if matrix.size and is_integer and not -_EXACT_INTEGERS <= matrix.min() <= matrix.max() <= _EXACT_INTEGERS:
            raise invalid_file(self.path, f"{name} are too large", "doubles hold integers up to 2^53 only")
        # A signalling NaN of another width becomes a quiet one, of which numpy would warn.
        with np.errstate(invalid="ignore"):
            return np.require(matrix.T, np.float64, ["C", "A"])

    def pickle(self, name: str, largest: int) -> bytes:
        """Return the pickle in an object array. Raises InvalidTableError for other arrays, or over `largest` bytes."""
        member = self.members[name]
        if member.file_size > largest:
            raise invalid_file(self.path, f"{name} is too large", f"it has {member.file_size} bytes")
        data = self.file.read(member)
        header = _npy_header(self.path, name, data)
        if header.dtype != object:
            raise invalid_file(self.path, f"{name} is no dictionary", f"it is an array of {header.dtype}"[:200])
        return data[header.size :]


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an NPZ file. Raises InvalidTableError if it is not an archive, or damage is found while it is read."""
    if not path.stat().st_size:
        raise invalid_file(path, "empty file", "it has 0 bytes")
    try:
        file = zipfile.ZipFile(path)
    except _ARCHIVE_ERRORS as error:
        raise invalid_file(path, "cut short or no NPZ archive", in_short(error)) from error
    with file:
        try:
            yield Archive(path, file, _members(path, file))
        except _DAMAGE_ERRORS as error:
            raise invalid_file(path, "damaged", in_short(error)) from error


def _members(path: Path, file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name. Raises InvalidTableError if the archive's directory is damaged or unusual."""
    entries = file.infolist()
    members = {info.filename.removesuffix(".npy"): info for info in entries}
    if len(members) < len(entries):
        raise invalid_file(path, "duplicate members", f"{len(entries)} members have {len(members)} names")
    recorded = _recorded_member_count(path, len(file.comment))
    if recorded != min(len(members), 0xFFFF):
        raise invalid_file(path, "damaged", f"its directory has {len(members)} members, its end record {recorded}")
    for name, info in members.items():
        _check_member(path, file, name, info)
    if "features" not in members:
        raise invalid_file(path, "no features", f"it has {reprlib.repr(sorted(members))}")
    return members


def _recorded_member_count(path: Path, comment_bytes: int) -> int:
    """Return the number of members in an archive's last record.

    zipfile ignores that record, and one wrong length in the directory makes it lose members.
    """
    with path.open("rb") as file:
        file.seek(-comment_bytes - _END_RECORD_BYTES, io.SEEK_END)
        return int.from_bytes(file.read(12)[10:], "little")


def _check_member(path: Path, file: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> None:
    """Raise InvalidTableError if a member lies outside of the file, or is stored in a way that NumPy does not use."""
    if info.flag_bits & _ENCRYPTED_OR_PATCHED or info.compress_type not in _METHODS:
        why = f"member {name!r} has the flags {info.flag_bits:#x} and the method {info.compress_type}"
        raise invalid_file(path, "encrypted, or compressed as NumPy never does", why)
    if not 0 <= info.header_offset <= path.stat().st_size - info.compress_size:
        raise invalid_file(path, "damaged", f"member {name!r} should lie outside of the file")
    # Opening compares the two names that an archive has for each member.
    file.open(info).close()


@dataclass(frozen=True, slots=True)
class _NpyHeader:
    """The header of an NPY member. `size` is in bytes: the data begin behind it."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    size: int


def _npy_header(path: Path, name: str, start: bytes) -> _NpyHeader:
    """Read the header of a member from its first bytes. Raises InvalidTableError if it is invalid."""
    # NumPy refuses a long header only after it has read it.
    stream = io.BytesIO(start[:_LONGEST_HEADER])
    try:
        version = npy.read_magic(stream)
        if version not in _HEADER_READERS:
            raise ValueError(f"version {version} is unknown")
        with _HEADER_LOCK:
            header = _HEADER_READERS[version](stream)
        return _NpyHeader(*header, stream.tell())
    except _HEADER_ERRORS as error:
        raise invalid_file(path, f"{name} cannot be read as NPY", in_short(error)) from error


def _matrix_header(path: Path, name: str, start: bytes, member_size: int) -> _NpyHeader:
    """Read the header of a 2-d array of numbers that float64 can hold, in a member of `member_size` bytes.

    Raises InvalidTableError if it is another array, or its data have another size than the header records.
    """
    header = _npy_header(path, name, start)
    shape, dtype = header.shape, header.dtype
    if len(shape) != 2 or min(shape) < 0 or dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise invalid_file(path, f"{name} are no table of numbers", f"they are {dtype} of shape {shape}"[:200])
    expected, actual = math.prod(shape) * dtype.itemsize, member_size - header.size
    if actual != expected:
        why = f"there are {actual} of the {expected} bytes that their header records"
        raise invalid_file(path, f"{name} are not whole", why)
    return header
