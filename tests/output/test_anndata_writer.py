import datetime
import hashlib
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from pycytominer.cyto_utils.load import load_profiles

from cytobatch.config.option_types import AnnDataFormat, AnnDataPrecision
from cytobatch.errors import ConfigurationError, InternalError
from cytobatch.output.anndata_writer import open_anndata
from cytobatch.output.column_list import ColumnList, ColumnRole, OutputColumn
from cytobatch.output.sink import OutputSpec
from tests.support.examples import examples

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("error"),
    # anndata asks pandas 3.1 for an option that goes with pandas 4.
    pytest.mark.filterwarnings("ignore:The 'future.infer_string' option"),
]
both = pytest.mark.parametrize("kind", list(AnnDataFormat))
kinds = st.sampled_from(AnnDataFormat)
NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)

MIXED = pa.table(
    {
        "Metadata_Well": ["B02", "A10", None, "A10", "ü \"'"],
        "Cells_Area": [1.5, None, float("inf"), -0.0, 1e300],
        "whole": pa.array([3, 1, 2**53 + 1, -5, 0], pa.int64()),
        "holes": pa.array([3, None, 2**53 + 1, None, 0]),
        "small": pa.array([1, 2, 3, 4, None], pa.int16()),
        "Nuclei_Count": [1, 2, None, 4, 5],
        "yes": [True, False, True, True, False],
        "perhaps": [True, None, None, True, False],
        "double": [0.5, None, 2.5, 3.5, 4.5],
        "single": pa.array([0.5, None, 2.5, 3.5, 4.5], pa.float32()),
        "day": [datetime.date(2026, 1, 2), None, datetime.date(2025, 1, 2), None, None],
        "time": pa.array([datetime.datetime(2026, 1, 2, 3, 4), None, None, None, None], pa.timestamp("s")),
        "list": [[1, 2], None, [], None, None],
        "blob": [b"\xff", None, b"a", None, None],
        "coded": pa.array(["x", "y", None, "x", "x"]).dictionary_encode(),
        "nothing": pa.nulls(5),
        "empty": pa.nulls(5, pa.string()),
    }
)
FEATURES = ("Nuclei_Count", "Cells_Area")


def saved(
    folder: Path, kind: AnnDataFormat, table: pa.Table, features: Sequence[str], sizes: Sequence[int] = ()
) -> Path:
    """The table, written in pieces of these sizes and then the rest."""
    path = folder / f"a.{kind}"
    write(pieces(table, sizes), table.schema, features, table.num_rows, path, kind)
    return path


def write(
    tables: Iterable[pa.Table], schema: pa.Schema, features: Sequence[str], rows: int, path: Path, kind: AnnDataFormat
) -> None:
    """Write tables of `rows` rows together, one after the other."""
    with open_anndata(OutputSpec(path, schema, tuple(features), rows), kind) as writer:
        for table in tables:
            writer.write(table)
            del table


def pieces(table: pa.Table, sizes: Sequence[int]) -> Iterator[pa.Table]:
    for size in sizes:
        yield table.slice(0, size)
        table = table.slice(size)
    yield table


def loaded(path: Path) -> anndata.AnnData:
    return anndata.read_h5ad(path) if path.suffix == ".h5ad" else anndata.read_zarr(path)


def matrix(table: pa.Table, features: Sequence[str]) -> Any:
    columns = [table[name].to_numpy().astype(float) for name in features]
    return np.column_stack(columns) if columns else np.empty((table.num_rows, 0))


def text(*values: str | None) -> pd.Categorical:
    # pandas 2 has text as objects, and pandas 3 as a type of its own.
    found = sorted({value for value in values if value is not None})
    categories = pd.Index(found) if found else pd.Index([], dtype=object)
    return pd.Categorical(values, categories=categories)


