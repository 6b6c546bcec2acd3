"""Profiles as AnnData, from a whole run."""

import sys
from pathlib import Path

import anndata
import numpy as np
import pyarrow.parquet as pq
import pytest
from pycytominer.cyto_utils.load import load_profiles

from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError
from cytobatch.pipeline.plate import run_plate
from tests.support.plates import convert, convert_to_folder, write_npz_plate, write_sites


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_anndata_has_the_values_of_the_parquet(kind: str, tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 3)
    found, report = convert_to_folder(source, tmp_path / "out", anndata=(kind,), well_profiles="median", chunk_size=4)
    read = anndata.read_h5ad if kind == "h5ad" else anndata.read_zarr
    for name in ("single_cells", "profiles"):
        table = found[f"{name}.parquet"]
        data = read(tmp_path / "out" / f"{name}.{kind}")
        features = [column for column in table.column_names if not column.startswith(("Metadata_", "Image_"))]
        assert list(data.var_names) == features
        assert np.array_equal(data.X, table.select(features).to_pandas().to_numpy(), equal_nan=True)
        assert list(data.obs["Metadata_Well"]) == table["Metadata_Well"].to_pylist()
        assert len(load_profiles(tmp_path / "out" / f"{name}.{kind}")) == table.num_rows
    by_name = {Path(out.path).name: out for out in report.outputs}
    assert set(by_name) == {"single_cells.parquet", "profiles.parquet", f"single_cells.{kind}", f"profiles.{kind}"}
    store = by_name[f"single_cells.{kind}"]
    assert (store.rows, len(store.sha256)) == (6, 64)
    assert bool(store.files) == (kind == "zarr")


def test_a_store_of_an_earlier_run_is_removed_with_all_its_files(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 3)
    convert(source, tmp_path / "out" / "plate.parquet", anndata=("zarr", "h5ad"))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"plate.parquet", "plate.zarr", "plate.h5ad", "plate.run-report.json"}
    convert(source, tmp_path / "out" / "plate.parquet")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"plate.parquet", "plate.run-report.json"}


def test_embeddings_are_x_and_their_metadata_obs(tmp_path: Path) -> None:
    found, _ = convert_to_folder(write_npz_plate(tmp_path / "in"), tmp_path / "out", anndata=("h5ad",))
    data = anndata.read_h5ad(tmp_path / "out" / "single_cells.h5ad")
    assert list(data.var_names) == ["net_1", "net_2", "net_3", "net_4"]
    assert {"Treatment", "Location_Center_X", "Metadata_Site"} <= set(data.obs.columns)
    assert data.n_obs == found["single_cells.parquet"].num_rows


def test_stores_are_published_complete_in_a_bucket(tmp_path: Path, s3: object, bucket: str) -> None:
    source = write_sites(tmp_path / "in", 2, 3)
    _, report = convert_to_folder(source, tmp_path / "local", anndata=("zarr",))
    run_plate(PlateJob(source=str(source), destination=f"s3://{bucket}/out", anndata=("zarr",)))
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="out/")["Contents"]  # type: ignore[attr-defined]
    keys = {entry["Key"].removeprefix("out/") for entry in listed}
    store = next(out for out in report.outputs if out.files)
    expected = {f"single_cells.zarr/{name}" for name in store.files}
    assert keys == expected | {"single_cells.parquet", "run-report.json"}
    run_plate(PlateJob(source=str(source), destination=f"s3://{bucket}/out"))
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="out/")["Contents"]  # type: ignore[attr-defined]
    assert {entry["Key"] for entry in listed} == {"out/single_cells.parquet", "out/run-report.json"}
    assert pq.read_table(tmp_path / "local" / "single_cells.parquet").num_rows == 6


def test_without_the_library_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(ConfigurationError, match="support for AnnData is not installed"):
        convert(write_sites(tmp_path / "in", 1), tmp_path / "out", anndata=("h5ad",))
    assert not (tmp_path / "out").exists()
