"""Well-level profiles, and pycytominer's own opinion of what comes out."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pycytominer import aggregate, annotate, feature_select, normalize
from pycytominer.cyto_utils import infer_cp_features

from cytobatch.errors import LayoutError
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.plates import (
    convert,
    convert_to_folder,
    npz_members,
    site_tables,
    with_column,
    write_npz,
    write_site,
)

STRATA = ["Metadata_Plate", "Metadata_Well"]
PLATE = SyntheticPlate(wells=4, sites=2, cells=7, features=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated plate's single cells and well-level profiles."""
    root = tmp_path_factory.mktemp("plate")
    write_plate(PLATE, root / "in")
    convert_to_folder(root / "in", root / "out", well_profiles="median")
    return root / "out"


def sites_of_wells(root: Path, *wells: str, objects: int = 3, **columns: pa.Array) -> Path:
    for number, well in enumerate(wells, start=1):
        tables = site_tables(objects, offset=100.0 * number, well=well)
        for name, values in columns.items():
            tables["Cells"] = with_column(tables["Cells"], name, values)
        write_site(root / f"s{number}", tables)
    return root


def test_pycytominer_aggregates_to_the_same_profiles(folder: Path) -> None:
    cells = pd.read_parquet(folder / "single_cells.parquet")
    ours = pd.read_parquet(folder / "profiles.parquet")
    theirs = aggregate(cells, strata=STRATA, operation="median")
    features = infer_cp_features(cells)
    assert set(infer_cp_features(ours)) == set(features)
    assert len(features) == 3 * 40
    assert ours[STRATA].equals(theirs[STRATA])
    assert np.allclose(ours[features], theirs[features], rtol=0, atol=1e-9, equal_nan=True)


def test_pycytominers_verbs_run_on_both_outputs(folder: Path) -> None:
    for name in ("single_cells.parquet", "profiles.parquet"):
        table = pd.read_parquet(folder / name)
        wells = sorted(set(table["Metadata_Well"]))
        platemap = pd.DataFrame({"well_position": wells, "treatment": ["DMSO", *["drug"] * (len(wells) - 1)]})
        annotated = annotate(table, platemap, join_on=["Metadata_well_position", "Metadata_Well"])
        assert len(annotated) == len(table)
        normalized = normalize(annotated, samples="Metadata_treatment == 'DMSO'", method="standardize")
        features = infer_cp_features(normalized)
        assert len(features) == 3 * 40
        assert all(pd.api.types.is_float_dtype(normalized[feature]) for feature in features)
        selected = feature_select(normalized, operation=["variance_threshold", "correlation_threshold"])
        assert 0 < len(infer_cp_features(selected)) <= len(features)
        assert set(STRATA) <= set(selected.columns)


@pytest.mark.parametrize("kind", [PlateFormat.CSV, PlateFormat.SQLITE])
@pytest.mark.parametrize("names", ["cytotable", "pycytominer"])
def test_features_are_the_measurements_under_either_naming(tmp_path: Path, kind: PlateFormat, names: str) -> None:
    write_plate(PLATE, tmp_path / "in", kind)
    found, _ = convert_to_folder(tmp_path / "in", tmp_path / "out", column_names=names, well_profiles="mean")
    features = [name for name in found["profiles.parquet"].column_names if not name.startswith("Metadata_")]
    assert len(features) == 3 * 40
    cells = set(infer_cp_features(found["single_cells.parquet"].to_pandas()))
    assert (cells == set(features)) == (names == "pycytominer")


def test_objects_and_sites_of_wells_are_counted_and_empty_wells_have_a_warning(tmp_path: Path) -> None:
    sites_of_wells(tmp_path / "in", "A1", "A1", "B2")
    write_site(tmp_path / "in" / "s8", site_tables(0, well="B2"))
    write_site(tmp_path / "in" / "s9", site_tables(0, well="C3"))
    found, report = convert_to_folder(tmp_path / "in", tmp_path / "out", well_profiles="mean")
    profiles = found["profiles.parquet"]
    names = ["Metadata_Well", "Metadata_Object_Count", "Metadata_Site_Count"]
    assert [tuple(row.values()) for row in profiles.select(names).to_pylist()] == [("A01", 6, 2), ("B02", 3, 2)]
    assert profiles["Cells_AreaShape_Area"].to_pylist() == [152.0, 302.0]
    assert "1 well has no object and so no well-level profile" in [w.what for w in report.warnings]
    assert (report.counts.rows, [out.rows for out in report.outputs if out.rows]) == (9, [9, 2])


