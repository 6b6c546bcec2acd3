"""Compartments with several objects for each parent: the first one, the mean of all, or their number."""

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
from pydantic import ValidationError

from cytobatch.config.option_types import Children
from cytobatch.config.options import PlateJob
from cytobatch.report.model import RunReport
from tests.support.column_lists import assert_describes, columns_of
from tests.support.examples import examples
from tests.support.plates import (
    Tables,
    convert,
    convert_to_folder,
    cytominer_tables,
    site_tables,
    write_npz_plate,
    write_site,
    write_sqlite,
)

FURTHER = "further children of one parent, of which the profile has the first; the option 'children' takes all of them"
UNATTACHED = "objects that no object of cytoplasm belongs to"
COUNT = "Metadata_Children_Ph3_Count"


def children(*rows: tuple[int, float | None], image: int = 1, parent: str = "Nuclei") -> pa.Table:
    """Return a table of children, each with the number of its parent and an area."""
    return pa.table(
        {
            "ImageNumber": pa.array([image] * len(rows), pa.int64()),
            "ObjectNumber": pa.array(range(1, len(rows) + 1), pa.int64()),
            "AreaShape_Area": pa.array([area for _, area in rows], pa.float64()),
            "Children_Dots_Count": pa.array([1] * len(rows), pa.int64()),
            f"Parent_{parent}": pa.array([number for number, _ in rows], pa.int64()),
        }
    )


def plate(root: Path, ph3: pa.Table, **more: pa.Table) -> Path:
    return write_site(root / "in", site_tables(3) | {"Ph3": ph3} | more)


def named(report: RunReport, table: str = "ph3") -> dict[str, int | None]:
    return {one.what: one.count for one in report.warnings if one.table == table}


ROWS = [(2, 1.0), (2, 3.0), (3, 5.0), (4, 7.0), (0, 9.0)]
"""Two children of nucleus 2, one of nucleus 3, one of a nucleus without cell, and one without a parent."""


def test_the_first_child_is_the_default_and_others_are_named_for_what_they_are(tmp_path: Path) -> None:
    table, report = convert(plate(tmp_path, children(*ROWS)), tmp_path)
    assert table["Ph3_AreaShape_Area"].to_pylist() == [None, 1.0, 5.0]
    assert named(report) == {FURTHER: 1, UNATTACHED: 2}
    explicit, _ = convert(tmp_path / "in", tmp_path / "first", children="first")
    assert explicit.equals(table)


def test_the_mean_of_all_children_and_their_number(tmp_path: Path) -> None:
    table, report = convert(plate(tmp_path, children(*ROWS)), tmp_path, children="mean")
    assert table["Ph3_AreaShape_Area"].to_pylist() == [None, 2.0, 5.0]
    assert table[COUNT].to_pylist() == [0, 2, 1]
    assert [name for name in table.column_names if "Ph3" in name] == [COUNT, "Ph3_AreaShape_Area"]
    assert named(report) == {UNATTACHED: 2, "objects of which a row has the mean for each object of nuclei": 3}
    assert (
        report.joins[-1]
        == "ph3: ph3.Parent_Nuclei = nuclei.ObjectNumber, the mean of all objects for each object of nuclei"
    )
    assert "Ph3_AreaShape_Area" in infer_cp_features(table.to_pandas(), compartments=["ph3"])


def test_the_number_of_children(tmp_path: Path) -> None:
    table, report = convert(plate(tmp_path, children(*ROWS)), tmp_path, children="count")
    assert [name for name in table.column_names if "Ph3" in name] == [COUNT]
    assert table[COUNT].to_pylist() == [0, 2, 1]
    assert table.schema.field(COUNT).type == pa.int64()
    assert named(report) == {UNATTACHED: 2, "objects of which a row has the count for each object of nuclei": 3}


@pytest.mark.parametrize("mode", ["mean", "count"])
def test_the_number_is_no_feature_in_the_list_of_columns(mode: str, tmp_path: Path) -> None:
    convert_to_folder(plate(tmp_path, children(*ROWS)), tmp_path / "out", children=mode)
    columns = tmp_path / "out" / "columns.json"
    assert_describes(columns, tmp_path / "out" / "single_cells.parquet")
    roles = {column["name"]: (column["role"], column["feature_group"]) for column in columns_of(columns)}
    assert roles[COUNT] == ("metadata", "Children")
    assert roles.get("Ph3_AreaShape_Area") == (("feature", "AreaShape") if mode == "mean" else None)


def test_a_row_without_the_parent_has_no_number(tmp_path: Path) -> None:
    tables = site_tables(3) | {"Ph3": children(*ROWS)}
    tables["Cytoplasm"] = tables["Cytoplasm"].set_column(4, "Parent_Nuclei", pa.array([1, 0, 3]))
    table, report = convert(write_site(tmp_path / "in", tables), tmp_path, children="mean")
    assert table[COUNT].to_pylist() == [0, None, 1]
    assert named(report)[UNATTACHED] == 4


