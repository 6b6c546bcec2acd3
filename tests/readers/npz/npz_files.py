"""NPZ files as DeepProfiler writes them, and others that are damaged or hostile."""

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy
import pyarrow as pa
import pytest

from cytobatch.errors import InvalidTableError
from cytobatch.readers.npz import read as npz

FEATURES = np.arange(12, dtype=np.float32).reshape(4, 3) / 3
LOCATIONS = np.asfortranarray(np.arange(8, dtype=np.float64).reshape(4, 2))
METADATA = {
    "Metadata_Plate": "SQ1",
    "Metadata_Site": 5,
    "Treatment": "",
    "Dose": 0.5,
    "Lost": float("nan"),
    "Control": True,
    "Metadata_Model": "efficientnet",
}
MEMBERS = {"features": FEATURES, "metadata": np.array(METADATA), "locations": LOCATIONS}


def saved(tmp_path: Path, members: Mapping[str, Any], compressed: bool = True) -> Path:
    path = tmp_path / "A01_5.npz"
    (np.savez_compressed if compressed else np.savez)(path, **members)
    return path


def npy_of(pickled: bytes) -> bytes:
    """Return a member with a pickle in it, as NumPy writes object arrays."""
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
    """Return the error that reading the head raises; reading the rows raises one, too."""
    with pytest.raises(InvalidTableError) as caught:
        npz.read_head(path)
    with pytest.raises(InvalidTableError):
        list(npz.stream(path, pa.schema([]), []))
    assert caught.value.where == path.name
    assert caught.value.remedy
    return caught.value


def outcome(path: Path) -> pa.Table | None:
    """Return the rows of a file, or None if it is refused. Any other error fails the test."""
    try:
        return table_of(path)
    except InvalidTableError:
        return None
