import io
import os
import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.errors import InvalidTableError
from cytobatch.readers.npz import read as npz
from tests.support.examples import examples
from tests.support.paths import SHARED_DATA

SHARED = SHARED_DATA / "deepprofiler_npz"

FEATURES = np.arange(12, dtype=np.float32).reshape(4, 3) / 3
PLACES = np.asfortranarray(np.arange(8, dtype=np.float64).reshape(4, 2))
METADATA = {
    "Metadata_Plate": "SQ1",
    "Metadata_Site": 5,
    "Treatment": "",
    "Dose": 0.5,
    "Lost": float("nan"),
    "Control": True,
    "Metadata_Model": "efficientnet",
}
MEMBERS = {"features": FEATURES, "metadata": np.array(METADATA), "locations": PLACES}


def saved(tmp_path: Path, members: Mapping[str, Any], compressed: bool = True) -> Path:
    path = tmp_path / "A01_5.npz"
    (np.savez_compressed if compressed else np.savez)(path, **members)
    return path


def npy_of(pickled: bytes) -> bytes:
    """A member with a pickle in it, as NumPy writes object arrays."""
    member = io.BytesIO()
    npy.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": ()})
    return member.getvalue() + pickled


def npy_data(array: np.ndarray) -> bytes:
    member = io.BytesIO()
    npy.write_array(member, array, allow_pickle=False)
    return member.getvalue()


def zipped(tmp_path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = tmp_path / "A01_5.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def with_pickle(tmp_path: Path, pickled: bytes) -> Path:
    return zipped(tmp_path, {"features": npy_data(FEATURES), "metadata": npy_of(pickled)})


def with_metadata(tmp_path: Path, metadata: object, protocol: int = 4) -> Path:
    return with_pickle(tmp_path, pickle.dumps(np.array(metadata, dtype=object), protocol))


def table_of(path: Path, schema: pa.Schema | None = None) -> pa.Table:
    schema = npz.read_head(path).schema if schema is None else schema
    return pa.Table.from_batches(npz.stream(path, schema, []), schema)


def refused(path: Path) -> InvalidTableError:
    """The error with which both the head and the rows are refused."""
    with pytest.raises(InvalidTableError) as caught:
        npz.read_head(path)
    with pytest.raises(InvalidTableError):
        list(npz.stream(path, pa.schema([]), []))
    assert caught.value.where == path.name
    assert caught.value.remedy
    return caught.value


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real measurements are not beside the project")
def test_real_files_are_read_as_cytotable_reads_them() -> None:
    expected = pq.read_table(SHARED / "expected.parquet").drop_columns(["Metadata_TableNumber"])
    tables = [table_of(path) for path in sorted(SHARED.glob("source/*/*.npz"))]
    found = pa.concat_tables(tables)
    assert [table.num_rows for table in tables] == [158, 179]
    assert found.schema == expected.schema
    order = [("Metadata_NPZSource", "ascending"), ("Location_Center_X", "ascending"), ("efficientnet_1", "ascending")]
    assert found.sort_by(order).equals(expected.sort_by(order))


@pytest.mark.parametrize("compressed", [True, False])
def test_a_generated_file_has_all_its_columns(tmp_path: Path, compressed: bool) -> None:
    path = saved(tmp_path, MEMBERS, compressed)
    head = npz.read_head(path)
    assert (head.rows, head.features, head.members) == (4, 3, {"features", "metadata", "locations"})
    assert head.metadata == {**METADATA, "Lost": None}
    numbers = [(name, pa.float64()) for name in ("Location_Center_X", "Location_Center_Y")]
    assert head.schema == pa.schema(
        [
            *[("Metadata_NPZSource", pa.string()), ("Metadata_Plate", pa.string()), ("Metadata_Site", pa.int64())],
            *[("Treatment", pa.string()), ("Dose", pa.float64()), ("Lost", pa.null()), ("Control", pa.bool_())],
            *[("Metadata_Model", pa.string()), *numbers],
            *[(f"efficientnet_{number}", pa.float64()) for number in (1, 2, 3)],
        ]
    )
    found = table_of(path)
    assert found["Metadata_NPZSource"].to_pylist() == ["A01_5.npz"] * 4
    assert found["Treatment"].to_pylist() == [""] * 4
    assert found["Location_Center_Y"].to_pylist() == [1.0, 3.0, 5.0, 7.0]
    assert found["efficientnet_2"].to_pylist() == FEATURES[:, 1].astype(float).tolist()


def test_columns_come_as_they_are_wanted(tmp_path: Path) -> None:
    path = saved(tmp_path, MEMBERS)
    kinds = [("Lost", pa.string()), ("efficientnet_3", pa.float64()), ("Metadata_Site", pa.float64())]
    schema = pa.schema([*kinds, ("Dose", pa.string()), ("Metadata_Plate", pa.large_string())])
    (batch,) = npz.stream(path, schema, [])
    assert batch.schema == schema
    wanted = {"Lost": None, "efficientnet_3": float(FEATURES[3, 2]), "Metadata_Site": 5.0}
    assert batch.to_pylist()[3] == {**wanted, "Dose": "0.5", "Metadata_Plate": "SQ1"}


@pytest.mark.parametrize(
    ("field", "what"),
    [
        (("Metadata_Plate", pa.int64()), "column 'Metadata_Plate' cannot be int64"),
        (("Metadata_Site", pa.list_(pa.int64())), "column 'Metadata_Site' cannot be list<item: int64>"),
        (("Metadata_Well", pa.string()), "no column 'Metadata_Well'"),
    ],
)
def test_columns_that_cannot_be_had_are_refused(tmp_path: Path, field: tuple[str, pa.DataType], what: str) -> None:
    path = saved(tmp_path, MEMBERS)
    with pytest.raises(InvalidTableError) as caught:
        list(npz.stream(path, pa.schema([field]), []))
    assert caught.value.what == what


def test_columns_of_features_share_one_buffer(tmp_path: Path) -> None:
    (batch,) = npz.stream(
        saved(tmp_path, MEMBERS), pa.schema([(f"efficientnet_{n}", pa.float64()) for n in (1, 2)]), []
    )
    first, second = (column.buffers()[1].address for column in batch.columns)
    assert second - first == 4 * 8


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8", ">f8", "<i2", "|u1", "<i8", "<u8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_kind_of_number_is_widened_exactly(tmp_path: Path, kind: str, order: Any) -> None:
    features = np.array([[1, 2, 3], [40, 50, 60]], kind, order=order)
    found = table_of(saved(tmp_path, {"features": features}))
    assert [found[f"DP_{n}"].to_pylist() for n in (1, 2, 3)] == [[1.0, 40.0], [2.0, 50.0], [3.0, 60.0]]


def test_missing_and_infinite_features_stay_what_they_are(tmp_path: Path) -> None:
    found = table_of(saved(tmp_path, {"features": np.array([[np.nan], [-np.inf]], np.float16)}))
    assert [str(value) for value in found["DP_1"].to_pylist()] == ["nan", "-inf"]


def test_integers_that_a_double_cannot_hold_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"features": np.array([[2**53 + 1]])})
    with pytest.raises(InvalidTableError) as caught:
        table_of(path)
    assert caught.value.what == "features are too large"


