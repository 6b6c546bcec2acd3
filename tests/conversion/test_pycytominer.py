"""pycytominer takes the features that a list of columns names for features, in profiles of every layout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycytominer import aggregate, annotate, feature_select, normalize
from pycytominer.cyto_utils import infer_cp_features
from pycytominer.cyto_utils.load import load_profiles

from cytobatch.config.option_types import ColumnNaming
from tests.support.column_lists import assert_describes, columns_of, features_of
from tests.support.examples import examples
from tests.support.layouts import LAYOUTS, write_layout_named
from tests.support.paths import SHARED_DATA
from tests.support.plates import (
    convert_to_folder,
    incarta_table,
    npz_members,
    site_tables,
    write_incarta,
    write_layout,
    write_npz,
    write_npz_plate,
    write_site,
)

# One worker converts the plates of all layouts.
pytestmark = pytest.mark.xdist_group("pycytominer")
NAMES = ColumnNaming.PYCYTOMINER


@pytest.fixture(scope="module", params=list(LAYOUTS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a plate in one of the layouts."""
    root = tmp_path_factory.mktemp("plate")
    source = write_layout_named(request.param, root / "in")
    convert_to_folder(source, root / "out", column_names=NAMES, well_profiles="median", anndata=("h5ad", "zarr"))
    return root / "out"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["single_cells", "profiles"])
def test_inferred_features_are_those_of_the_list(folder: Path, name: str) -> None:
    listed = features_of(folder / ("columns.json" if name == "single_cells" else "profiles.columns.json"))
    assert len(listed) >= 5
    for path in (f"{name}.parquet", f"{name}.h5ad", f"{name}.zarr"):
        profiles = load_profiles(folder / path)
        assert sorted(infer_cp_features(profiles)) == sorted(listed), path
        assert profiles[listed].notna().any(axis=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["single_cells", "profiles"])
def test_no_verb_loses_a_feature(folder: Path, name: str) -> None:
    listed = features_of(folder / "columns.json")
    profiles = pd.read_parquet(folder / f"{name}.parquet")
    wells = sorted(set(profiles["Metadata_Well"]))
    platemap = pd.DataFrame({"well_position": wells, "treatment": ["DMSO", "DMSO", *["drug"] * (len(wells) - 2)]})
    annotated = annotate(profiles, platemap, join_on=["Metadata_well_position", "Metadata_Well"])
    assert len(annotated) == len(profiles)
    normalized = normalize(annotated, samples="Metadata_treatment == 'DMSO'", method="standardize")
    assert sorted(infer_cp_features(normalized)) == sorted(listed)
    assert all(pd.api.types.is_float_dtype(normalized[feature]) for feature in listed)
    # The operation that can remove nothing here: each feature has values.
    selected = feature_select(normalized, operation="drop_na_columns", na_cutoff=1)
    assert sorted(infer_cp_features(selected)) == sorted(listed)
    assert set(feature_select(normalized, operation=["variance_threshold"])) <= set(normalized)
    of_wells = aggregate(profiles, strata=["Metadata_Plate", "Metadata_Well"], operation="median")
    assert sorted(infer_cp_features(of_wells)) == sorted(listed)
    own = pd.read_parquet(folder / "profiles.parquet")
    assert np.allclose(own[listed], of_wells[listed], rtol=0, atol=1e-9, equal_nan=True)


@pytest.mark.slow
def test_metadata_has_names_that_a_query_can_have(folder: Path) -> None:
    metadata = [column["name"] for column in columns_of(folder / "columns.json") if column["role"] == "metadata"]
    assert all(name.startswith("Metadata_") and name.split() == [name] for name in metadata)


