"""The columns of an NPZ file."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.errors import InvalidTableError
from cytobatch.readers.npz import read as npz
from tests.readers.npz.npz_files import (
    FEATURES,
    MEMBERS,
    METADATA,
    refused,
    saved,
    table_of,
    with_metadata,
)
from tests.support.paths import SHARED_DATA

SHARED = SHARED_DATA / "deepprofiler_npz"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real measurements are not beside the project")
def test_real_files_are_read_as_cytotable_reads_them() -> None:
    expected = pq.read_table(SHARED / "expected.parquet").drop_columns(["Metadata_TableNumber"])
    tables = [table_of(path) for path in sorted(SHARED.glob("source/*/*.npz"))]
    table = pa.concat_tables(tables)
    assert [table.num_rows for table in tables] == [158, 179]
    assert table.schema == expected.schema
    order = [("Metadata_NPZSource", "ascending"), ("Location_Center_X", "ascending"), ("efficientnet_1", "ascending")]
    assert table.sort_by(order).equals(expected.sort_by(order))


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
    table = table_of(path)
    assert table["Metadata_NPZSource"].to_pylist() == ["A01_5.npz"] * 4
    assert table["Treatment"].to_pylist() == [""] * 4
    assert table["Location_Center_Y"].to_pylist() == [1.0, 3.0, 5.0, 7.0]
    assert table["efficientnet_2"].to_pylist() == FEATURES[:, 1].astype(float).tolist()


def test_columns_come_in_the_order_and_types_of_the_schema(tmp_path: Path) -> None:
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
def test_columns_that_are_missing_or_do_not_fit_are_refused(
    tmp_path: Path, field: tuple[str, pa.DataType], what: str
) -> None:
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
    table = table_of(saved(tmp_path, {"features": features}))
    assert [table[f"DP_{n}"].to_pylist() for n in (1, 2, 3)] == [[1.0, 40.0], [2.0, 50.0], [3.0, 60.0]]


def test_missing_and_infinite_features_stay_as_they_are(tmp_path: Path) -> None:
    table = table_of(saved(tmp_path, {"features": np.array([[np.nan], [-np.inf]], np.float16)}))
    assert [str(value) for value in table["DP_1"].to_pylist()] == ["nan", "-inf"]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_signalling_nan_is_missing_without_a_warning(tmp_path: Path) -> None:
    features = np.frombuffer(b"\x01\x00\x80\x7f", "<f4").reshape(1, 1)
    assert [str(value) for value in table_of(saved(tmp_path, {"features": features}))["DP_1"].to_pylist()] == ["nan"]


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
    table = table_of(saved(tmp_path, {**members, "metadata": np.array(METADATA)}))
    assert (table.num_rows, table.num_columns) == (rows, 1 + len(METADATA) + 2 + features)


@pytest.mark.parametrize(
    ("model", "name"), [("vit", "vit_1"), (7, "7_1"), ("", "DP_1"), (None, "DP_1"), (float("nan"), "DP_1")]
)
def test_features_are_named_by_their_model(tmp_path: Path, model: object, name: str) -> None:
    assert name in npz.read_head(with_metadata(tmp_path, {"Metadata_Model": model})).schema.names


def test_a_value_for_each_row_is_a_column(tmp_path: Path) -> None:
    table = table_of(with_metadata(tmp_path, {"Cell": [4, 3, 2, 1], "Metadata_Model": ["a", "b", "c", "d"]}))
    assert table.column_names[-1] == "DP_3"
    assert table["Cell"].to_pylist() == [4, 3, 2, 1]


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


@pytest.mark.parametrize("key", ["Metadata_NPZSource", "Location_Center_X", "efficientnet_3"])
def test_metadata_that_repeats_a_column_is_refused(tmp_path: Path, key: str) -> None:
    error = refused(saved(tmp_path, {**MEMBERS, "metadata": np.array({**METADATA, key: 1})}))
    assert (error.what, repr(key) in error.why) == ("duplicate columns", True)
