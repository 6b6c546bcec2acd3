"""scanpy and CytoDataFrame on the outputs of every layout: the features that they find are those of the list.

`make test-downstream` installs them, in an environment of their own.
"""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from tests.support.column_lists import columns_of, features_of
from tests.support.layouts import LAYOUTS, write_layout_named
from tests.support.plates import convert_to_folder

MISSING = "scanpy and CytoDataFrame are not installed; `make test-downstream` installs them"
scanpy: Any = pytest.importorskip("scanpy", reason=MISSING)
cytodataframe: Any = pytest.importorskip("cytodataframe", reason=MISSING)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=list(LAYOUTS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a plate in one of the layouts, X as float32."""
    root = tmp_path_factory.mktemp("plate")
    source = write_layout_named(request.param, root / "in")
    options = {"column_names": "pycytominer", "well_profiles": "median", "anndata_precision": "float32"}
    convert_to_folder(source, root / "out", anndata=("h5ad", "zarr"), **options)
    return root / "out"


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_scanpy_computes_with_every_feature(folder: Path, kind: str) -> None:
    path = folder / f"single_cells.{kind}"
    data = scanpy.read_h5ad(path) if kind == "h5ad" else anndata.read_zarr(path)
    assert list(data.var_names) == features_of(folder / "columns.json")
    assert data.X.dtype == np.float32
    complete = data[:, ~np.isnan(data.X).any(axis=0)].copy()
    assert complete.n_vars == data.n_vars
    scanpy.pp.scale(complete)
    scanpy.pp.pca(complete, n_comps=3)
    scanpy.pp.neighbors(complete, n_neighbors=4)
    assert complete.obsm["X_pca"].shape == (data.n_obs, 3)
    assert np.isfinite(complete.obsm["X_pca"]).all()
    groups = data[:, data.var["compartment"] == "Cells"]
    assert 0 < groups.n_vars <= data.n_vars
    if "spatial" in data.obsm:
        # Squidpy and scanpy's own plots take the coordinates from here.
        frame = scanpy.get.obs_df(data, obsm_keys=[("spatial", 0), ("spatial", 1)])
        assert frame.to_numpy().tolist() == data.obsm["spatial"].tolist()


@pytest.mark.parametrize("name", ["single_cells", "profiles"])
def test_cytodataframe_takes_the_lists_features_for_measurements(folder: Path, name: str) -> None:
    columns = columns_of(folder / ("columns.json" if name == "single_cells" else "profiles.columns.json"))
    features = [column["name"] for column in columns if column["role"] == "feature"]
    frame = cytodataframe.CytoDataFrame(folder / f"{name}.parquet")
    assert len(frame) == len(pd.read_parquet(folder / f"{name}.parquet"))
    schema = frame.cyto_schema
    # Coordinates of objects are a class of their own there.
    measured = {*schema.feature_columns, *schema.geometry_columns} - {
        column["name"] for column in columns if column["feature_group"] is None and column["role"] == "metadata"
    }
    assert measured == set(features)
    assert set(schema.feature_columns) <= set(features)
    images = {column["name"] for column in columns if column["role"] == "image"}
    assert set(schema.image_columns) == images