@pytest.mark.slow
@both
@pytest.mark.parametrize("sizes", [(), (1,), (0, 2, 0), (4, 1), (1, 1, 1, 1)])
def test_reading_gives_the_written_values(tmp_path: Path, kind: AnnDataFormat, sizes: Sequence[int]) -> None:
    read = loaded(saved(tmp_path, kind, MIXED, FEATURES, sizes))
    assert read.X.dtype == np.float64
    np.testing.assert_array_equal(read.X, matrix(MIXED, FEATURES))
    assert list(read.var_names) == list(FEATURES)
    assert read.var.columns.empty
    expected = pd.DataFrame(
        {
            "Metadata_Well": text("B02", "A10", None, "A10", "ü \"'"),
            "whole": np.array([3, 1, 2**53 + 1, -5, 0]),
            "holes": pd.array([3, None, 2**53 + 1, None, 0], "Int64"),
            "small": pd.array([1, 2, 3, 4, None], "Int64"),
            "yes": [True, False, True, True, False],
            "perhaps": pd.array([True, None, None, True, False], "boolean"),
            "double": [0.5, np.nan, 2.5, 3.5, 4.5],
            "single": np.array([0.5, np.nan, 2.5, 3.5, 4.5], np.float32),
            "day": text("2026-01-02", None, "2025-01-02", None, None),
            "time": text("2026-01-02 03:04:00", None, None, None, None),
            "list": text("[1, 2]", None, "[]", None, None),
            "blob": text("b'\\xff'", None, "b'a'", None, None),
            "coded": text("x", "y", None, "x", "x"),
            "nothing": text(*[None] * 5),
            "empty": text(*[None] * 5),
        },
        index=["0", "1", "2", "3", "4"],
    )
    pd.testing.assert_frame_equal(read.obs, expected)


@pytest.mark.slow
@both
@given(data=st.data(), sizes=st.lists(st.integers(0, 40), max_size=6))
@settings(max_examples=examples(15, 250), deadline=None)
def test_row_groups_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, kind: AnnDataFormat, data: st.DataObject, sizes: list[int]
) -> None:
    rows = sum(sizes)
    texts = data.draw(st.lists(st.sampled_from(["a", "b", "", None]), min_size=rows, max_size=rows))
    table = pa.table({"x": pa.array(range(rows), pa.float64()), "s": pa.array(texts, pa.string())})
    read = loaded(saved(tmp_path_factory.mktemp("a"), kind, table, ["x"], sizes))
    assert read.X.tolist() == [[row] for row in range(rows)]
    assert read.obs["s"].astype(object).where(read.obs["s"].notna(), None).tolist() == texts


@both
@pytest.mark.parametrize("features", [FEATURES, ()])
def test_without_rows(tmp_path: Path, kind: AnnDataFormat, features: Sequence[str]) -> None:
    path = tmp_path / f"a.{kind}"
    write([], MIXED.schema, features, 0, path, kind)
    read = loaded(path)
    assert read.X.shape == (0, len(features))
    assert list(read.obs.columns) == [name for name in MIXED.column_names if name not in features]


@pytest.mark.slow
@both
def test_without_features_or_without_other_columns(tmp_path: Path, kind: AnnDataFormat) -> None:
    assert loaded(saved(tmp_path, kind, MIXED, (), [2])).shape == (5, 0)
    only = loaded(saved(tmp_path, kind, MIXED.select(FEATURES), FEATURES, [2]))
    assert (only.shape, list(only.obs_names)) == ((5, 2), ["0", "1", "2", "3", "4"])


@both
def test_x_is_single_only_if_all_features_are(tmp_path: Path, kind: AnnDataFormat) -> None:
    single = loaded(saved(tmp_path, kind, MIXED, ["single"])).X
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, matrix(MIXED, ["single"]))
    several = loaded(saved(tmp_path, kind, MIXED, ["single", "whole", "small"])).X
    assert several.dtype == np.float64
    np.testing.assert_array_equal(several, matrix(MIXED, ["single", "whole", "small"]))


