"""Profiles as AnnData, from a whole run."""

import sys
from pathlib import Path

import anndata
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pycytominer.cyto_utils.load import load_profiles

from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError
from cytobatch.pipeline.plate import run_plate
from tests.support.column_lists import columns_of
from tests.support.plates import (
    convert,
    convert_to_folder,
    incarta_table,
    site_tables,
    with_column,
    write_incarta,
    write_npz_plate,
    write_site,
    write_sites,
)

pytestmark = pytest.mark.slow

REPORT = ("plate.run-report.json", "plate.report.html")


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
    lists = {"columns.json", "profiles.columns.json"}
    tables = {"single_cells.parquet", "profiles.parquet"}
    assert set(by_name) == {*tables, f"single_cells.{kind}", f"profiles.{kind}", *lists}
    store = by_name[f"single_cells.{kind}"]
    assert (store.rows, len(store.sha256)) == (6, 64)
    assert bool(store.files) == (kind == "zarr")


def test_a_store_of_an_earlier_run_is_removed_with_all_its_files(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 3)
    convert(source, tmp_path / "out" / "plate.parquet", anndata=("zarr", "h5ad"))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"plate.parquet", "plate.zarr", "plate.h5ad", "plate.columns.json", *REPORT}
    convert(source, tmp_path / "out" / "plate.parquet")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"plate.parquet", "plate.columns.json", *REPORT}


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
    assert keys == expected | {"single_cells.parquet", "columns.json", "run-report.json", "report.html"}
    run_plate(PlateJob(source=str(source), destination=f"s3://{bucket}/out"))
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="out/")["Contents"]  # type: ignore[attr-defined]
    names = {entry["Key"].removeprefix("out/") for entry in listed}
    assert names == {"single_cells.parquet", "columns.json", "run-report.json", "report.html"}
    assert pq.read_table(tmp_path / "local" / "single_cells.parquet").num_rows == 6


def test_without_the_library_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(ConfigurationError, match="support for AnnData is not installed"):
        convert(write_sites(tmp_path / "in", 1), tmp_path / "out", anndata=("h5ad",))
    assert not (tmp_path / "out").exists()


def read_store(folder: Path, name: str, kind: str) -> anndata.AnnData:
    path = folder / f"{name}.{kind}"
    return anndata.read_h5ad(path) if kind == "h5ad" else anndata.read_zarr(path)


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_var_and_uns_have_what_the_list_and_the_footer_have(kind: str, tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 3)
    convert_to_folder(source, tmp_path / "out", anndata=(kind,), well_profiles="median")
    for name, columns in (("single_cells", "columns.json"), ("profiles", "profiles.columns.json")):
        data = read_store(tmp_path / "out", name, kind)
        listed = [column for column in columns_of(tmp_path / "out" / columns) if column["role"] == "feature"]
        assert list(data.var_names) == [column["name"] for column in listed]
        for key in ("compartment", "feature_group", "source_table", "source_column"):
            assert list(data.var[key]) == [column[key] for column in listed]
        assert data.var["channel"].isna().all()
        footer = pq.read_schema(tmp_path / "out" / f"{name}.parquet").metadata
        origin = data.uns["cytobatch"]
        assert set(origin) == {"version", "format_version", "source", "preset", "layout", "columns_sha256"}
        assert all(value == footer[f"cytobatch.{key}".encode()].decode() for key, value in origin.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (("AreaShape_Center", "Location_Center"), "AreaShape_Center"),
        (("Location_Center",), "Location_Center"),
        (("Location_CenterMassIntensity",), None),
    ],
)
def test_spatial_is_the_centre_of_the_base_compartment(
    present: tuple[str, ...], expected: str | None, tmp_path: Path
) -> None:
    tables = site_tables(3)
    for number, center in enumerate(present):
        for axis in "XY":
            for label in ("Cytoplasm", "Cells"):
                values = pa.array([100.0 * number + 10 * (axis == "Y") + (label == "Cells") + n for n in range(3)])
                tables[label] = tables[label].append_column(f"{center}_{axis}", values)
    write_site(tmp_path / "in", tables)
    found, _ = convert_to_folder(tmp_path / "in", tmp_path / "out", anndata=("h5ad", "zarr"), well_profiles="mean")
    cells = found["single_cells.parquet"]
    for kind in ("h5ad", "zarr"):
        data = read_store(tmp_path / "out", "single_cells", kind)
        assert ("spatial" in data.obsm) == (expected is not None)
        if expected is not None:
            axes = [cells[f"Cytoplasm_{expected}_{axis}"].to_pylist() for axis in "XY"]
            assert data.obsm["spatial"].T.tolist() == axes
        assert "spatial" not in read_store(tmp_path / "out", "profiles", kind).obsm


def test_spatial_is_what_files_of_whole_rows_have(tmp_path: Path) -> None:
    convert_to_folder(write_npz_plate(tmp_path / "npz"), tmp_path / "1", anndata=("h5ad",), column_names="pycytominer")
    data = read_store(tmp_path / "1", "single_cells", "h5ad")
    assert data.obsm["spatial"].T.tolist() == [data.obs[f"Metadata_Location_Center_{axis}"].tolist() for axis in "XY"]
    table = incarta_table()
    for name in ("Cells cg X wv1", "F Actin cg X wv2", "F Actin cg Y wv2"):
        table = table.append_column(name, pa.array([float(len(name) + n) for n in range(table.num_rows)]))
    write_incarta(tmp_path / "incarta" / "x.csv", table)
    found, _ = convert_to_folder(tmp_path / "incarta", tmp_path / "2", anndata=("h5ad",))
    axes = [found["single_cells.parquet"][f"F Actin cg {axis} wv2"].to_pylist() for axis in "XY"]
    assert read_store(tmp_path / "2", "single_cells", "h5ad").obsm["spatial"].T.tolist() == axes


def test_x_is_single_precision_on_request(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2, 3)
    options = {"anndata": ("h5ad", "zarr"), "anndata_precision": "float32"}
    found, _ = convert_to_folder(source, tmp_path / "out", **options)
    assert found["single_cells.parquet"].schema.field("Cells_AreaShape_Area").type == pa.float64()
    for kind in options["anndata"]:
        data = read_store(tmp_path / "out", "single_cells", kind)
        assert data.X.dtype == np.float32
        assert data.X[:, 1].tolist() == found["single_cells.parquet"][data.var_names[1]].to_pylist()
    tables = site_tables(2)
    tables["Cells"] = with_column(tables["Cells"], "AreaShape_Area", pa.array([1e39, 1.0]))
    write_site(tmp_path / "large", tables)
    with pytest.raises(ConfigurationError, match="values of 'Cells_AreaShape_Area' do not fit float32"):
        convert_to_folder(tmp_path / "large", tmp_path / "none", **options)
    assert not (tmp_path / "none").exists()


def test_a_precision_without_anndata_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="anndata_precision: it is the type of AnnData's X"):
        convert_to_folder(tmp_path, tmp_path / "out", anndata_precision="float32")
