"""NPZ files by the second reader: right arrays are rows, and a pickle runs nothing."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cytobatch.pipeline.verification.arrays import read_arrays
from cytobatch.pipeline.verification.tables import UnreadableTableError
from tests.support.plates import npz_members, write_npz


def metadata_of(path: Path, **metadata: Any) -> dict[str, Any]:
    (first, *_) = read_arrays(write_npz(path, npz_members(2, 1, **metadata))).rows
    return {name: first.get(name) for name in metadata}


def test_metadata_are_plain_values(tmp_path: Path) -> None:
    given = {
        "Text": "ü",
        "None": None,
        "Truth": True,
        "Number": np.int32(-7),
        "Half": np.float32(0.5),
        "Bytes": b"bytes",
        "Array": np.array([3, 4]),
        "Big": np.array([3, 4], ">i2"),
        "Words": np.array(["first", "second"]),
        "Objects": np.array(["x", None], dtype=object),
        "Zero": np.array("zero"),
        "Empty": "",
    }
    found = metadata_of(tmp_path / "a.npz", **given)
    plain = {"Number": -7, "Half": 0.5, "Bytes": "bytes", "Array": 3, "Big": 3, "Words": "first", "Objects": "x"}
    assert found == given | plain | {"Zero": "zero"}


def test_rows_have_name_location_and_features(tmp_path: Path) -> None:
    (_, second) = read_arrays(write_npz(tmp_path / "a.npz", npz_members(2, 2))).rows
    names = ("Metadata_NPZSource", "Location_Center_X", "Location_Center_Y", "net_1", "net_2")
    assert [second.get(name) for name in names] == ["a.npz", 2.0, 3.0, 0.25, 0.375]


class Harmful:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTableError, match="mkdir"):
        metadata_of(tmp_path / "a.npz", Harm=Harmful(str(tmp_path / "made")))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        pickle.dumps({"a": 1})[:-3],
        pickle.dumps([1]),
        b"\x80\x04Nr\xff\xff\xff\x7f.",  # object 2147483647 of the memo
        pickle.dumps(np.array({"a": np.array([1, 2, 3])}, dtype=object)),
        pickle.dumps(np.array({"a": {1, 2}}, dtype=object)),
        pickle.dumps(np.array({"a": np.datetime64(1, "D")}, dtype=object)),
    ],
)
def test_other_metadata_are_unreadable(metadata: bytes, tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    path = write_npz(tmp_path / "a.npz", {"features": np.zeros((2, 1))})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("metadata.npy", header.getvalue() + metadata)
    with pytest.raises(UnreadableTableError, match="is not readable as arrays"):
        read_arrays(path)


def test_a_file_that_is_cut_short_is_unreadable(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", npz_members(2, 2))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UnreadableTableError):
        read_arrays(path)