@pytest.mark.slow
@both
def test_a_matrix_of_many_chunks(tmp_path: Path, kind: AnnDataFormat) -> None:
    values = np.random.default_rng(0).normal(size=(800, 3000))
    table = pa.table({f"f{n}": values[:, n] for n in range(3000)})
    path = saved(tmp_path, kind, table, table.column_names, [1, 173, 200, 0, 374])
    np.testing.assert_array_equal(loaded(path).X, values)


def test_chunks_and_format_of_x_on_disk(tmp_path: Path) -> None:
    table = pa.table({f"f{n}": np.zeros(800) for n in range(3000)})
    with h5py.File(saved(tmp_path, AnnDataFormat.H5AD, table, table.column_names)) as file:
        assert (file["X"].chunks, file["X"].compression) == ((174, 3000), "gzip")
    group = zarr.open_group(saved(tmp_path, AnnDataFormat.ZARR, table, table.column_names), mode="r")
    assert group["X"].chunks == (699, 3000)
    assert group.metadata.zarr_format == 2
    assert "X" in group.metadata.consolidated_metadata.metadata
    assert "raw" not in group


@pytest.mark.slow
@given(kinds, st.lists(NAMES, unique=True, min_size=1, max_size=8), st.integers(0, 8))
@settings(max_examples=examples(30, 600), deadline=None)
def test_any_column_names(
    tmp_path_factory: pytest.TempPathFactory, kind: AnnDataFormat, names: list[str], count: int
) -> None:
    check_names(tmp_path_factory.mktemp("a"), kind, names[:count], names[count:])


@both
def test_hard_column_names(tmp_path: Path, kind: AnnDataFormat) -> None:
    hard = [
        "Intensity/Global Bckg wv1",
        "Intensity\u2215Global Bckg wv1",
        "/",
        "//",
        "/a",
        "a/",
        "a",
        "a/b",
        "a\\b",
        "a//b",
        "a\u2215b",
        "a\u2216b",
        "",
        ".",
        "..",
        "_",
        "._",
        "_index",
        "_index_",
        "index",
        ".zgroup",
        ".zattrs",
        "zarr.json",
        "codes",
        "dtype",
        "X",
        "it's",
        '"q"',
        "µ ☃ é",
        " ",
        "\n",
    ]
    check_names(tmp_path, kind, [], hard)
    check_names(tmp_path, kind, hard, [])
    check_names(tmp_path, kind, hard[1::2], hard[::2])


def check_names(folder: Path, kind: AnnDataFormat, features: list[str], others: list[str]) -> None:
    table = pa.table({name: [n, n + 1] for n, name in enumerate([*features, *others])})
    path = saved(folder, kind, table, features)
    read = loaded(path)
    assert list(read.var_names) == features
    assert read.X.tolist() == [list(range(first, first + len(features))) for first in (0, 1)]
    assert read.obs.T.to_numpy().tolist() == [[n, n + 1] for n in range(len(features), len(features) + len(others))]
    assert len({*read.obs.columns, *features}) == len(others) + len(features)
    assert load_profiles(path).shape == (2, len(others) + len(features))


@both
def test_only_names_that_the_stores_cannot_hold_are_changed(tmp_path: Path, kind: AnnDataFormat) -> None:
    names = ["a/b", "a\\b", "a\u2215b", "_index", "a b", "Metadata_Well"]
    read = loaded(saved(tmp_path, kind, pa.table({name: [1] for name in names}), []))
    assert list(read.obs.columns) == ["a\u2215b_", "a\u2216b", "a\u2215b", "_index_", "a b", "Metadata_Well"]


@both
def test_pycytominer_reads_it(tmp_path: Path, kind: AnnDataFormat) -> None:
    frame = load_profiles(saved(tmp_path, kind, MIXED, FEATURES, [3]))
    assert set(frame.columns) == set(MIXED.column_names)
    np.testing.assert_array_equal(frame[list(FEATURES)], matrix(MIXED, FEATURES))
    assert frame["Metadata_Well"].tolist()[:2] == ["B02", "A10"]