def test_an_extra_compartments_features_are_inferred_by_its_name(tmp_path: Path) -> None:
    tables = site_tables(3)
    tables["Spots"] = tables["Cytoplasm"]
    write_site(tmp_path / "in", tables)
    found, _ = convert_to_folder(tmp_path / "in", tmp_path / "out")
    columns = [column for column in columns_of(tmp_path / "out" / "columns.json") if column["role"] == "feature"]
    compartments = sorted({column["compartment"] for column in columns})
    assert compartments == ["Cells", "Cytoplasm", "Nuclei", "Spots"]
    inferred = infer_cp_features(found["single_cells.parquet"].to_pandas(), compartments=compartments)
    assert sorted(inferred) == sorted(column["name"] for column in columns)


def test_measurements_of_whole_rows_begin_with_their_compartment(tmp_path: Path) -> None:
    names = {
        "Cells Area wv3": "Cells_Area_wv3",
        "Nuclei Area wv1": "Nuclei_Area_wv1",
        "F Actin Intensity/Global Bckg wv2": "Cells_F_Actin_Intensity/Global_Bckg_wv2",
        "Cellsize wv1": "Cells_Cellsize_wv1",
        "WELL LABEL": "Metadata_WELL_LABEL",
        "OBJECT ID": "Metadata_OBJECT_ID",
        "Cells Class": "Metadata_Cells_Class",
        "Metadata_Own": "Metadata_Own",
    }
    table = incarta_table()
    for name in set(names) - set(table.column_names):
        table = table.append_column(name, pa.array(range(table.num_rows)))
    write_incarta(tmp_path / "in" / "x.csv", table)
    convert_to_folder(tmp_path / "in", tmp_path / "out", column_names=NAMES)
    found = {column["source_column"]: column["name"] for column in columns_of(tmp_path / "out" / "columns.json")}
    assert {name: found[name] for name in names} == names


@pytest.mark.parametrize("preset", ["auto", "deepprofiler"])
def test_files_of_whole_rows_keep_their_names_by_default(tmp_path: Path, preset: str) -> None:
    source = write_npz_plate(tmp_path / "in")
    found, _ = convert_to_folder(source, tmp_path / "out", preset=preset)
    assert {"net_1", "Treatment", "Location_Center_X"} <= set(found["single_cells.parquet"].column_names)
    named, _ = convert_to_folder(source, tmp_path / "named", preset=preset, column_names=NAMES)
    columns = {"Cells_net_1", "Metadata_Treatment", "Metadata_Location_Center_X"}
    assert columns <= set(named["single_cells.parquet"].column_names)
    assert named["single_cells.parquet"].columns == found["single_cells.parquet"].columns


def test_a_column_without_numbers_is_no_feature(tmp_path: Path) -> None:
    write_incarta(tmp_path / "in" / "x.csv", incarta_table())
    options: dict[str, Any] = {"column_types": {"Cells Area wv3": "text"}, "column_names": NAMES}
    found, _ = convert_to_folder(tmp_path / "in", tmp_path / "out", **options, anndata=("h5ad",), well_profiles="mean")
    assert "Metadata_Cells_Area_wv3" in found["single_cells.parquet"].column_names
    inferred = infer_cp_features(found["single_cells.parquet"].to_pandas())
    assert sorted(inferred) == sorted(features_of(tmp_path / "out" / "columns.json"))


def test_a_measurement_without_any_value_is_a_feature_in_every_plate(tmp_path: Path) -> None:
    table = incarta_table()
    empty = pa.nulls(table.num_rows, pa.string())
    for day, values in enumerate((empty, pa.array(range(table.num_rows)))):
        filled = table.append_column("Cells Org per Cell wv1", values).append_column("Spots Count wv1", empty)
        write_incarta(tmp_path / str(day) / "x.csv", filled)
        found, _ = convert_to_folder(tmp_path / str(day), tmp_path / "out" / str(day), column_names=NAMES)
        features = features_of(tmp_path / "out" / str(day) / "columns.json")
        assert {"Cells_Org_per_Cell_wv1", "Cells_Spots_Count_wv1"} <= set(features)
        profiles = found["single_cells.parquet"]
        assert profiles.schema.field("Cells_Spots_Count_wv1").type == pa.float64()
        assert profiles["Cells_Spots_Count_wv1"].null_count == profiles.num_rows


