"""Pickled dictionaries of plain values and of NumPy's, as in object arrays, which are read without running anything.

NumPy's own objects are not unpickled: they believe the lengths and flags that a pickle tells, read beyond a list's end
and take bytes for addresses. Stand-ins note what a pickle asks for; that is checked, and the values made, afterwards.
"""

import io
import math
import pickle
import pickletools
import re
import reprlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

Scalar = str | int | float | bool | None

_PLAIN_TYPE = re.compile("[biufSU][0-9]{1,9}")
_NAMES = frozenset(
    [("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"), ("__builtin__", "bytes")]
    + [(f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")]
    + [(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")]
)
_NO_PICKLE = (
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
    """A pickle that cannot be read, or holds more than plain values: what it is or does, and why that is said."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what, self.why = what, why


def in_short(error: BaseException) -> str:
    """What an error tells, in one line."""
    return str(error).partition("\n")[0][:200] or type(error).__name__


def read_dictionary(data: bytes, rows: int) -> dict[str, Scalar | pa.Array]:
    """The dictionary in a pickled object array without dimensions: scalars, and columns with a value for each row.

    Missing values are None, bytes are text. Raises NotPlainError for anything else, and for whatever names code.
    """
    try:
        shape, _, items = _array_parts(_noted(data))
    except _NO_PICKLE as error:
        raise NotPlainError("cannot be unpickled", in_short(error)) from error
    if shape != () or not (isinstance(items, list) and len(items) == 1 and isinstance(items[0], dict)):
        raise NotPlainError("is no dictionary", "it should be an array without dimensions that holds one")
    return dict(_entry(key, value, rows) for key, value in items[0].items())


@dataclass(slots=True, eq=False, repr=False)
class _Made:
    """Stands for an object: what it was to be made by, of what, and the state it was given."""

    name: str
    arguments: tuple[object, ...]
    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, slots=True)
class _Named:
    """Stands for a function or a class that a pickle names. Each is a new one, as a pickle can change what it names."""

    name: str

    def __call__(self, *arguments: object) -> _Made:
        return _Made(self.name, arguments)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            # An OrderedDict has attributes, with which a pickle could replace its methods.
            return dict
        if (module, name) in _NAMES:
            return _Named(name)
        wanted = reprlib.repr(f"{module}.{name}")
        raise NotPlainError("holds code", f"it wants {wanted}, which is neither a NumPy array nor a plain value")


def _noted(data: bytes) -> object:
    for opcode, argument, _ in pickletools.genops(data):
        # The unpickler's memo becomes twice as long as the highest number that it is given.
        if opcode.name.endswith("PUT") and isinstance(argument, int) and argument > len(data):
            raise pickle.UnpicklingError(f"it numbers an object {argument}")
    return _Unpickler(io.BytesIO(data)).load()


def _entry(key: object, value: object, rows: int) -> tuple[str, Scalar | pa.Array]:
    try:
        name = _plain(key)
        if not isinstance(name, str):
            raise ValueError("its name is no text")
        return name, _value(value, rows)
    except (ValueError, TypeError, OverflowError) as error:
        raise NotPlainError(f"{_shown(key)} is no plain value", in_short(error)) from error


def _shown(key: object) -> str:
    return repr(key) if isinstance(key, str) else reprlib.repr(key)


def _value(value: object, rows: int) -> Scalar | pa.Array:
    """A scalar, or a column with a value for each row. Raises ValueError or TypeError for anything else."""
    if isinstance(value, _Made) and value.name in ("_reconstruct", "_frombuffer"):
        value = _array(value, rows)
    if not isinstance(value, list):
        return _plain(value)
    if len(value) != rows:
        raise ValueError(f"it has {len(value)} values for {rows} rows")
    return pa.array([_plain(item) for item in value])


def _plain(value: object) -> Scalar:
    match value:
        case _Made("scalar", (dtype, raw)):
            (value,) = _values(1, dtype, raw)
        case _Made():
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


def _array(made: _Made, rows: int) -> object:
    """The value of an array without dimensions, or the list of one with a value for each row."""
    shape, dtype, raw = _array_parts(made)
    if shape not in ((), (rows,)):
        raise ValueError(f"it is an array of another shape than ({rows},)")
    count = rows if shape else 1
    items = raw if isinstance(raw, list) else _values(count, dtype, raw)
    if len(items) != count:
        raise ValueError(f"it has {len(items)} values where its shape tells {count}")
    return items if shape else _plain(items[0])


def _array_parts(made: object) -> tuple[object, object, object]:
    """Shape, type and content of an array. An array of one dimension has no order worth telling."""
    match made:
        case _Made("_frombuffer", (raw, dtype, shape, _)):
            return shape, dtype, raw
        case _Made("_reconstruct", (_Named("ndarray"), (0,), code), (_, shape, dtype, _, raw)) if _bytes(code) == b"b":
            return shape, dtype, raw
    raise ValueError("there is no NumPy array where one should be")


def _values(count: int, dtype: object, raw: object) -> list[object]:
    match dtype:
        case _Made("dtype", (str() as code, *_), (_, "<" | ">" | "|" as order, *_)) if _PLAIN_TYPE.fullmatch(code):
            kind = np.dtype(order + code)
        case _:
            raise ValueError("it is of a type other than numbers, truth values and text")
    data = _bytes(raw)
    if len(data) != count * kind.itemsize:
        raise ValueError(f"it has {len(data)} bytes for {count} values")
    if kind.kind == "U":
        # NumPy fails on what is beyond Unicode with an error of the interpreter's own.
        data.decode("utf-32-be" if order == ">" else "utf-32-le")
    values: list[object] = np.ndarray((count,), kind, data).tolist()
    return values


def _bytes(raw: object) -> bytes:
    match raw:
        case bytes() | bytearray():
            return bytes(raw)
        case _Made("encode", (str() as text, "latin1")):
            return text.encode("latin1")
        case _Made("bytes", ()):
            return b""
    raise ValueError("there are no bytes where some should be")
