"""The order of sites changes nothing, every object gives a row, and well profiles are pandas' own."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cytobatch.planning.schema import ExportColumns, unify_schemas
from tests.support.examples import examples
from tests.support.plates import (
    Tables,
    convert,
    convert_to_folder,
    cytominer_tables,
    incarta_table,
    npz_members,
    per_tables,
    site_tables,
    with_column,
    write_incarta,
    write_npz,
    write_site,
    write_sqlite,
)

PURE = settings(max_examples=examples(80), deadline=None)
REAL = settings(max_examples=examples(3), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NAMES = st.sampled_from(["a", "b", "A", "Metadata_x", "Metadata_Site", "ImageNumber", "Texture_1", "Texture_10", "z"])
NUMERIC = st.sampled_from([pa.int64(), pa.float64(), pa.null()])
ANY = st.sampled_from([pa.int64(), pa.float64(), pa.null(), pa.string()])


@st.composite
def schemas(draw: st.DrawFn) -> list[pa.Schema]:
    """Draw headers of several exports; text only under names that have no type, because it is refused elsewhere."""
    drawn = []
    for _ in range(draw(st.integers(1, 5))):
        names = draw(st.lists(NAMES, unique=True, max_size=7))
        drawn.append(pa.schema([(name, draw(ANY if "Metadata_" in name else NUMERIC)) for name in names]))
    return drawn


@PURE
@given(schemas(), st.data())
def test_unify_gives_one_schema_for_any_order_of_exports(headers: list[pa.Schema], data: st.DataObject) -> None:
    parts = [ExportColumns(f"site{number}", schema) for number, schema in enumerate(headers)]
    assert unify_schemas("cells", data.draw(st.permutations(parts))).equals(unify_schemas("cells", parts))


KINDS = ("whole", "fraction", "blank", "lacking", "extra")
SITES = st.lists(st.sampled_from(KINDS), min_size=2, max_size=4)


def unusual_site(kind: str, site: int, *, text: bool) -> Tables:
    """Return a site with values of its own, and with columns that differ from those of other sites."""
    tables = site_tables(2, offset=1000.0 * site)
    values = {
        "whole": pa.array([site, site + 1]),
        "fraction": pa.array([site + 0.5, None]),
        "blank": pa.nulls(2, pa.float64()),
    }.get(kind)
    if values is not None:
        for name in ("Odd", "Metadata_Odd"):
            tables["Cells"] = tables["Cells"].append_column(name, values)
    if kind == "extra":
        tables["Nuclei"] = tables["Nuclei"].add_column(0, "Extra", pa.array([1.5, 2.5, float(site)]))
        tables["Image"] = tables["Image"].add_column(0, "Extra", pa.array([7]))
        tables["Cells"] = tables["Cells"].append_column("Metadata_Odd", pa.array(["x", f"y{site}"]))
    tables["Image"] = with_column(tables["Image"], "Metadata_Site", pa.array([f"t{site}" if text else site]))
    return tables


def multiset(table: pa.Table) -> Counter[str]:
    return Counter(repr(sorted(row.items())) for row in table.to_pylist())


def same_but_for_order(one: dict[str, pa.Table], other: dict[str, pa.Table]) -> None:
    assert sorted(one) == sorted(other)
    for name, table in one.items():
        assert table.schema.equals(other[name].schema), name
        assert multiset(table) == multiset(other[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("join", [True, False])
@pytest.mark.parametrize("kind", ["csv", "per", "cytominer"])
@REAL
@given(sites=SITES, data=st.data())
@example(sites=["whole", "extra", "fraction"], data=None)
def test_the_order_of_exports_changes_neither_rows_nor_columns(
    tmp_path_factory: pytest.TempPathFactory, kind: str, join: bool, sites: list[str], data: st.DataObject | None
) -> None:
    root = tmp_path_factory.mktemp("order")
    order = list(range(len(sites)))[::-1] if data is None else data.draw(st.permutations(range(len(sites))))
    results = []
    for turn, folders in enumerate((list(range(len(sites))), order)):
        for site, (number, content) in enumerate(zip(folders, sites, strict=True)):
            tables = unusual_site(content, site, text=site == 1)
            folder = root / str(turn)
            if kind == "csv":
                write_site(folder / f"f{number}", tables)
            else:
                named = per_tables(tables) if kind == "per" else cytominer_tables(tables, site)
                write_sqlite(folder / f"f{number}.sqlite", named)
        numbered = kind == "csv"
        results.append(
            convert_to_folder(
                root / str(turn), root / f"out{turn}", join=join, add_tablenumber=numbered, image_columns="Image_.*"
            )[0]
        )
    same_but_for_order(*results)
    if join:
        assert results[0]["single_cells.parquet"].num_rows == 2 * len(sites)


@REAL
@given(objects=st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any), data=st.data())
def test_npz_files_in_any_order_give_a_row_for_each_object(
    tmp_path_factory: pytest.TempPathFactory, objects: list[int], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("npz")
    results = []
    for turn, order in enumerate((range(len(objects)), data.draw(st.permutations(range(len(objects)))))):
        for site, (number, count) in enumerate(zip(order, objects, strict=True)):
            metadata = {f"Own_{site}": site} | ({"Dose": site} if site % 2 else {"Dose": site + 0.5})
            members = npz_members(count, 2 + site % 2, Metadata_Site=site, Metadata_Note=None, **metadata)
            write_npz(root / str(turn) / f"f{number}.npz", members)
        table, report = convert(root / str(turn), root / f"out{turn}")
        assert table.num_rows == report.counts.rows == sum(objects)
        results.append({"cells": table.drop_columns(["Metadata_NPZSource"])})
    same_but_for_order(*results)


@REAL
@given(objects=st.lists(st.integers(1, 4), min_size=1, max_size=5), data=st.data())
def test_incarta_files_in_any_order_give_a_row_for_each_object(
    tmp_path_factory: pytest.TempPathFactory, objects: list[int], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("incarta")
    results = []
    for turn, order in enumerate((range(len(objects)), data.draw(st.permutations(range(len(objects)))))):
        for site, (number, count) in enumerate(zip(order, objects, strict=True)):
            table = incarta_table(wells=("C - 3",), fields=2, objects=count)
            own = pa.array([float(site) if site % 2 else site + 0.25] * table.num_rows)
            table = table.append_column("Neighbor Count wv9", own)
            table = table.append_column(f"Own {site % 3} wv1", own).append_column(
                "Note", pa.nulls(len(own), pa.string())
            )
            write_incarta(root / str(turn) / f"f{number}.csv", table)
        table, report = convert(root / str(turn), root / f"out{turn}")
        assert table.num_rows == report.counts.rows == 2 * sum(objects)
        results.append({"cells": table})
    same_but_for_order(*results)


@pytest.mark.parametrize("kind", ["incarta", "npz"])
@REAL
@given(exports=st.integers(1, 6), objects=st.integers(1, 8))
def test_k_equal_files_of_whole_rows_give_k_times_n_rows(
    tmp_path_factory: pytest.TempPathFactory, kind: str, exports: int, objects: int
) -> None:
    root = tmp_path_factory.mktemp("flat")
    for export in range(exports):
        if kind == "npz":
            write_npz(root / "in" / "P1" / f"A01_{export + 1}.npz", npz_members(objects, Metadata_Site=1))
        else:
            write_incarta(root / "in" / f"{export}.csv", incarta_table(("C - 3",), 1, objects))
    table, report = convert(root / "in", root)
    assert table.num_rows == report.counts.rows == exports * objects


@pytest.mark.parametrize("typed", [("BIGINT", "TEXT"), ("TEXT", "BIGINT")])
def test_an_image_column_is_text_where_one_sqlite_file_has_it_as_text(tmp_path: Path, typed: tuple[str, str]) -> None:
    for number, kind in enumerate(typed):
        tables = site_tables(2, plate="x")
        plate = pa.array(["P7"]) if kind == "TEXT" else pa.array([7])
        tables["Image"] = with_column(tables["Image"], "Metadata_Plate", plate)
        write_sqlite(tmp_path / "in" / f"{number}.sqlite", per_tables(tables))
    table, _ = convert(tmp_path / "in", tmp_path)
    assert Counter(table["Metadata_Plate"].to_pylist()) == {"P7": 2, "7": 2}


# Well profiles

MEASURED = st.one_of(
    st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0]), st.none(), st.integers(-9, 9)
)
CELLS = st.lists(
    st.tuples(st.sampled_from(["A01", "B02", "H12", None]), MEASURED, MEASURED), min_size=1, max_size=24
).filter(lambda cells: any(well for well, _, _ in cells))


def as_pandas_has_it(single: pa.Table, features: list[str], how: str) -> pd.DataFrame:
    frame = single.to_pandas()
    groups = frame.groupby(["Metadata_Plate", "Metadata_Well"], dropna=False)[features]
    with np.errstate(all="ignore"):
        values: pd.DataFrame = getattr(groups, how)()
    return values


def same_wells(tables: dict[str, pa.Table], features: list[str], how: str) -> None:
    expected = as_pandas_has_it(tables["single_cells.parquet"], features, how)
    wells = tables["profiles.parquet"].to_pandas().set_index(["Metadata_Plate", "Metadata_Well"])[features]
    key = [(plate, well if isinstance(well, str) else "") for plate, well in wells.index]
    other = [(plate, well if isinstance(well, str) else "") for plate, well in expected.index]
    assert sorted(key) == sorted(other)
    assert len(set(key)) == len(key)
    wells.index, expected.index = pd.Index(key, tupleize_cols=False), pd.Index(other, tupleize_cols=False)
    values = wells.reindex(expected.index).to_numpy(float)
    np.testing.assert_allclose(values, expected.to_numpy(float), rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["median", "mean"])
@settings(REAL, max_examples=examples(8))
@given(cells=CELLS)
@example(cells=[("A01", math.inf, None), ("A01", math.inf, math.nan), ("B02", -math.inf, 1.0), ("B02", math.inf, 2.0)])
@example(cells=[("A01", math.inf, -math.inf), ("A01", math.inf, -math.inf), ("A01", 1.0, 1.0), (None, 1.0, 2.0)])
def test_well_profiles_are_those_of_pandas(
    tmp_path_factory: pytest.TempPathFactory, how: str, cells: list[tuple[str | None, float | None, float | None]]
) -> None:
    root = tmp_path_factory.mktemp("wells")
    for number, well in enumerate(sorted({well or "" for well, _, _ in cells})):
        own = [(one, other) for name, one, other in cells if (name or "") == well]
        tables = site_tables(len(own), well=well)
        columns = zip(*own, strict=True)
        for name, values in zip(("one", "two"), columns, strict=True):
            floats = pa.array([None if value is None else float(value) for value in values], pa.float64())
            tables["Cells"] = tables["Cells"].append_column(name, floats)
        write_site(root / "in" / f"s{number}", tables)
    tables_out, _ = convert_to_folder(root / "in", root / "out", well_profiles=how, plate="P1")
    same_wells(tables_out, ["Cells_one", "Cells_two", "Nuclei_AreaShape_Area"], how)


@pytest.mark.usefixtures("any_memory")
@pytest.mark.parametrize("how", ["median", "mean"])
def test_well_profiles_of_many_columns_in_little_memory(tmp_path: Path, how: str) -> None:
    dice = np.random.default_rng(7)
    for site, well in enumerate(("A01", "A01", "B02", "")):
        features = dice.normal(size=(60, 1200)).astype(np.float32)
        features[dice.random(features.shape) < 0.01] = np.nan
        members = npz_members(1, Metadata_Well=well, Metadata_Site=site)
        members |= {"features": features, "locations": dice.random((60, 2))}
        write_npz(tmp_path / "in" / f"f{site}.npz", members)
    tables, _ = convert_to_folder(tmp_path / "in", tmp_path / "out", well_profiles=how, memory=64 * 2**20)
    same_wells(tables, [f"net_{number}" for number in range(1, 1201)], how)


@pytest.mark.parametrize("few", [1, 3, 5])
def test_a_profile_of_few_of_the_objects_has_their_values(few: int, tmp_path: Path) -> None:
    for site in range(1, 4):
        tables = site_tables(9, offset=1000.0 * site)
        chosen = [8, 5, 2, 7, 4][:few]
        image = tables["Image"].select(["ImageNumber", "Metadata_Plate", "Metadata_Well"])
        cut = {name: tables[name].take(chosen) for name in ("Cells", "Cytoplasm")} | {"Image": image}
        write_site(tmp_path / "in" / f"P1-A01-{site}", tables | cut)
    table, report = convert(tmp_path / "in", tmp_path / "out", plate="P1")
    assert report.counts.rows == table.num_rows == 3 * few
    areas = {name: table[f"{name}_AreaShape_Area"].to_numpy() for name in ("Cells", "Cytoplasm", "Nuclei")}
    numbers = [number for _ in range(3) for number in sorted(row + 1 for row in chosen)]
    offsets = np.repeat([1000.0, 2000.0, 3000.0], few)
    assert (areas["Cells"] - offsets).tolist() == numbers
    assert ((areas["Cytoplasm"] - offsets) / 10).tolist() == numbers
    assert ((areas["Nuclei"] - offsets) / 100).tolist() == numbers