WORDS = st.text(st.characters(codec="utf-8", exclude_characters='"\n\r\0', exclude_categories=("Cc",)), max_size=8)


@settings(max_examples=examples(15))
@given(st.lists(WORDS.map(lambda word: f"x{word}"), min_size=1, max_size=6, unique=True), st.sampled_from("ab "))
def test_any_names_of_measurements_are_inferred(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], model: str
) -> None:
    root = tmp_path_factory.mktemp("names")
    table = incarta_table(("C - 3",), 1, 2)
    for number, name in enumerate(names):
        table = table.append_column(f"{name} wv1", pa.array([number, 0.5]))
        table = table.append_column(name, pa.array([number, number]))
    write_incarta(root / "incarta" / "x.csv", table)
    members = npz_members(2, 3, **{"Metadata_Model": model, **dict.fromkeys(names, 1)})
    write_npz(root / "npz" / "P1" / "A01_1.npz", members)
    for layout in ("incarta", "npz"):
        convert_to_folder(root / layout, root / "out" / layout, column_names=NAMES)
        columns = json.loads((root / "out" / layout / "columns.json").read_text())["columns"]
        profiles = pq.read_table(root / "out" / layout / "single_cells.parquet")
        features = [column["name"] for column in columns if column["role"] == "feature"]
        assert infer_cp_features(profiles.to_pandas()) == features
        sources = [column["source_column"] for column in columns if column["source_column"]]
        assert len(set(sources)) == len(sources)


MEASUREMENTS = st.from_regex(
    r"((Mean_Spots_|Median_)?(AreaShape|Intensity|Texture|Children|Parent|Number|Neighbors|Own|Metadata)_)?"
    r"[A-Za-z]{1,6}(_(DNA|ER|Object_Number|Count|3_00_256))?",
    fullmatch=True,
)


@settings(max_examples=examples(10))
@given(names=st.lists(MEASUREMENTS, min_size=1, max_size=8, unique_by=str.lower), sqlite=st.booleans())
def test_any_names_of_cellprofiler_are_inferred(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], sqlite: bool
) -> None:
    root = tmp_path_factory.mktemp("names")
    tables = site_tables(3)
    for label in ("Cells", "Nuclei"):
        for number, name in enumerate(set(names) - set(tables[label].column_names)):
            values = pa.array([number, 1, 2, 3][: tables[label].num_rows])
            tables[label] = tables[label].append_column(name, values)
    convert_to_folder(write_layout(root, tables, sqlite=sqlite), root / "out")
    assert_describes(root / "out" / "columns.json", root / "out" / "single_cells.parquet")
    profiles = pq.read_table(root / "out" / "single_cells.parquet")
    assert infer_cp_features(profiles.to_pandas()) == features_of(root / "out" / "columns.json")


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the shared real measurements are not beside the project")
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("examplehuman_csv", 296),
        ("nf1_sqlite", 1182),
        ("cellhealth_sqlite", 1768),
        ("jump_site_csv", 6006),
        ("incarta_csv", 141),
        ("deepprofiler_npz", 6400),
    ],
)
def test_features_of_real_plates(folder: str, expected: int, tmp_path: Path) -> None:
    found, _ = convert_to_folder(SHARED_DATA / folder / "source", tmp_path / "out", column_names=NAMES)
    columns = [column for column in columns_of(tmp_path / "out" / "columns.json") if column["role"] == "feature"]
    usual = [column["name"] for column in columns if column["compartment"] in ("Cells", "Cytoplasm", "Nuclei")]
    assert infer_cp_features(found["single_cells.parquet"].to_pandas()) == usual
    assert len(usual) == expected
