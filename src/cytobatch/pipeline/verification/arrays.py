"""Embeddings in archives of arrays, by NumPy. Metadata are a pickle: stand-ins take the place of what it would call."""

import io
import math
import pickle
import pickletools
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cytobatch.pipeline.verification.tables import Row, UnreadableTableError, WholeTable
from cytobatch.pipeline.verification.values import Notation, Raw

_LOCATIONS = ("Location_Center_X", "Location_Center_Y")
_CALLS = frozenset({"ndarray", "dtype", "scalar", "_reconstruct", "_frombuffer", "encode", "bytes"})
_MODULES = re.compile(r"numpy(\.[a-z_.]+)?|_codecs|__builtin__|builtins")
_NUMBERS = re.compile(r"[biuf][0-9]+")
_TEXTS = re.compile(r"(?P<kind>[US])(?P<length>[0-9]+)")
_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    EOFError,
    RecursionError,
    NotImplementedError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy, zipfile and the unpickler raise for bytes that are not what they should be."""


def read_arrays(path: Path) -> WholeTable:
    """Read the rows of a file: its name, the metadata of its image, and the location and features of each object.

    Raises
    ------
    UnreadableTableError
        If it is no archive of such arrays, or its metadata are more than plain values.
    """
    try:
        return _table(path)
    except _ERRORS as error:
        raise UnreadableTableError(f"{path.name} is not readable as arrays: {error}") from error


def _table(path: Path) -> WholeTable:
    with np.load(path, allow_pickle=False) as arrays:
        features = arrays["features"]
        locations = arrays["locations"] if "locations" in arrays.files else np.empty((len(features), 0))
        metadata = _metadata(arrays.zip, len(features)) if "metadata" in arrays.files else {}
    model = metadata.get("Metadata_Model")
    label = "DP" if model in (None, "") or isinstance(model, list) else str(model)
    names = [
        "Metadata_NPZSource",
        *metadata,
        *_LOCATIONS[: locations.shape[1]],
        *(f"{label}_{number}" for number in range(1, features.shape[1] + 1)),
    ]
    positions = {name: position for position, name in enumerate(names)}
    rows = [
        Row(positions, [path.name, *_of_row(metadata, row), *locations[row].tolist(), *features[row].tolist()])
        for row in range(len(features))
    ]
    return WholeTable(rows, Notation(keeps_empty=True))


def _of_row(metadata: Mapping[str, Any], row: int) -> list[Raw]:
    return [value[row] if isinstance(value, list) else value for value in metadata.values()]


def _metadata(archive: zipfile.ZipFile, rows: int) -> Mapping[str, Any]:
    """Return the metadata: a value, or a list of one for each row, by name."""
    with archive.open("metadata.npy") as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        read(member)
        content = member.read()
    for opcode, argument, _ in pickletools.genops(content):
        # The unpickler makes room for as many objects as the largest of their numbers.
        if "PUT" in opcode.name and isinstance(argument, int) and argument > len(content):
            raise pickle.UnpicklingError(f"object {argument} of a pickle of {len(content)} bytes")
    (dictionary,) = _values(_Unpickler(io.BytesIO(content)).load())
    found = {str(_plain(key)): _plain(value) for key, value in dictionary.items()}
    if any(isinstance(value, list) and len(value) != rows for value in found.values()):
        raise ValueError("metadata have another number of values than there are objects")
    return found


class _Call:
    """A call that a pickle asks for, which is not made: the function's name, its arguments, and the state after it."""

    def __init__(self, name: str, *arguments: Any) -> None:
        self.name, self.arguments = name, arguments
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., _Call]:
        if name not in _CALLS or _MODULES.fullmatch(module) is None:
            raise pickle.UnpicklingError(f"it wants {module}.{name}")
        return partial(_Call, name)


def _plain(value: Any) -> Any:
    """Return a plain value, or a list of them. NaN is None, and bytes are text."""
    match value:
        case _Call():
            return _of_call(value)
        case list():
            return [_plain(item) for item in value]
        case bytes():
            return value.decode()
        case float():
            return None if math.isnan(value) else value
        case None | str() | int():
            return value
    raise ValueError(f"a {type(value).__name__} in metadata is no plain value")


def _of_call(call: _Call) -> Any:
    match call:
        case _Call(name="encode" | "bytes"):
            return _plain(_bytes(call))
        case _Call(name="scalar", arguments=(dtype, raw)):
            return _plain(_items(dtype, raw)[0])
        case _Call(name="_reconstruct", state=(_, shape, _, _, _)) | _Call(arguments=(_, _, shape, _)):
            values = [_plain(item) for item in _values(call)]
            return values if shape else values[0]
    raise ValueError(f"{call.name} in metadata is no plain value")


def _values(array: Any) -> Sequence[Any]:
    """Return the values of an array of at most one dimension."""
    match array:
        case _Call(name="_reconstruct", state=(_, _, dtype, _, raw)):
            return raw if isinstance(raw, list) else _items(dtype, raw)
        case _Call(name="_frombuffer", arguments=(raw, dtype, _, _)):
            return _items(dtype, raw)
    raise ValueError("metadata are no array")


def _items(dtype: Any, raw: Any) -> Sequence[Any]:
    """Return the values in the bytes of an array of numbers or text."""
    code, order, content = str(dtype.arguments[0]), str(dtype.state[1]), _bytes(raw)
    text = _TEXTS.fullmatch(code)
    if text is None and _NUMBERS.fullmatch(code):
        numbers: list[Any] = np.frombuffer(content, np.dtype(order.replace("|", "<") + code)).tolist()
        return numbers
    if text is None:
        raise ValueError(f"metadata have values of the type {code[:20]}")
    length = int(text["length"])
    if text["kind"] == "S":
        return [content[start : start + length].rstrip(b"\0") for start in range(0, len(content), length)]
    characters = content.decode("utf-32-be" if order == ">" else "utf-32-le")
    return [characters[start : start + length].rstrip("\0") for start in range(0, len(characters), length)]


def _bytes(raw: Any) -> bytes:
    match raw:
        case bytes() | bytearray():
            return bytes(raw)
        case _Call(name="encode", arguments=(str() as text, "latin1")):
            return text.encode("latin1")
        case _Call(name="bytes", arguments=()):
            return b""
    raise ValueError("there are no bytes where some should be")
