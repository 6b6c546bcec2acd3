"""The site table, and the features of images in well-level profiles: averaged over sites, not over objects."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycytominer.cyto_utils import infer_cp_features

from cytobatch.errors import LayoutError
from cytobatch.report.model import RunReport
from tests.support.column_lists import assert_describes, columns_of
from tests.support.examples import examples
from tests.support.plates import (
    Tables,
    convert,
    convert_to_folder,
    cytominer_tables,
    per_tables,
    site_tables,
    with_column,
    write_incarta_plate,
    write_npz_plate,
    write_site,
    write_sqlite,
)

pytestmark = pytest.mark.slow

STRATA = ["Metadata_Plate", "Metadata_Well"]
BLUR = "Image_ImageQuality_Blur_DNA"


def site(well: str = "A1", number: int = 1, objects: int = 2, blur: float | str | None = 0.5, image: int = 1) -> Tables:
    """Return the tables of one site, whose image table has features and columns that are none."""
    tables = site_tables(objects, well=well, image=image, offset=100.0 * number)
    table = with_column(tables["Image"], "Metadata_Site", pa.array([number]))
    kind = pa.string() if isinstance(blur, str) else pa.float64()
    for name, column in {
        "ImageQuality_Blur_DNA": pa.array([blur], kind),
        "Granularity_1_RNA": pa.array([float(number)]),
        "Height_OrigDNA": pa.array([1080]),
        "Metadata_Dose": pa.array([10 * number]),
        "Mean_Cells_AreaShape_Area": pa.array([5.5]),
    }.items():
        table = table.append_column(name, column)
    return tables | {"Image": table}


def plate(root: Path, *sites: Tables) -> Path:
    for number, tables in enumerate(sites, start=1):
        write_site(root / f"s{number}", tables)
    return root


def converted(source: Path, out: Path, **options: Any) -> tuple[dict[str, pa.Table], RunReport]:
    return convert_to_folder(source, out, image_features=True, **options)


def test_each_site_has_a_row_also_without_objects(tmp_path: Path) -> None:
    source = plate(tmp_path / "in", site("A1", 1), site("A1", 2, objects=0, blur=1.5), site("B2", 1, blur=2.5))
    found, _ = converted(source, tmp_path / "out")
    sites = found["sites.parquet"]
    assert sites.column_names == [
        "Metadata_TableNumber",
        "Metadata_ImageNumber",
        "Metadata_Dose",
        "Metadata_Plate",
        "Metadata_Site",
        "Metadata_Well",
        "Image_Count_Cells",
        "Image_Count_Nuclei",
        "Image_Granularity_1_RNA",
        BLUR,
    ]
    assert sites["Metadata_Well"].to_pylist() == ["A01", "A01", "B02"]
    assert sites["Metadata_Dose"].to_pylist() == [10, 20, 10]
    assert sites[BLUR].to_pylist() == [0.5, 1.5, 2.5]
    assert sites["Image_Count_Cells"].to_pylist() == [2.0, 0.0, 2.0]
    cells = found["single_cells.parquet"]
    assert set(cells["Metadata_TableNumber"].to_pylist()) < set(sites["Metadata_TableNumber"].to_pylist())
    assert set(infer_cp_features(sites.to_pandas(), image_features=True)) == set(sites.column_names[6:])


@pytest.mark.parametrize("stem", ["sites", "profiles"])
def test_the_list_of_columns_has_the_origin_of_image_features(stem: str, tmp_path: Path) -> None:
    source = plate(tmp_path / "in", site("A1", 1), site("B2", 1))
    converted(source, tmp_path / "out", well_profiles="median")
    columns = tmp_path / "out" / f"{stem}.columns.json"
    assert_describes(columns, tmp_path / "out" / f"{stem}.parquet")
    found = {column.pop("name"): column for column in columns_of(columns)}
    assert found[BLUR] == {
        **{"role": "feature", "type": "double", "compartment": "Image", "feature_group": "ImageQuality"},
        **{"channels": ["DNA"], "source_table": "image", "source_column": "ImageQuality_Blur_DNA"},
    }
    assert found["Metadata_Well"]["role"] == "metadata"


@pytest.mark.parametrize("preset", ["auto", "cellprofiler_csv"])
def test_single_cells_keep_their_bytes(preset: str, tmp_path: Path) -> None:
    source = plate(tmp_path / "in", site("A1", 1), site("A1", 2), site("B2", 1))
    digests = {
        next(one.sha256 for one in report.outputs if one.path.endswith("single_cells.parquet"))
        for report in (
            convert_to_folder(source, tmp_path / "without", preset=preset)[1],
            converted(source, tmp_path / "with", preset=preset)[1],
        )
    }
    assert len(digests) == 1


def test_a_failed_export_has_no_site(tmp_path: Path) -> None:
    source = plate(tmp_path / "in", site("A1", 1), site("A1", 2), site("B2", 1))
    with (source / "s2" / "Cells.csv").open("a") as stream:
        stream.write("1,1\n")
    found, _ = converted(source, tmp_path / "out", max_failed_exports=1, well_profiles="mean")
    assert found["sites.parquet"][BLUR].to_pylist() == [0.5, 0.5]
    assert found["sites.parquet"]["Metadata_Dose"].to_pylist() == [10, 10]
    assert found["profiles.parquet"]["Image_Granularity_1_RNA"].to_pylist() == [1.0, 1.0]


def _for_layout(options: dict[str, Any], layout: str) -> dict[str, Any]:
    """Return options whose SQL has the name of the layout's table."""
    return {
        name: "SELECT * FROM per_cells" if (name, layout) == ("joins", "per") else options[name] for name in options
    }