def test_metadata_and_locations_may_be_absent(tmp_path: Path) -> None:
    head = npz.read_head(path := saved(tmp_path, {"features": FEATURES, "other": np.zeros(1)}))
    assert (head.members, head.metadata) == ({"features", "other"}, {})
    assert table_of(path).column_names == ["Metadata_NPZSource", "DP_1", "DP_2", "DP_3"]


@pytest.mark.parametrize(("rows", "features"), [(0, 3), (0, 0), (1, 1)])
def test_few_rows(tmp_path: Path, rows: int, features: int) -> None:
    members = {"features": np.zeros((rows, features), np.float32), "locations": np.zeros((rows, 2))}
    found = table_of(saved(tmp_path, {**members, "metadata": np.array(METADATA)}))
    assert (found.num_rows, found.num_columns) == (rows, 1 + len(METADATA) + 2 + features)


@pytest.mark.parametrize(
    ("model", "name"), [("vit", "vit_1"), (7, "7_1"), ("", "DP_1"), (None, "DP_1"), (float("nan"), "DP_1")]
)
def test_features_are_named_by_their_model(tmp_path: Path, model: object, name: str) -> None:
    assert name in npz.read_head(with_metadata(tmp_path, {"Metadata_Model": model})).schema.names


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
    found = npz.read_head(with_pickle(tmp_path, pickled)).metadata
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
    assert {key: found[key] for key in expected} == expected
    assert [type(found[key]) for key in expected] == [type(value) for value in expected.values()]
    lists = {key: value.to_pylist() for key, value in found.items() if key not in expected}
    assert lists == {
        "list": [1, None, 3, 4],
        "array": ["a", "b", "c", "d"],
        "big-endian": [1, 2, 3, 4],
        "big-endian text": ["ü", "b", "", "d"],
        "bytes array": ["a", "b", "c", "d"],
        "objects": ["a", None, "c", None],
        "floats": [1.0, 2.0, None, 4.0],
    }


def test_a_value_for_each_row_is_a_column(tmp_path: Path) -> None:
    found = table_of(with_metadata(tmp_path, {"Cell": [4, 3, 2, 1], "Metadata_Model": ["a", "b", "c", "d"]}))
    assert found.column_names[-1] == "DP_3"
    assert found["Cell"].to_pylist() == [4, 3, 2, 1]


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.sampled_from(
    ["'; DROP TABLE x;--", '"', "Ünïcode 🧫", "a\0b", "\n"]
)


