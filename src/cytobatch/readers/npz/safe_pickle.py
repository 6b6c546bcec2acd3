"""Pickled dictionaries of plain and NumPy values, as object arrays hold them, read without running any code.

NumPy's own objects are not unpickled: they trust the lengths and flags in a pickle, read beyond the end of a list, and
take bytes for addresses. Instead, stand-ins record the calls and states that a pickle asks for. These are checked
afterwards, and the values made of them.
"""

import io
import math
import pickle
import pickletools
import re
import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

Scalar = str | int | float | bool | None

_MOST_STEPS = 1_000_000
"""Opcodes of the largest pickle. Each value takes a few of them, and zeros are compressed to a thousandth."""
_MOST_KEYS, _MOST_VALUES = 10_000, 2_000_000
_MOST_TEXT = 32 * 2**20
"""Characters of text in a file's metadata once each row has them: one text may stand for each of many rows."""
_PLAIN_TYPE = re.compile("[biufSU][0-9]{1,9}")
# The only functions and classes that a pickle may name: those of arrays and NumPy's scalars, in NumPy 1 and 2.
_ALLOWED_NAMES = frozenset(
    [("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"), ("__builtin__", "bytes")]
    + [(f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")]
    + [(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")]
)
# What the unpickler and pickletools raise for bytes that are not a valid pickle.
_PICKLE_ERRORS = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
)


class NotPlainError(Exception):
    """A pickle cannot be read, or holds more than plain values: `what` completes a sentence on it."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what, self.why = what, why


def in_short(error: BaseException) -> str:
    """Return the message of an error in one line."""
    return str(error).partition("\n")[0][:200] or type(error).__name__


def read_dictionary(data: bytes, rows: int) -> dict[str, Scalar | pa.Array]:
    """Read the dictionary in a pickled object array without dimensions.

    Parameters
    ----------
    data
        The pickle.
    rows
        Number of values in each column.

    Returns
    -------
    A scalar, or a column, (rows,), for each key. Missing values are None, bytes are decoded as UTF-8.

    Raises
    ------
    NotPlainError
        If the bytes are not a pickle, name a function or class beyond NumPy's arrays and scalars, or hold anything but
        such a dictionary.
    """
    try:
        shape, _, items = _array_parts(_unpickle(data))
    except _PICKLE_ERRORS as error:
        raise NotPlainError("cannot be unpickled", in_short(error)) from error
    if shape != () or not (isinstance(items, list) and len(items) == 1 and isinstance(items[0], dict)):
        raise NotPlainError("is no dictionary", "it should be an array without dimensions that holds one")
    _check_size(items[0], rows)
    return dict(_entry(key, value, rows) for key, value in items[0].items())


def _check_size(items: dict[object, object], rows: int) -> None:
    """Raise NotPlainError if metadata become too large as columns: one object may be the value of many keys."""
    columns = sum(map(_is_column, items.values()))
    if len(items) > _MOST_KEYS or columns * rows > _MOST_VALUES:
        raise NotPlainError("has too many values", f"it has {len(items)} keys, {columns} of them with {rows} values")
    texts = sum(len(value) for value in items.values() if isinstance(value, str | bytes))
    if texts * rows > _MOST_TEXT and texts > _MOST_KEYS:
        raise NotPlainError("has too long texts", f"they have {texts} characters for each of {rows} rows")


def _is_column(value: object) -> bool:
    return isinstance(value, list | _RecordedCall)


@dataclass(slots=True, eq=False, repr=False)
class _RecordedCall:
    """Stands for the object that a call makes: the function's name, the arguments, and the state set afterwards."""

    name: str
    arguments: tuple[object, ...]
    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, slots=True)
class _RecordedName:
    """Stands for a function or class that a pickle names, a new object for each, because pickles can change them."""

    name: str

    def __call__(self, *arguments: object) -> _RecordedCall:
        return _RecordedCall(self.name, arguments)


class _RecordingUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            # An OrderedDict has attributes, with which a pickle could replace its methods.
            return dict
        if (module, name) in _ALLOWED_NAMES:
            return _RecordedName(name)
        wanted = reprlib.repr(f"{module}.{name}")
        raise NotPlainError("holds code", f"it wants {wanted}, which is neither a NumPy array nor a plain value")


def _unpickle(data: bytes) -> object:
    """Return plain values and recorded objects."""
    for step, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if step > _MOST_STEPS:
            raise pickle.UnpicklingError(f"it has more than {_MOST_STEPS} steps")
        # The unpickler's memo becomes twice as long as the highest number that it is given.
        if opcode.name.endswith("PUT") and isinstance(argument, int) and argument > len(data):
            raise pickle.UnpicklingError(f"it numbers an object {argument}")
    return _RecordingUnpickler(io.BytesIO(data)).load()


def _entry(key: object, value: object, rows: int) -> tuple[str, Scalar | pa.Array]:
    """Return the name and the value of an entry. Raises NotPlainError."""
    try:
        name = _scalar(key)
        if not isinstance(name, str):
            raise ValueError("its name is not text")
        return name, _scalar_or_column(value, rows)
    except (ValueError, TypeError, OverflowError) as error:
        raise NotPlainError(f"{_shown(key)} is no plain value", in_short(error)) from error


def _shown(key: object) -> str:
    return repr(key) if isinstance(key, str) else reprlib.repr(key)


def _scalar_or_column(value: object, rows: int) -> Scalar | pa.Array:
    """Return a scalar, or a column with a value for each row. Raises ValueError or TypeError for anything else."""
    if isinstance(value, _RecordedCall) and value.name in ("_reconstruct", "_frombuffer"):
        value = _array(value, rows)
    if not isinstance(value, list):
        return _scalar(value)
    if len(value) != rows:
        raise ValueError(f"it has {len(value)} values for {rows} rows")
    return pa.array([_scalar(item) for item in value])


def _scalar(value: object) -> Scalar:
    """Return a plain value: NaN as None, bytes as text. Raises ValueError for anything else."""
    match value:
        case _RecordedCall("scalar", (dtype, raw)):
            (value,) = _array_items(1, dtype, raw)
        case _RecordedCall():
            value = _bytes(value)
    match value:
        case bytes():
            return value.decode()
        case str():
            # A pickle can hold half of a surrogate pair, which Arrow cannot.
            value.encode()
            return value
        case float():
            return None if math.isnan(value) else value
        case None | bool():
            return value
        case int() if -(2**63) <= value < 2**63:
            return value
    raise ValueError(f"a {type(value).__name__} is neither text, nor a truth value, nor a number of 64 bits")


def _array(recorded: _RecordedCall, rows: int) -> object:
    """Return the value of an array without dimensions, or the list of an array with a value for each row."""
    shape, dtype, raw = _array_parts(recorded)
    if shape not in ((), (rows,)):
        raise ValueError(f"it is an array of another shape than ({rows},)")
    count = rows if shape else 1
    items = raw if isinstance(raw, list) else _array_items(count, dtype, raw)
    if len(items) != count:
        raise ValueError(f"it has {len(items)} values where its shape has {count}")
    return items if shape else _scalar(items[0])


def _array_parts(recorded: object) -> tuple[object, object, object]:
    """Return shape, type and content of an array. The order does not matter for one dimension. Raises ValueError."""
    match recorded:
        case _RecordedCall("_frombuffer", (raw, dtype, shape, _)):
            return shape, dtype, raw
        case _RecordedCall("_reconstruct", (_RecordedName("ndarray"), (0,), code), (_, shape, dtype, _, raw)):
            if _bytes(code) == b"b":
                return shape, dtype, raw
    raise ValueError("there is no NumPy array where one should be")


def _array_items(count: int, dtype: object, raw: object) -> list[object]:
    """Return the values in the bytes of an array. Raises ValueError if its type is not plain or its size is wrong."""
    plain_type, data = _plain_type(dtype), _bytes(raw)
    if len(data) != count * plain_type.itemsize:
        raise ValueError(f"it has {len(data)} bytes for {count} values")
    if plain_type.kind == "U":
        # NumPy fails on code points beyond Unicode with an error of the interpreter's own.
        data.decode("utf-32-be" if plain_type.str[0] == ">" else "utf-32-le")
    items: list[object] = np.ndarray((count,), plain_type, data).tolist()
    return items


def _plain_type(dtype: object) -> np.dtype[Any]:
    """Return the NumPy type that a recorded call of `dtype` makes. Raises ValueError if it is not plain."""
    match dtype:
        case _RecordedCall("dtype", (str() as code, *_), (_, "<" | ">" | "|" as order, *_)):
            if _PLAIN_TYPE.fullmatch(code):
                return np.dtype(order + code)
    raise ValueError("it is of a type other than numbers, truth values and text")


def _bytes(raw: object) -> bytes:
    """Return bytes in any form in which a pickle holds them. Raises ValueError for anything else."""
    match raw:
        case bytes() | bytearray():
            return bytes(raw)
        case _RecordedCall("encode", (str() as text, "latin1")):
            return text.encode("latin1")
        case _RecordedCall("bytes", ()):
            return b""
    raise ValueError("there are no bytes where some should be")