@pytest.mark.parametrize("layout", ["csv", "per", "cytominer"])
@pytest.mark.parametrize("options", [{}, {"join": False}, {"joins": "SELECT * FROM cells"}, {"sort_output": False}])
def test_every_layout_has_the_same_features(layout: str, options: dict[str, Any], tmp_path: Path) -> None:
    sites = [site("A1", 1, image=1), site("A1", 2, image=2, blur=1.5), site("B2", 1, image=3, blur=None)]
    if layout == "csv":
        source = plate(tmp_path / "in", *sites)
    else:
        named = [per_tables(one) if layout == "per" else cytominer_tables(one, n) for n, one in enumerate(sites)]
        source = write_sqlite(tmp_path / "in" / "p.sqlite", *named)
    found, _ = converted(source, tmp_path / "out", **_for_layout(options, layout))
    features = found["sites.parquet"].select([BLUR, "Image_Granularity_1_RNA", "Image_Count_Cells"]).to_pydict()
    blurs = [0.5, 1.5, None]
    assert features == {
        BLUR: blurs,
        "Image_Granularity_1_RNA": [1.0, 2.0, 1.0],
        "Image_Count_Cells": [2.0, 2.0, 2.0],
    }


def test_a_single_file_has_its_sites_beside_it_with_the_platemaps_columns(tmp_path: Path) -> None:
    source = plate(tmp_path / "in", site("A1", 1), site("B2", 1))
    platemap = tmp_path / "map.txt"
    platemap.write_text("well_position\tcompound\nA01\tDMSO\nB02\tdrug\n")
    convert(source, tmp_path / "p.parquet", image_features=True, platemap=str(platemap))
    sites = pq.read_table(tmp_path / "p.sites.parquet")
    assert sites["Metadata_compound"].to_pylist() == ["DMSO", "drug"]
    convert(source, tmp_path / "p.parquet")
    assert not (tmp_path / "p.sites.parquet").exists()


def test_anndata_has_the_sites_too(tmp_path: Path) -> None:
    _, report = converted(plate(tmp_path / "in", site()), tmp_path / "out", anndata=("h5ad",))
    assert "sites.h5ad" in [Path(one.path).name for one in report.outputs]


@pytest.mark.parametrize("write", [write_incarta_plate, write_npz_plate])
def test_a_format_without_image_tables_is_refused(write: Any, tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no image features") as caught:
        converted(write(tmp_path / "in"), tmp_path / "out")
    assert "no image tables" in caught.value.why


def test_image_tables_without_a_feature_are_refused(tmp_path: Path) -> None:
    tables = site_tables(2)
    tables["Image"] = tables["Image"].drop_columns(["Count_Cells", "Count_Nuclei"])
    with pytest.raises(LayoutError, match="no image features"):
        converted(write_site(tmp_path / "in", tables), tmp_path / "out")


def test_text_among_features_is_named(tmp_path: Path) -> None:
    found, report = converted(plate(tmp_path / "in", site(blur="sharp")), tmp_path / "out")
    assert BLUR not in found["sites.parquet"].column_names
    what = "columns of the image table that hold text are no features: ImageQuality_Blur_DNA"
    assert what in [one.what for one in report.warnings]


values = st.none() | st.floats(-1e3, 1e3) | st.just(float("nan"))
sites_of_wells = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 3), values), min_size=1, max_size=8)


@settings(max_examples=examples(12))
@given(sites=sites_of_wells.filter(lambda each: any(n for _, n, _ in each)), how=st.sampled_from(["mean", "median"]))
def test_wells_have_the_aggregate_of_their_sites(
    sites: list[tuple[str, int, float | None]], how: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """pandas is the reference; a site counts once, however many objects it has."""
    root = tmp_path_factory.mktemp("plate")
    made = [site(f"{row}1", n, objects, blur) for n, (row, objects, blur) in enumerate(sites, start=1)]
    found, _ = converted(plate(root / "in", *made), root / "out", well_profiles=how)
    profiles = found["profiles.parquet"].to_pandas().set_index(STRATA)
    table = pd.DataFrame(
        {
            "Metadata_Plate": "P1",
            "Metadata_Well": [f"{row}01" for row, _, _ in sites],
            BLUR: pd.array([np.nan if blur is None else blur for _, _, blur in sites], "float64"),
            "Image_Granularity_1_RNA": [float(n) for n, _ in enumerate(sites, start=1)],
        }
    )
    expected = table.groupby(STRATA).agg(how)
    for name in expected:
        assert np.allclose(profiles[name], expected.loc[profiles.index, name], equal_nan=True)
    assert set(profiles.index) == {("P1", f"{row}01") for row, objects, _ in sites if objects}
    assert np.allclose(found["sites.parquet"][BLUR].to_pandas().astype(float), table[BLUR], equal_nan=True)