@given(metadata=st.dictionaries(TEXT.map("k{}".format), TEXT | st.integers(-(2**63), 2**63 - 1) | st.none()))
@settings(deadline=None)
def test_any_text_passes_through(tmp_path_factory: pytest.TempPathFactory, metadata: dict[str, object]) -> None:
    path = saved(tmp_path_factory.mktemp("text"), {"features": FEATURES, "metadata": np.array(metadata, object)})
    assert npz.read_head(path).metadata == metadata
    (batch,) = npz.stream(path, npz.read_head(path).schema, [])
    assert {key: batch[key][3].as_py() for key in metadata} == metadata


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
def test_metadata_that_is_no_plain_value_is_refused(tmp_path: Path, metadata: object, what: str) -> None:
    assert refused(with_metadata(tmp_path, metadata)).what == what


@pytest.mark.parametrize("key", ["Metadata_NPZSource", "Location_Center_X", "efficientnet_3"])
def test_metadata_that_repeats_a_column_is_refused(tmp_path: Path, key: str) -> None:
    error = refused(saved(tmp_path, {**MEMBERS, "metadata": np.array({**METADATA, key: 1})}))
    assert (error.what, repr(key) in error.why) == ("duplicate columns", True)


class Calls:
    """Pickles as a call of a function."""

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
        # NumPy reads beyond this list, and takes these bytes for an address: both end the interpreter.
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
def test_a_numpy_value_that_lies_is_refused(tmp_path: Path, encoded: bytes, raw: bytes) -> None:
    kind = b"cnumpy\ndtype\n(" + encoded + b"I00\nI01\ntR(I3\nX\x01\x00\x00\x00<NNNI-1\nI-1\nI0\ntb"
    value = b"cnumpy._core.multiarray\nscalar\n(" + kind + raw + b"tR"
    pickled = ARRAY + b"(I1\n)" + OBJECT + b"I63\ntbI00\n](dV Key\n".replace(b" ", b"") + value + b"satb."
    assert refused(with_pickle(tmp_path, pickled)).what == "metadata 'Key' is no plain value"


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"metadata": np.array({}), "locations": PLACES}, "no features"),
        ({"features": FEATURES[0]}, "features are no table of numbers"),
        ({"features": FEATURES.reshape(2, 2, 3)}, "features are no table of numbers"),
        ({"features": FEATURES.astype(str)}, "features are no table of numbers"),
        ({"features": FEATURES.astype(complex)}, "features are no table of numbers"),
        ({"features": FEATURES.astype(object)}, "features are no table of numbers"),
        ({"features": FEATURES > 1}, "features are no table of numbers"),
        ({"features": np.zeros(2, [("a", "f4")])}, "features are no table of numbers"),
        ({"features": np.zeros((2, 0))}, "features cannot be columns"),
        ({"features": np.zeros((0, 10**9), np.int8)}, "features cannot be columns"),
        ({"features": FEATURES, "locations": PLACES[:3]}, "locations do not fit the features"),
        ({"features": FEATURES, "locations": PLACES.T}, "locations do not fit the features"),
        ({"features": FEATURES, "locations": PLACES[:, 0]}, "locations are no table of numbers"),
        ({"features": FEATURES, "metadata": np.zeros(3)}, "metadata is no dictionary"),
    ],
)
def test_members_of_other_shapes_and_types_are_refused(tmp_path: Path, members: Mapping[str, Any], what: str) -> None:
    assert refused(saved(tmp_path, members)).what == what


def test_a_mismatch_of_rows_tells_both_numbers(tmp_path: Path) -> None:
    error = refused(saved(tmp_path, {"features": FEATURES, "locations": PLACES[:3]}))
    assert error.why == "locations are 3 x 2 where features have 4 rows"


def lying(shape: tuple[int, ...], data: bytes) -> bytes:
    member = io.BytesIO()
    npy.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return member.getvalue() + data