def test_children_of_children_belong_to_the_same_row(tmp_path: Path) -> None:
    """Their mean is over all of them, not over the means of their parents."""
    dots = children((1, 1.0), (1, 2.0), (2, 6.0), (4, 100.0), parent="Ph3")
    source = plate(tmp_path, children(*ROWS), Dots=dots)
    table, report = convert(source, tmp_path, children="mean")
    assert table["Dots_AreaShape_Area"].to_pylist() == [None, 3.0, None]
    assert table["Metadata_Children_Dots_Count"].to_pylist() == [0, 3, 0]
    assert named(report, "dots")[UNATTACHED] == 1
    first, report = convert(source, tmp_path / "first")
    assert first["Dots_AreaShape_Area"].to_pylist() == [None, 1.0, None]
    assert named(report, "dots") == {FURTHER: 1, UNATTACHED: 2}


def test_a_parent_of_children_is_counted_once_in_each_row(tmp_path: Path) -> None:
    ph3 = children((2, 1.0), (2, 3.0), (3, 5.0)).append_column("Parent_Zones", pa.array([1, 1, 2]))
    zones = children((0, 10.0), (0, 20.0)).drop_columns(["Parent_Nuclei"])
    table, report = convert(plate(tmp_path, ph3, Zones=zones), tmp_path, children="mean")
    assert table["Zones_AreaShape_Area"].to_pylist() == [None, 10.0, 20.0]
    assert table["Metadata_Children_Zones_Count"].to_pylist() == [0, 1, 1]
    assert named(report, "zones") == {"objects of which a row has the mean for each object of nuclei": 2}


def test_an_option_without_effect_is_named(tmp_path: Path) -> None:
    for source in (write_site(tmp_path / "in", site_tables(3)), write_npz_plate(tmp_path / "npz")):
        _, report = convert(source, tmp_path / f"{source.name}-out", children="mean")
        what = "children is 'mean', but no compartment of the profile is the child of another"
        assert what in [one.what for one in report.warnings]


@pytest.mark.parametrize("options", [{"join": False}, {"joins": "SELECT * FROM cells"}])
def test_children_are_refused_where_nothing_is_joined(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="children: it is about the joins that cytobatch finds"):
        PlateJob(source="/in", destination="/out", children="mean", **options)
    assert PlateJob(source="/in", destination="/out", children="first", **options)


def test_well_profiles_have_the_means(tmp_path: Path) -> None:
    source = plate(tmp_path, children(*ROWS))
    found, _ = convert_to_folder(source, tmp_path / "out", children="mean", well_profiles="mean")
    assert found["profiles.parquet"]["Ph3_AreaShape_Area"].to_pylist() == [3.5]
    assert COUNT not in found["profiles.parquet"].column_names


areas = st.none() | st.floats(-1e3, 1e3) | st.just(float("nan"))
exports = st.lists(st.lists(st.tuples(st.integers(0, 4), areas), max_size=9), min_size=1, max_size=3)


@pytest.mark.slow
@settings(max_examples=examples(25))
@given(rows=exports, sqlite=st.booleans(), first_image=st.integers(1, 2), how=st.sampled_from(Children))
def test_children_are_those_of_pandas_and_all_are_accounted_for(
    rows: list[list[tuple[int, float | None]]],
    sqlite: bool,
    first_image: int,
    how: Children,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("plate")
    sites: list[Tables] = []
    for number, own in enumerate(rows):
        image = first_image + number if sqlite else 1
        tables = site_tables(3, image=image, offset=1000.0 * number)
        tables["Image"] = tables["Image"].append_column("Count_Ph3", pa.array([len(own)]))
        sites.append(tables | {"Ph3": children(*own, image=image)})
    if sqlite:
        source = write_sqlite(root / "in" / "p.sqlite", *(cytominer_tables(one, n) for n, one in enumerate(sites)))
    else:
        source = root / "in"
        for number, site in enumerate(sites):
            write_site(source / f"s{number}", site)
    if not any(rows):
        return
    table, report = convert(source, root, children=how)
    found = table.to_pandas().sort_values("Nuclei_AreaShape_Area")
    frame = pd.DataFrame(
        [(export, parent, area) for export, own in enumerate(rows) for parent, area in own],
        columns=["export", "parent", "area"],
    ).astype({"area": "float64"})
    groups = frame.groupby(["export", "parent"])["area"]
    index = pd.MultiIndex.from_product([range(len(rows)), (1, 2, 3)])
    sizes = groups.size().reindex(index, fill_value=0)
    if how is not Children.COUNT:
        first = frame.drop_duplicates(["export", "parent"]).set_index(["export", "parent"])["area"]
        expected = (groups.mean() if how is Children.MEAN else first).reindex(index)
        assert np.allclose(found["Ph3_AreaShape_Area"].to_numpy(float), expected.to_numpy(), equal_nan=True)
    if how is not Children.FIRST:
        assert found[COUNT].tolist() == sizes.tolist()
    in_rows = int((sizes > 0).sum()) if how is Children.FIRST else 0
    assert in_rows + sum(count or 0 for count in named(report).values()) == len(frame) == report.counts.objects["ph3"]


def test_without_a_join_each_child_has_a_row(tmp_path: Path) -> None:
    found, _ = convert_to_folder(plate(tmp_path, children(*ROWS)), tmp_path / "out", join=False)
    assert found["ph3.parquet"].num_rows == len(ROWS)
    assert pq.read_schema(tmp_path / "out" / "ph3.parquet").names == found["ph3.parquet"].column_names