@both
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path: Path, kind: AnnDataFormat, error: type[BaseException]) -> None:
    def broken() -> Iterator[pa.Table]:
        yield MIXED
        raise error

    with pytest.raises(error):
        write(broken(), MIXED.schema, FEATURES, 10, tmp_path / f"a.{kind}", kind)
    assert not list(tmp_path.iterdir())


@both
@pytest.mark.parametrize("expected", [0, 4, 6])
def test_another_number_of_rows_is_an_error_and_leaves_nothing(
    tmp_path: Path, kind: AnnDataFormat, expected: int
) -> None:
    with pytest.raises(InternalError, match=f"5 and not {expected}"):
        write([MIXED], MIXED.schema, FEATURES, expected, tmp_path / f"a.{kind}", kind)
    assert not list(tmp_path.iterdir())


@both
def test_an_earlier_output_is_replaced(tmp_path: Path, kind: AnnDataFormat) -> None:
    saved(tmp_path, kind, MIXED, ["double", "single"])
    assert list(loaded(saved(tmp_path, kind, MIXED, FEATURES)).var_names) == list(FEATURES)


@pytest.mark.slow
@both
@pytest.mark.parametrize("precision", [None, AnnDataPrecision.FLOAT32])
def test_one_row_group_at_a_time_is_in_memory(
    tmp_path: Path, kind: AnnDataFormat, precision: AnnDataPrecision | None
) -> None:
    alive: list[weakref.ref[pa.Table]] = []
    before = pa.total_allocated_bytes()
    peak = 0

    def piece() -> pa.Table:
        nonlocal peak
        assert not [1 for table in alive if table() is not None]
        columns = {f"f{n}": pc.random(500) for n in range(2000)}
        made = pa.table({**columns, "s": ["well"] * 500, "k": range(500)})
        alive.append(weakref.ref(made))
        peak = max(peak, pa.total_allocated_bytes() - before)
        return made

    schema = pa.schema([*((f"f{n}", pa.float64()) for n in range(2000)), ("s", pa.string()), ("k", pa.int64())])
    tables = (piece() for _ in range(12))
    spec = OutputSpec(tmp_path / f"a.{kind}", schema, tuple(schema.names[:2000]), 6000, centers=("f0", "f1"))
    with open_anndata(spec, kind, precision) as writer:
        for table in tables:
            writer.write(table)
            del table
    assert len(alive) == 12
    assert peak < 1.5 * 500 * 2000 * 8


@pytest.mark.slow
@both
def test_the_same_rows_make_the_same_bytes(tmp_path: Path, kind: AnnDataFormat) -> None:
    found = []
    for path in (tmp_path / "1" / f"a.{kind}", tmp_path / "2" / f"a.{kind}"):
        spec = OutputSpec(path, MIXED.schema, FEATURES, 5, listed(FEATURES), ("double", "small"))
        with open_anndata(spec, kind, metadata={"source": "P1", "version": "1"}) as writer:
            writer.write(MIXED)
        found.append(digests(path))
        time.sleep(1.1)  # HDF5 counts time in seconds
    assert found[0] == found[1]


