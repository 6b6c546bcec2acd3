"""Metadata in a pickle: plain values are read in every protocol, and everything else is refused without running it."""

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.readers.npz import read as npz
from tests.readers.npz.npz_files import (
    METADATA,
    outcome,
    refused,
    with_metadata,
    with_pickle,
)
from tests.support.examples import examples


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
@pytest.mark.parametrize("core", [b"numpy._core", b"numpy.core"])
def test_values_of_numpy_1_and_2_in_every_protocol(tmp_path: Path, protocol: int, core: bytes) -> None:
    values = {
        "text": np.str_("Zürich"),
        "none": np.str_(""),
        "bytes": "é".encode(),
        "numpy bytes": np.bytes_(b"x"),
        "float": np.float32(0.5),
        "nan": np.float64("nan"),
        "bool": np.bool_(True),
        "int": np.uint8(7),
        "zero-d": np.array(2.5),
        "zero-d text": np.array("a"),
        "zero-d object": np.array(None),
        "no bytes": b"",
        np.str_("numpy key"): -3,
    }
    columns = {
        "list": [1, None, 3, 4],
        "array": np.array(list("abcd")),
        "big-endian": np.array([1, 2, 3, 4], ">u2"),
        "big-endian text": np.array(["ü", "b", "", "d"], ">U2"),
        "bytes array": np.array([b"a", b"b", b"c", b"d"]),
        "objects": np.array(["a", float("nan"), np.str_("c"), None], object),
        "floats": np.array([1, 2, np.nan, 4]),
    }
    pickled = pickle.dumps(np.array(OrderedDict({**values, **columns}), dtype=object), protocol)
    if protocol >= 4:
        # Names have a length of one byte here, and frames an eight-byte one, which is left out.
        pickled = pickled[:2] + pickled[11:] if pickled[2:3] == b"\x95" else pickled
        for module in (b"multiarray", b"numeric"):
            old, new = b"numpy._core." + module, core + b"." + module
            pickled = pickled.replace(b"\x8c" + bytes([len(old)]) + old, b"\x8c" + bytes([len(new)]) + new)
    else:
        pickled = pickled.replace(b"numpy._core", core)
    assert core in pickled
    metadata = npz.read_head(with_pickle(tmp_path, pickled)).metadata
    expected = {
        "text": "Zürich",
        "none": "",
        "bytes": "é",
        "numpy bytes": "x",
        "float": 0.5,
        "nan": None,
        "bool": True,
        "int": 7,
        "zero-d": 2.5,
        "zero-d text": "a",
        "zero-d object": None,
        "no bytes": "",
        "numpy key": -3,
    }
    assert {key: metadata[key] for key in expected} == expected
    assert [type(metadata[key]) for key in expected] == [type(value) for value in expected.values()]
    lists = {key: value.to_pylist() for key, value in metadata.items() if key not in expected}
    assert lists == {
        "list": [1, None, 3, 4],
        "array": ["a", "b", "c", "d"],
        "big-endian": [1, 2, 3, 4],
        "big-endian text": ["ü", "b", "", "d"],
        "bytes array": ["a", "b", "c", "d"],
        "objects": ["a", None, "c", None],
        "floats": [1.0, 2.0, None, 4.0],
    }


@pytest.mark.parametrize(
    ("metadata", "what"),
    [
        ({"Wells": {"A": 1}}, "metadata 'Wells' is no plain value"),
        ({"Rows": [1, 2, 3]}, "metadata 'Rows' is no plain value"),
        ({"Rows": [[1], [2], [3], [4]]}, "metadata 'Rows' is no plain value"),
        ({"Rows": [1, "a", 2, 3]}, "metadata 'Rows' is no plain value"),
        ({"Matrix": np.zeros((4, 2))}, "metadata 'Matrix' is no plain value"),
        ({"Short": np.zeros(3)}, "metadata 'Short' is no plain value"),
        ({"Day": np.datetime64("2020-01-01")}, "metadata 'Day' is no plain value"),
        ({"Wave": np.complex128(1)}, "metadata 'Wave' is no plain value"),
        ({"Nested": np.array([np.zeros(1), 1, 2, 3], dtype=object)}, "metadata 'Nested' is no plain value"),
        ({"Pair": (1, 2)}, "metadata 'Pair' is no plain value"),
        ({"Large": 2**63}, "metadata 'Large' is no plain value"),
        ({"Large": np.uint64(2**63)}, "metadata 'Large' is no plain value"),
        ({"Half": "\ud800"}, "metadata 'Half' is no plain value"),
        ({"Latin": b"\xff"}, "metadata 'Latin' is no plain value"),
        ({np.float32(1): 1}, "metadata <scalar> is no plain value"),
        ({5: 1}, "metadata 5 is no plain value"),
        ({("a", 1): 1}, "metadata ('a', 1) is no plain value"),
        ({"Set": {1}}, "metadata 'Set' is no plain value"),
        (["no", "dictionary"], "metadata is no dictionary"),
        ("text", "metadata is no dictionary"),
    ],
)
def test_metadata_that_is_not_a_plain_value_is_refused(tmp_path: Path, metadata: object, what: str) -> None:
    assert refused(with_metadata(tmp_path, metadata)).what == what


class Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
@pytest.mark.parametrize("within", [lambda evil: evil, lambda evil: {"Key": evil}, lambda evil: {"Key": [evil] * 4}])
@pytest.mark.parametrize(
    ("function", "argument", "name"),
    [
        (os.system, "touch {}", f"{os.name}.system"),
        (eval, "open({!r}, 'w').close()", "eval"),
        (exec, "open({!r}, 'w').close()", "exec"),
        (Path.touch, None, "getattr"),
        (np.memmap, "{}", "numpy.memmap"),
        (np.load, "{}", "numpy.load"),
    ],
)
def test_code_in_metadata_is_named_and_not_run(
    tmp_path: Path, protocol: int, within: Callable[[object], object], function: Any, argument: str | None, name: str
) -> None:
    marker = tmp_path / "marker"
    evil = Calls(function, Path(marker) if argument is None else argument.format(str(marker)))
    error = refused(with_metadata(tmp_path, within(evil), protocol))
    assert error.what == "metadata holds code"
    assert argument is None or name in error.why
    assert not marker.exists()


OBJECT = b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8I00\nI01\ntR(I3\nX\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
ARRAY = b"\x80\x03cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR"


@pytest.mark.parametrize(
    "subtype", [b"cposix\nsystem\n", b"cbuiltins\neval\n", b"cnumpy\nmemmap\n", b"cnumpy\nmatrix\n"]
)
def test_an_array_of_a_hostile_type_is_refused(tmp_path: Path, subtype: bytes) -> None:
    marker = str(tmp_path / "marker").encode()
    call = b"(V%s\ntC\x01btR." % marker
    error = refused(with_pickle(tmp_path, b"\x80\x03cnumpy._core.multiarray\n_reconstruct\n(" + subtype + call))
    assert error.what == "metadata holds code"
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "pickled",
    [
        # NumPy reads beyond this list, and takes these bytes for an address: both crash the interpreter.
        ARRAY + b"(I1\n(I100000\nt" + OBJECT + b"I63\ntbI00\n]tb.",
        ARRAY + b"(I1\n)" + OBJECT + b"I0\ntbI00\nC\x08AAAAAAAAtb.",
        b"\x80\x03cnumpy._core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntC\x01btR.",
        b"\x80\x03cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I99999999999\ntC\x01btR.",
        b"\x80\x03cnumpy._core.multiarray\n_reconstruct\n(Nd.",
        b"\x80\x03c_codecs\nencode\n(Vzip\nVzip\ntR.",
        b"\x80\x03cnumpy\ndtype\nN}V__class__\nNs\x86b.",
        b"\x80\x03ccollections\nOrderedDict\nN}V__init__\nNs\x86b.",
        ARRAY + b"(I1\n)" + OBJECT + b"I63\ntbI00\n]ccollections\nOrderedDict\n)R}Vitems\ncnumpy\ndtype\nsbatb.",
        # The unpickler would make a memo of 64 GiB.
        b"\x80\x03Nr\xff\xff\xff\xff.",
        b"\x80\x03Np99999999999999999999\n.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
        b"\x80\x02" + b"(" * 50_000 + b"t" * 50_000 + b".",
        b"\x80\x03Pid\n.",
        b"\x80\x05\x97.",
        b"\x82\x01.",
        b"\x80\x09N.",
        b"garbage",
        b"",
        b".",
    ],
)
def test_a_pickle_that_would_break_the_interpreter_is_refused(tmp_path: Path, pickled: bytes) -> None:
    assert refused(with_pickle(tmp_path, pickled)).what.startswith("metadata ")


@pytest.mark.parametrize(
    ("encoded", "raw"),
    [
        (b"X\x02\x00\x00\x00U1", b"C\x04\xff\xff\xff\xff"),
        (b"X\x0a\x00\x00\x00U999999999", b"C\x00"),
        (b"X\x05\x00\x00\x00i4,i4", b"C\x08AAAAAAAA"),
        (b"X\x02\x00\x00\x00O8", b"C\x08AAAAAAAA"),
        (b"X\x02\x00\x00\x00i9", b"C\x09AAAAAAAAA"),
        (b"X\x02\x00\x00\x00i8", b"C\x04AAAA"),
        (b"X\x02\x00\x00\x00f8", b"X\x08\x00\x00\x00AAAAAAAA"),
    ],
)
def test_a_numpy_value_with_a_false_type_or_size_is_refused(tmp_path: Path, encoded: bytes, raw: bytes) -> None:
    kind = b"cnumpy\ndtype\n(" + encoded + b"I00\nI01\ntR(I3\nX\x01\x00\x00\x00<NNNI-1\nI-1\nI0\ntb"
    value = b"cnumpy._core.multiarray\nscalar\n(" + kind + raw + b"tR"
    pickled = ARRAY + b"(I1\n)" + OBJECT + b"I63\ntbI00\n](dV Key\n".replace(b" ", b"") + value + b"satb."
    assert refused(with_pickle(tmp_path, pickled)).what == "metadata 'Key' is no plain value"


@pytest.mark.slow
@given(at=st.floats(0, 1, exclude_max=True), by=st.integers(1, 255))
@settings(deadline=None, max_examples=examples(400))
def test_a_pickle_with_a_byte_changed_anywhere_is_refused_or_plain(
    tmp_path_factory: pytest.TempPathFactory, at: float, by: int
) -> None:
    metadata = {**METADATA, "Score": np.float32(1), "Cell": np.arange(4), "Name": np.array(list("abcd"))}
    pickled = bytearray(pickle.dumps(np.array(metadata, dtype=object), 3))
    pickled[int(at * len(pickled))] ^= by
    table = outcome(with_pickle(tmp_path_factory.mktemp("pickle"), bytes(pickled)))
    assert table is None or table.num_rows == 4
