"""Archives and headers that are damaged, wrong or unusual are refused."""

import gc
import io
import re
import struct
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.errors import InvalidTableError
from cytobatch.readers.npz import read as npz
from tests.readers.npz.npz_files import (
    FEATURES,
    LOCATIONS,
    MEMBERS,
    npy_data,
    outcome,
    refused,
    saved,
    table_of,
    zipped,
)
from tests.support.examples import examples


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"metadata": np.array({}), "locations": LOCATIONS}, "no features"),
        ({"features": FEATURES[0]}, "features are no table of numbers"),
        ({"features": FEATURES.reshape(2, 2, 3)}, "features are no table of numbers"),
        ({"features": FEATURES.astype(str)}, "features are no table of numbers"),
        ({"features": FEATURES.astype(complex)}, "features are no table of numbers"),
        ({"features": FEATURES.astype(object)}, "features are no table of numbers"),
        ({"features": FEATURES > 1}, "features are no table of numbers"),
        ({"features": np.zeros(2, [("a", "f4")])}, "features are no table of numbers"),
        ({"features": np.zeros((2, 0))}, "features cannot be columns"),
        ({"features": np.zeros((0, 10**9), np.int8)}, "features cannot be columns"),
        ({"features": FEATURES, "locations": LOCATIONS[:3]}, "locations do not fit the features"),
        ({"features": FEATURES, "locations": LOCATIONS.T}, "locations do not fit the features"),
        ({"features": FEATURES, "locations": LOCATIONS[:, 0]}, "locations are no table of numbers"),
        ({"features": FEATURES, "metadata": np.zeros(3)}, "metadata is no dictionary"),
    ],
)
def test_members_of_other_shapes_and_types_are_refused(tmp_path: Path, members: Mapping[str, Any], what: str) -> None:
    assert refused(saved(tmp_path, members)).what == what


def test_the_error_for_a_mismatch_of_rows_has_both_numbers(tmp_path: Path) -> None:
    error = refused(saved(tmp_path, {"features": FEATURES, "locations": LOCATIONS[:3]}))
    assert error.why == "locations are 3 x 2 where features have 4 rows"


def member_with_header(shape: tuple[int, ...], data: bytes) -> bytes:
    member = io.BytesIO()
    npy.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return member.getvalue() + data


@pytest.mark.parametrize(
    ("member", "what"),
    [
        (member_with_header((10**12, 10**4), b"\0" * 8), "features are not whole"),
        (member_with_header((2, 2), b"\0" * 15), "features are not whole"),
        (member_with_header((2, 2), b"\0" * 17), "features are not whole"),
        (member_with_header((-2, -2), b"\0" * 16), "features are no table of numbers"),
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
def test_headers_that_are_false_or_invalid_are_refused(tmp_path: Path, member: bytes, what: str) -> None:
    assert refused(zipped(tmp_path, {"features": member})).what == what


def test_metadata_of_an_unlikely_size_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, {"features": npy_data(FEATURES), "metadata": bytes(64 * 2**20 + 1)})
    assert refused(path).what == "metadata is too large"


@pytest.mark.parametrize("content", [b"PK", b"not a zip archive at all" * 9, b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_not_an_archive_is_refused(tmp_path: Path, content: bytes) -> None:
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
    """Overwrite two bytes of an entry of an archive's directory."""
    content = bytearray(path.read_bytes())
    starts = [entry_start.start() for entry_start in re.finditer(b"PK\x01\x02", content)]
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
def test_a_directory_that_omits_members_is_refused(tmp_path: Path, entry: int, length: int) -> None:
    path = saved(tmp_path, MEMBERS)
    # The next entries become the comment of this one, which zipfile does not detect.
    directory_field(path, 32, length, entry)
    assert refused(path).what == "damaged"


@pytest.fixture(scope="module", params=[True, False], ids=["compressed", "stored"])
def valid(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("valid"), MEMBERS, request.param)


def changed(valid: Path, content: bytes) -> Path:
    """Write another file of the same name, because the name is a column."""
    folder = valid.parent / "changed"
    folder.mkdir(exist_ok=True)
    path = folder / valid.name
    path.write_bytes(content)
    return path


@given(at=st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_a_file_cut_anywhere_is_refused(valid: Path, at: float) -> None:
    content = valid.read_bytes()
    refused(changed(valid, content[: int(at * len(content))]))


@pytest.mark.slow
@given(at=st.floats(0, 1, exclude_max=True), by=st.integers(1, 255))
@settings(deadline=None, max_examples=examples(400))
def test_a_file_with_a_byte_changed_anywhere_is_refused_or_right(valid: Path, at: float, by: int) -> None:
    content = bytearray(valid.read_bytes())
    content[int(at * len(content))] ^= by
    table = outcome(changed(valid, content))
    assert table is None or table.equals(table_of(valid))


@pytest.fixture
def switching_collections() -> Iterator[None]:
    """The collector runs after each few allocations, also while a header is parsed, and lets other threads run.

    The finalizers of files, sockets and Arrow's buffers do so, too.
    """

    def let_others_run(_phase: str, _info: Mapping[str, int]) -> None:
        time.sleep(0)

    earlier = gc.get_threshold()
    gc.set_threshold(25, 1_000_000, 1_000_000)
    gc.callbacks.append(let_others_run)
    yield
    gc.callbacks.remove(let_others_run)
    gc.set_threshold(*earlier)


def _at_depth(depth: int, function: Callable[[], int]) -> int:
    return _at_depth(depth - 1, function) if depth else function()


@pytest.mark.usefixtures("switching_collections")
def test_threads_read_headers_at_once(tmp_path: Path) -> None:
    path = saved(tmp_path, MEMBERS, compressed=False)

    def read(depth: int) -> set[int]:
        return {_at_depth(depth, lambda: npz.read_head(path).rows) for _ in range(100)}

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(read, (0, 7, 14, 21))) == [{4}] * 4