def digests(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def listed(features: Sequence[str]) -> ColumnList:
    """A list in which each feature has other parts than the next."""
    parts = [
        {"compartment": "Cells", "feature_group": "Intensity", "channels": ("DNA",), "source_table": "cells"},
        {"compartment": "Nuclei", "feature_group": "Correlation", "channels": ("DNA", "ER"), "source_column": "K"},
        {},
    ]
    columns = [OutputColumn(name, ColumnRole.FEATURE, "double", **parts[n % 3]) for n, name in enumerate(features)]
    return ColumnList("columns.json", (OutputColumn("Metadata_Well"), *columns))


@both
def test_var_has_what_the_list_of_columns_has(tmp_path: Path, kind: AnnDataFormat) -> None:
    features = ["Cells_Area", "double", "Nuclei_Count"]
    path = tmp_path / f"a.{kind}"
    spec = OutputSpec(path, MIXED.schema, tuple(features), 5, listed(features))
    with open_anndata(spec, kind, metadata={"source": "s3://b/P1", "version": "1"}) as writer:
        writer.write(MIXED)
    read = loaded(path)
    expected = pd.DataFrame(
        {
            "compartment": text("Cells", "Nuclei", None),
            "feature_group": text("Intensity", "Correlation", None),
            "channel": text("DNA", "DNA;ER", None),
            "source_table": text("cells", None, None),
            "source_column": text(None, "K", None),
        },
        index=pd.Index(features, dtype=object),
    )
    pd.testing.assert_frame_equal(read.var, expected, check_index_type=False)
    assert dict(read.uns["cytobatch"]) == {"source": "s3://b/P1", "version": "1"}
    assert "spatial" not in read.obsm


@both
@pytest.mark.parametrize("sizes", [(), (2, 0, 1)])
def test_spatial_has_the_centres_in_the_order_of_the_rows(
    tmp_path: Path, kind: AnnDataFormat, sizes: Sequence[int]
) -> None:
    path = tmp_path / f"a.{kind}"
    spec = OutputSpec(path, MIXED.schema, FEATURES, 5, centers=("double", "small"))
    with open_anndata(spec, kind) as writer:
        for table in pieces(MIXED, sizes):
            writer.write(table)
    spatial = loaded(path).obsm["spatial"]
    assert spatial.dtype == np.float64
    np.testing.assert_array_equal(spatial, [[0.5, 1], [np.nan, 2], [2.5, 3], [3.5, 4], [4.5, np.nan]])


@both
def test_spatial_without_rows(tmp_path: Path, kind: AnnDataFormat) -> None:
    path = tmp_path / f"a.{kind}"
    with open_anndata(OutputSpec(path, MIXED.schema, FEATURES, 0, centers=("double", "small")), kind):
        pass
    assert loaded(path).obsm["spatial"].shape == (0, 2)


@pytest.mark.slow
@given(kinds, st.lists(st.lists(st.floats(width=32) | st.none(), min_size=2, max_size=2), max_size=9))
@settings(max_examples=examples(30), deadline=None)
def test_x_in_single_precision_has_the_nearest_values(
    tmp_path_factory: pytest.TempPathFactory, kind: AnnDataFormat, rows: list[list[float | None]]
) -> None:
    table = pa.table({name: pa.array([row[n] for row in rows], pa.float64()) for n, name in enumerate("ab")})
    path = tmp_path_factory.mktemp("a") / f"a.{kind}"
    with open_anndata(OutputSpec(path, table.schema, ("a", "b"), len(rows)), kind, AnnDataPrecision.FLOAT32) as writer:
        writer.write(table)
    x = loaded(path).X
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, matrix(table, ["a", "b"]))


@both
def test_a_value_beyond_single_precision_is_an_error_and_leaves_nothing(tmp_path: Path, kind: AnnDataFormat) -> None:
    spec = OutputSpec(tmp_path / f"a.{kind}", MIXED.schema, ("double", "Cells_Area"), 5)
    with (
        pytest.raises(ConfigurationError, match="values of 'Cells_Area' do not fit float32"),
        open_anndata(spec, kind, AnnDataPrecision.FLOAT32) as writer,
    ):
        writer.write(MIXED)
    assert not list(tmp_path.iterdir())


@both
def test_singles_are_doubles_on_request(tmp_path: Path, kind: AnnDataFormat) -> None:
    path = tmp_path / f"a.{kind}"
    with open_anndata(OutputSpec(path, MIXED.schema, ("single",), 5), kind, AnnDataPrecision.FLOAT64) as writer:
        writer.write(MIXED)
    assert loaded(path).X.dtype == np.float64
    np.testing.assert_array_equal(loaded(path).X, matrix(MIXED, ["single"]))