@pytest.mark.parametrize(
    ("member", "what"),
    [
        (lying((10**12, 10**4), b"\0" * 8), "features are not whole"),
        (lying((2, 2), b"\0" * 15), "features are not whole"),
        (lying((2, 2), b"\0" * 17), "features are not whole"),
        (lying((-2, -2), b"\0" * 16), "features are no table of numbers"),
        (b"", "features cannot be read as NPY"),
        (b"\x93NUMPY\x01\x00", "features cannot be read as NPY"),
        (b"\x93NUMPY\x07\x00\x10\x00" + b" " * 16, "features cannot be read as NPY"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 20_000, "features cannot be read as NPY"),
        (b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000, "features cannot be read as NPY"),
        (b"\x93NUMPY\x01\x00\x10\x27" + b"-" * 9_999 + b"1", "features cannot be read as NPY"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': ()    ", "features cannot be read as NPY"),
        (b"GARBAGE" * 100, "features cannot be read as NPY"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, member: bytes, what: str) -> None:
    assert refused(zipped(tmp_path, {"features": member})).what == what


def test_metadata_of_an_unlikely_size_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, {"features": npy_data(FEATURES), "metadata": bytes(64 * 2**20 + 1)})
    assert refused(path).what == "metadata is too large"


@pytest.mark.parametrize("content", [b"PK", b"not a zip archive at all" * 9, b"\x93NUMPY\x01\x00"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "A01_5.npz"
    path.write_bytes(content)
    assert refused(path).what == "cut short or no NPZ archive"
    path.write_bytes(b"")
    assert refused(path).what == "empty file"
    with zipfile.ZipFile(path, "w"):
        pass
    assert refused(path).what == "no features"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("features.npy", "features.npy"), ("features.npy", "features")])
def test_duplicate_members_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    path = tmp_path / "A01_5.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, npy_data(FEATURES))
    assert refused(path).what == "duplicate members"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(tmp_path: Path, method: int) -> None:
    path = zipped(tmp_path, {"features": npy_data(FEATURES)}, method)
    assert refused(path).what == "encrypted, or compressed as NumPy never does"


def directory_field(path: Path, offset: int, value: int, entry: int = 0) -> None:
    """Overwrites two bytes of an entry of an archive's directory."""
    content = bytearray(path.read_bytes())
    starts = [found.start() for found in re.finditer(b"PK\x01\x02", content)]
    struct.pack_into("<H", content, starts[entry] + offset, value)
    path.write_bytes(content)


@pytest.mark.parametrize("flags", [1, 32, 64])
def test_encrypted_members_are_refused(tmp_path: Path, flags: int) -> None:
    path = saved(tmp_path, MEMBERS)
    directory_field(path, 8, flags)
    assert refused(path).what == "encrypted, or compressed as NumPy never does"


def test_damaged_data_is_refused_with_its_rows(tmp_path: Path) -> None:
    features = np.arange(4000.0).reshape(40, 100)
    path = zipped(tmp_path, {"features": npy_data(features)}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(features.tobytes(), features[::-1].tobytes()))
    schema = npz.read_head(path).schema
    with pytest.raises(InvalidTableError) as caught:
        list(npz.stream(path, schema, []))
    assert caught.value.what == "damaged"


@pytest.mark.parametrize(("entry", "length"), [(0, 58), (0, 117), (1, 59)])
def test_a_directory_that_swallows_members_is_refused(tmp_path: Path, entry: int, length: int) -> None:
    path = saved(tmp_path, MEMBERS)
    # The next entries become the comment of this one, which zipfile does not notice.
    directory_field(path, 32, length, entry)
    assert refused(path).what == "damaged"


def outcome(path: Path) -> pa.Table | None:
    """The rows of a file, or nothing if it is refused. Anything else is a fault."""
    try:
        return table_of(path)
    except InvalidTableError:
        return None


@pytest.fixture(scope="module", params=[True, False], ids=["compressed", "stored"])
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("sound"), MEMBERS, request.param)


def changed(sound: Path, content: bytes) -> Path:
    """Another file of the same name, as the name is a column."""
    folder = sound.parent / "changed"
    folder.mkdir(exist_ok=True)
    path = folder / sound.name
    path.write_bytes(content)
    return path


@given(at=st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_a_file_cut_anywhere_is_refused(sound: Path, at: float) -> None:
    content = sound.read_bytes()
    refused(changed(sound, content[: int(at * len(content))]))


@given(at=st.floats(0, 1, exclude_max=True), by=st.integers(1, 255))
@settings(deadline=None, max_examples=examples(400))
def test_a_file_with_a_byte_changed_anywhere_is_refused_or_right(sound: Path, at: float, by: int) -> None:
    content = bytearray(sound.read_bytes())
    content[int(at * len(content))] ^= by
    found = outcome(changed(sound, content))
    assert found is None or found.equals(table_of(sound))


@given(at=st.floats(0, 1, exclude_max=True), by=st.integers(1, 255))
@settings(deadline=None, max_examples=examples(400))
def test_a_pickle_with_a_byte_changed_anywhere_is_refused_or_plain(
    tmp_path_factory: pytest.TempPathFactory, at: float, by: int
) -> None:
    metadata = {**METADATA, "Score": np.float32(1), "Cell": np.arange(4), "Name": np.array(list("abcd"))}
    pickled = bytearray(pickle.dumps(np.array(metadata, dtype=object), 3))
    pickled[int(at * len(pickled))] ^= by
    found = outcome(with_pickle(tmp_path_factory.mktemp("pickle"), bytes(pickled)))
    assert found is None or found.num_rows == 4
