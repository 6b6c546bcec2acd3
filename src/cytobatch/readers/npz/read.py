"""DeepProfiler's NPZ files: a matrix of features, the objects' places, and metadata of the image they are of."""

import functools
import io
import math
import reprlib
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy
import pyarrow as pa

from cytobatch.errors import InvalidTableError
from cytobatch.readers.npz.safe_pickle import NotPlainError, Scalar, in_short, read_dictionary
from cytobatch.readers.numbers import Repair, read_numbers

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_LONGEST_HEADER = 12 + 10_000
_LARGEST_METADATA = 64 * 2**20
_MOST_FEATURES = 100_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED_OR_PATCHED = 0x01 | 0x20 | 0x40
_LAST_RECORD = 22
_EXACT = 2**53
_NO_ARCHIVE = (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError)
_DAMAGED = (*_NO_ARCHIVE, zlib.error, EOFError)
_NO_HEADER = (
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


@functools.lru_cache(maxsize=8)
def _numbered(model: str, count: int) -> tuple[pa.Field, ...]:
    """Thousands of fields, alike in thousands of files."""
    return tuple(pa.field(f"{model}_{number}", pa.float64()) for number in range(1, count + 1))


@dataclass(frozen=True, slots=True)
class NpzHead:
    """What an NPZ file holds: the size of its features, metadata by key, and its members' names without `.npy`."""

    rows: int
    features: int
    metadata: Mapping[str, Scalar | pa.Array]
    members: frozenset[str]

    @property
    def _model(self) -> str:
        model = self.metadata.get("Metadata_Model")
        return "DP" if model is None or isinstance(model, pa.Array) or model == "" else str(model)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features' names: that of the model that made them, numbered."""
        return tuple(field.name for field in _numbered(self._model, self.features))

    @property
    def schema(self) -> pa.Schema:
        """The file's columns: its name, metadata, places if it has them, and features."""
        places = ("Location_Center_X", "Location_Center_Y") if "locations" in self.members else ()
        return pa.schema(
            [
                pa.field("Metadata_NPZSource", pa.string()),
                *(pa.field(key, _column(value, 0).type) for key, value in self.metadata.items()),
                *(pa.field(name, pa.float64()) for name in places),
                *_numbered(self._model, self.features),
            ]
        )


def unsound(path: Path, what: str, why: str) -> InvalidTableError:
    """The error for an NPZ file that cannot be read whole."""
    return InvalidTableError(what, where=path.name, why=why, remedy="export or copy it again")


def read_head(path: Path) -> NpzHead:
    """The sizes, metadata and names in a file; of features and places, which may be large, only the headers are read.

    Raises InvalidTableError for a file that is empty, cut short, damaged, encrypted or no archive, for members that do
    not hold what they should, and for metadata that is more than plain values. Only `features` must be there.
    """
    with _opened(path) as archive:
        return _head(archive)


def stream(
    path: Path, schema: pa.Schema, repairs: list[Repair], forced: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """The columns of `schema`, typed by it, as one batch; they are columns of the head's, of its types or wider ones.

    In the columns `forced` text that is no number becomes null, which is added to `repairs`. Raises InvalidTableError
    as `read_head` does, and for data that is not whole, or does not fit the schema.
    """
    with _opened(path) as archive:
        head = _head(archive)
        matrices = [_matrix(archive, name) for name in ("locations", "features") if name in head.members]
    arrays = [_column(value, head.rows) for value in (path.name, *head.metadata.values())]
    arrays.extend(pa.array(numbers) for matrix in matrices for numbers in matrix)
    columns = dict(zip(head.schema.names, arrays, strict=True))
    numbers = [field for field in schema if field.name in forced and not pa.types.is_string(field.type)]
    columns |= {field.name: _numbers(path, columns[field.name], field, repairs) for field in numbers}
    yield pa.RecordBatch.from_arrays([_typed(path, columns, field) for field in schema], schema=schema)


def _numbers(path: Path, column: pa.Array, field: pa.Field, repairs: list[Repair]) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    text = pa.chunked_array([column])
    numbers, found = read_numbers(field.name, text, field.type, path.name, otherwise_null=True)
    repairs.extend(found)
    return numbers.combine_chunks()


def _column(value: Scalar | pa.Array, rows: int) -> pa.Array:
    return value if isinstance(value, pa.Array) else pa.repeat(value, rows)


def _typed(path: Path, columns: Mapping[str, pa.Array], field: pa.Field) -> pa.Array:
    if field.name not in columns:
        raise unsound(path, f"no column {field.name!r}", "it is among the columns wanted")
    column = columns[field.name]
    try:
        return column if column.type.equals(field.type) else column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise unsound(path, f"column {field.name!r} cannot be {field.type}", in_short(error)) from error


@dataclass(frozen=True, slots=True)
class _Archive:
    path: Path
    file: zipfile.ZipFile
    members: Mapping[str, zipfile.ZipInfo]


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    """A ZIP archive. Raises InvalidTableError if it is none, or is found damaged while it is read."""
    if not path.stat().st_size:
        raise unsound(path, "empty file", "it has 0 bytes")
    try:
        file = zipfile.ZipFile(path)
    except _NO_ARCHIVE as error:
        raise unsound(path, "cut short or no NPZ archive", in_short(error)) from error
    with file:
        try:
            yield _Archive(path, file, _members(path, file))
        except _DAMAGED as error:
            raise unsound(path, "damaged", in_short(error)) from error


def _members(path: Path, file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members = {info.filename.removesuffix(".npy"): info for info in file.infolist()}
    if len(members) < len(file.infolist()):
        raise unsound(path, "duplicate members", f"{len(file.infolist())} members have {len(members)} names")
    size, told = path.stat().st_size, _told_members(path, len(file.comment))
    if told != min(len(members), 0xFFFF):
        raise unsound(path, "damaged", f"its directory has {len(members)} members where its end tells of {told}")
    for name, info in members.items():
        if info.flag_bits & _ENCRYPTED_OR_PATCHED or info.compress_type not in _METHODS:
            why = f"member {name!r} has the flags {info.flag_bits:#x} and the method {info.compress_type}"
            raise unsound(path, "encrypted, or compressed as NumPy never does", why)
        if not 0 <= info.header_offset <= size - info.compress_size:
            raise unsound(path, "damaged", f"member {name!r} should lie outside of the file")
        # Opening compares the two names that an archive has for each member.
        file.open(info).close()
    if "features" not in members:
        raise unsound(path, "no features", f"it has {reprlib.repr(sorted(members))}")
    return members


def _told_members(path: Path, comment: int) -> int:
    """The number of members by an archive's last record. zipfile ignores it, and loses members by one wrong length."""
    with path.open("rb") as file:
        file.seek(-comment - _LAST_RECORD, io.SEEK_END)
        return int.from_bytes(file.read(12)[10:], "little")


def _head(archive: _Archive) -> NpzHead:
    path, members = archive.path, archive.members
    rows, features = _shape(archive, "features")
    if features > _MOST_FEATURES or (rows and not features):
        raise unsound(path, "features cannot be columns", f"there are {features} for each of {rows} rows")
    places = _shape(archive, "locations") if "locations" in members else (rows, 2)
    if places != (rows, 2):
        why = f"locations are {places[0]} x {places[1]} where features have {rows} rows"
        raise unsound(path, "locations do not fit the features", why)
    head = NpzHead(rows, features, _metadata(archive, rows) if "metadata" in members else {}, frozenset(members))
    names = head.schema.names
    if len(set(names)) < len(names):
        repeated = [name for name, count in Counter(names).items() if count > 1]
        raise unsound(path, "duplicate columns", f"metadata repeats {', '.join(map(repr, repeated[:3]))}")
    return head


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the header of an NPY member tells, and where it ends."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    end: int


def _layout(path: Path, name: str, start: bytes) -> _Layout:
    # NumPy refuses a long header only after it has read it.
    header = io.BytesIO(start[:_LONGEST_HEADER])
    try:
        version = npy.read_magic(header)
        if version not in _HEADERS:
            raise ValueError(f"version {version} is unknown")
        return _Layout(*_HEADERS[version](header), header.tell())
    except _NO_HEADER as error:
        raise unsound(path, f"{name} cannot be read as NPY", in_short(error)) from error


def _numeric(path: Path, name: str, start: bytes, size: int) -> _Layout:
    """The layout of a 2-d array of numbers that doubles can hold, in `size` bytes."""
    layout = _layout(path, name, start)
    shape, dtype = layout.shape, layout.dtype
    if len(shape) != 2 or min(shape) < 0 or dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise unsound(path, f"{name} are no table of numbers", f"they are {dtype} of shape {shape}"[:200])
    told, found = math.prod(shape) * dtype.itemsize, size - layout.end
    if told != found:
        raise unsound(path, f"{name} are not whole", f"there are {found} of the {told} bytes that their header tells")
    return layout


def _shape(archive: _Archive, name: str) -> tuple[int, ...]:
    with archive.file.open(archive.members[name]) as member:
        start = member.read(_LONGEST_HEADER)
    return _numeric(archive.path, name, start, archive.members[name].file_size).shape


def _matrix(archive: _Archive, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A table of numbers as doubles, one line for each column."""
    data = archive.file.read(archive.members[name])
    layout = _numeric(archive.path, name, data, len(data))
    matrix: np.ndarray[Any, Any] = np.ndarray(
        layout.shape, layout.dtype, data, layout.end, order="F" if layout.fortran else "C"
    )
    if matrix.size and layout.dtype.kind in "iu" and not -_EXACT <= matrix.min() <= matrix.max() <= _EXACT:
        raise unsound(archive.path, f"{name} are too large", "doubles hold integers up to 2^53 only")
    return np.require(matrix.T, np.float64, ["C", "A"])


def _metadata(archive: _Archive, rows: int) -> dict[str, Scalar | pa.Array]:
    path, member = archive.path, archive.members["metadata"]
    if member.file_size > _LARGEST_METADATA:
        raise unsound(path, "metadata is too large", f"it has {member.file_size} bytes")
    data = archive.file.read(member)
    layout = _layout(path, "metadata", data)
    if layout.dtype != object:
        raise unsound(path, "metadata is no dictionary", f"it is an array of {layout.dtype}"[:200])
    try:
        return read_dictionary(data[layout.end :], rows)
    except NotPlainError as error:
        raise unsound(path, f"metadata {error.what}", error.why) from error