def test_nan_and_null_do_not_count_but_infinity_does(tmp_path: Path) -> None:
    areas = pa.array(["nan", "", "7"])
    found, _ = convert_to_folder(
        sites_of_wells(tmp_path / "in", "A1", AreaShape_Area=areas), tmp_path / "out", well_profiles="median"
    )
    assert found["profiles.parquet"]["Cells_AreaShape_Area"].to_pylist() == [7.0]
    areas = pa.array(["-inf", "inf", "inf"])
    found, _ = convert_to_folder(
        sites_of_wells(tmp_path / "two", "A1", AreaShape_Area=areas), tmp_path / "out2", well_profiles="median"
    )
    assert found["profiles.parquet"]["Cells_AreaShape_Area"].to_pylist() == [float("inf")]


def test_files_for_each_export_make_one_table_of_wells(tmp_path: Path) -> None:
    source = sites_of_wells(tmp_path / "in", "A1", "A1", "B2")
    one, _ = convert_to_folder(source, tmp_path / "one", well_profiles="median")
    many, _ = convert_to_folder(source, tmp_path / "many", well_profiles="median", concat=False)
    assert many["profiles.parquet"].equals(one["profiles.parquet"])


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", [pytest.param("mean", marks=pytest.mark.long), "median"])
def test_runs_of_one_input_give_the_same_bytes(aggregation: str, tmp_path: Path) -> None:
    """Sums of floats depend on their order, and so on threads that add up parts of a well's rows."""
    write_plate(SyntheticPlate(wells=3, sites=9, cells=20, features=60), tmp_path / "in")
    digests = set()
    for number in range(4):
        _, report = convert_to_folder(
            tmp_path / "in", tmp_path / str(number), well_profiles=aggregation, concat=False, workers=2
        )
        digests.add(next(out.sha256 for out in report.outputs if Path(out.path).name == "profiles.parquet"))
    assert len(digests) == 1


def test_a_single_file_has_its_profiles_beside_it(tmp_path: Path) -> None:
    source = sites_of_wells(tmp_path / "in", "A1", "B2")
    _, report = convert(source, tmp_path / "plate.parquet", well_profiles="median")
    assert [Path(out.path).name for out in report.outputs] == [
        "plate.parquet",
        "plate.profiles.parquet",
        "plate.columns.json",
        "plate.profiles.columns.json",
    ]
    assert pq.read_table(tmp_path / "plate.profiles.parquet").num_rows == 2
    convert(source, tmp_path / "plate.parquet")
    assert not (tmp_path / "plate.profiles.parquet").exists()


def test_a_users_join_and_files_of_whole_rows_have_profiles_too(tmp_path: Path) -> None:
    source = sites_of_wells(tmp_path / "in", "A1", "B2")
    sql = "SELECT Metadata_ImageNumber, Metadata_ObjectNumber, Cells_AreaShape_Area FROM cells"
    found, _ = convert_to_folder(source, tmp_path / "out", joins=sql, well_profiles="median")
    assert found["profiles.parquet"]["Cells_AreaShape_Area"].to_pylist() == [102.0, 202.0]
    for well in ("A01", "B02"):
        write_npz(tmp_path / "npz" / "P1" / f"{well}_1.npz", npz_members(3, 2, Metadata_Well=well))
    found, _ = convert_to_folder(tmp_path / "npz", tmp_path / "out2", well_profiles="mean")
    profiles = found["profiles.parquet"]
    assert profiles.column_names == [*STRATA, "Metadata_Object_Count", "Metadata_Site_Count", "net_1", "net_2"]
    assert profiles["net_1"].to_pylist() == [0.25, 0.25]


def test_unknown_wells_cannot_be_profiled(tmp_path: Path) -> None:
    tables = site_tables(2)
    tables["Image"] = tables["Image"].drop_columns(["Metadata_Well"])
    source = write_site(tmp_path / "in", tables)
    with pytest.raises(LayoutError, match="no wells to make profiles of"):
        convert(source, tmp_path, well_profiles="median")
    assert convert(source, tmp_path, well_profiles="median", well="A1")[0].num_rows == 2


def test_casts_hold_for_profiles(tmp_path: Path) -> None:
    source = sites_of_wells(tmp_path / "in", "A1")
    casts = {"float": "float32", "string": "large_string"}
    options: dict[str, Any] = {"data_type_cast_map": casts, "well_profiles": "mean"}
    found, _ = convert_to_folder(source, tmp_path / "out", **options)
    for table in found.values():
        assert table.schema.field("Cells_AreaShape_Area").type == pa.float32()
        assert table.schema.field("Metadata_Well").type == pa.large_string()
