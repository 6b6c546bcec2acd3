from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cytobatch.conversion.key_join import row_numbers
from cytobatch.errors import InputDataError
from cytobatch.report.model import Outcome
from tests.support.examples import examples
from tests.support.plates import (
    convert,
    cytominer_tables,
    per_tables,
    site_tables,
    with_column,
    write_site,
    write_sites,
    write_sqlite,
)

REAL = settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def identity(table: pa.Table) -> set[tuple[object, ...]]:
    """Return the values that identify the rows of this module's plates: no two objects share them."""
    names = ["Cytoplasm_AreaShape_Area", "Cells_AreaShape_Area", "Nuclei_AreaShape_Area"]
    return set(zip(*(table[name].to_pylist() for name in names), strict=True))


def expected(exports: int, objects: int) -> set[tuple[float, float, float]]:
    return {
        (1000.0 * export + 10 * n, 1000.0 * export + n, 1000.0 * export + 100 * n)
        for export in range(1, exports + 1)
        for n in range(1, objects + 1)
    }


@REAL
@given(exports=st.integers(1, 6), objects=st.integers(1, 8))
def test_k_site_folders_that_all_start_at_image_1_give_k_times_n_rows(
    tmp_path_factory: pytest.TempPathFactory, exports: int, objects: int
) -> None:
    root = tmp_path_factory.mktemp("plate")
    table, report = convert(write_sites(root / "in", exports, objects), root)
    assert table.num_rows == report.counts.rows == exports * objects
    assert identity(table) == expected(exports, objects)


@pytest.mark.slow
@REAL
@given(exports=st.integers(1, 6), objects=st.integers(1, 8), per=st.booleans())
def test_k_sqlite_files_that_all_start_at_image_1_give_k_times_n_rows(
    tmp_path_factory: pytest.TempPathFactory, exports: int, objects: int, per: bool
) -> None:
    root = tmp_path_factory.mktemp("plate")
    for export in range(1, exports + 1):
        tables = site_tables(objects, offset=1000.0 * export)
        named = per_tables(tables) if per else cytominer_tables(tables, 7)
        write_sqlite(root / "in" / f"{export}.sqlite", named)
    table, _ = convert(root / "in", root)
    assert table.num_rows == exports * objects
    assert identity(table) == expected(exports, objects)


@pytest.mark.slow
@REAL
@given(exports=st.integers(1, 6), objects=st.integers(1, 8), text=st.booleans())
def test_k_table_numbers_in_one_sqlite_give_k_times_n_rows(
    tmp_path_factory: pytest.TempPathFactory, exports: int, objects: int, text: bool
) -> None:
    root = tmp_path_factory.mktemp("plate")
    numbers = [f"{n:032x}" if text else n for n in range(1, exports + 1)]
    sites = [cytominer_tables(site_tables(objects, offset=1000.0 * n), number) for n, number in enumerate(numbers, 1)]
    table, _ = convert(write_sqlite(root / "in" / "plate.sqlite", *sites), root)
    assert table.num_rows == exports * objects
    assert identity(table) == expected(exports, objects)
    assert set(table["Metadata_TableNumber"].to_pylist()) == set(numbers)


@REAL
@given(images=st.integers(1, 6), objects=st.integers(1, 8), seed=st.randoms(use_true_random=False))
def test_a_whole_plate_folder_joins_within_each_image_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, images: int, objects: int, seed: object
) -> None:
    root = tmp_path_factory.mktemp("plate")
    sites = [site_tables(objects, image=n, offset=1000.0 * n) for n in range(1, images + 1)]
    tables = {}
    for name in sites[0]:
        whole = pa.concat_tables([site[name] for site in sites])
        order = list(range(whole.num_rows))
        seed.shuffle(order)  # type: ignore[attr-defined]
        tables[name] = whole.take(order)
    table, _ = convert(write_site(root / "in", tables), root)
    assert identity(table) == expected(images, objects)
    keys = list(zip(table["Metadata_ImageNumber"].to_pylist(), table["Metadata_ObjectNumber"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert len(keys) == images * objects


def test_copies_of_a_site_equal_byte_for_byte_have_numbers_of_their_own(tmp_path: Path) -> None:
    for copy in ("a", "b", "c"):
        write_site(tmp_path / "in" / copy, site_tables(4))
    table, _ = convert(tmp_path / "in", tmp_path)
    assert table.num_rows == 12
    assert len(set(table["Metadata_TableNumber"].to_pylist())) == 3


def test_a_base_object_without_its_parent_keeps_its_row(tmp_path: Path) -> None:
    tables = site_tables(4)
    tables["Cells"] = tables["Cells"].filter(pc.not_equal(tables["Cells"]["ObjectNumber"], 2))
    tables["Image"] = tables["Image"].drop_columns(["Count_Cells"])
    table, report = convert(write_site(tmp_path / "in", tables), tmp_path)
    assert table["Cells_AreaShape_Area"].to_pylist() == [1.0, None, 3.0, 4.0]
    assert table["Nuclei_AreaShape_Area"].to_pylist() == [100.0, 200.0, 300.0, 400.0]
    warnings = {(w.table, w.what): w.count for w in report.warnings}
    assert warnings["cytoplasm", "objects whose parent is not in cells"] == 1
    assert warnings["nuclei", "objects that no object of cytoplasm belongs to"] == 1


def test_a_parent_of_0_is_no_parent_and_no_warning(tmp_path: Path) -> None:
    tables = site_tables(3)
    tables["Cytoplasm"] = with_column(tables["Cytoplasm"], "Parent_Nuclei", pa.array([1, 0, 3]))
    table, report = convert(write_site(tmp_path / "in", tables), tmp_path)
    assert table["Nuclei_AreaShape_Area"].to_pylist() == [100.0, None, 300.0]
    assert not [warning for warning in report.warnings if "parent" in warning.what]


def test_cells_and_nuclei_alone_join_without_cytoplasm(tmp_path: Path) -> None:
    tables = site_tables(3)
    del tables["Cytoplasm"]
    table, report = convert(write_site(tmp_path / "in", tables), tmp_path)
    assert table["Nuclei_AreaShape_Area"].to_pylist() == [100.0, 200.0, 300.0]
    assert report.joins[0] == "one row for each object of cells"


def test_nuclei_alone_are_a_profile(tmp_path: Path) -> None:
    tables = {name: table for name, table in site_tables(3).items() if name in ("Image", "Nuclei")}
    table, _ = convert(write_site(tmp_path / "in", tables), tmp_path)
    assert table.num_rows == 4


def test_an_extra_compartment_joins_its_first_child_and_the_others_are_counted(tmp_path: Path) -> None:
    tables = site_tables(3)
    tables["PH3"] = pa.table(
        {"ImageNumber": [1, 1, 1], "ObjectNumber": [1, 2, 3], "Area": [1.0, 2.0, 3.0], "Parent_Nuclei": [2, 2, 3]}
    )
    table, report = convert(write_site(tmp_path / "in", tables), tmp_path)
    assert table.num_rows == 3
    assert table["PH3_Area"].to_pylist() == [None, 1.0, 3.0]
    unmatched = [warning for warning in report.warnings if warning.table == "ph3"]
    assert [warning.count for warning in unmatched] == [1]


def test_a_compartment_without_a_link_to_the_base_is_reported(tmp_path: Path) -> None:
    tables = site_tables(2) | {"Worms": pa.table({"ImageNumber": [1], "ObjectNumber": [1], "Area": [1.0]})}
    table, report = convert(write_site(tmp_path / "in", tables), tmp_path)
    assert not [name for name in table.column_names if name.startswith("Worms")]
    assert any(warning.table == "worms" and "left out" in warning.what for warning in report.warnings)


_KEY = st.tuples(st.integers(1, 2), st.integers(1, 3))
KEYS = st.one_of(*[st.lists(_KEY, min_size=1, unique=True)] * 7, st.lists(_KEY, max_size=5))
"""Image and object numbers in any order, in one of eight tables perhaps twice."""


def keyed(keys: list[tuple[int, int]], **parents: list[int]) -> pa.Table:
    images, numbers = [key[0] for key in keys], [key[1] for key in keys]
    columns = {"ImageNumber": images, "ObjectNumber": numbers, **parents}
    table = pa.table({name: pa.array(values, pa.int64()) for name, values in columns.items()})
    return table.append_column("AreaShape_Area", pa.array([10.0 * image + number for image, number in keys]))


@REAL
@given(data=st.data())
def test_no_two_rows_have_one_key_whatever_numbers_the_tables_repeat(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Keys are unique without a look at the finished profile: repeated ones fail their export before it is joined."""
    root = tmp_path_factory.mktemp("plate")
    rows_of: dict[str, int] = {}
    repeated: set[str] = set()
    for site in ("a", "b", "c"):
        base, cells, nuclei = (data.draw(KEYS) for _ in range(3))
        parents = {name: [data.draw(st.integers(0, 4)) for _ in base] for name in ("Parent_Cells", "Parent_Nuclei")}
        images = data.draw(st.sampled_from([*[[1, 2]] * 7, [1, 2, 2]]))
        image = pa.table({"ImageNumber": images, "Metadata_Well": ["A01"] * len(images)})
        tables = {"Image": image, "Cytoplasm": keyed(base, **parents), "Cells": keyed(cells), "Nuclei": keyed(nuclei)}
        write_site(root / "in" / site, tables)
        rows_of[site] = len(base)
        if any(len(set(keys)) < len(keys) for keys in (base, cells, nuclei, images)):
            repeated.add(site)
    try:
        table, report = convert(root / "in", root, max_failed_exports=3)
    except InputDataError:
        return
    failed = {entry.export for entry in report.ledger if entry.outcome is Outcome.FAILED}
    assert repeated <= failed
    names = ("Metadata_TableNumber", "Metadata_ImageNumber", "Metadata_ObjectNumber")
    keys = list(zip(*(table[name].to_pylist() for name in names if name in table.column_names), strict=True))
    assert len(set(keys)) == len(keys) == sum(count for site, count in rows_of.items() if site not in failed)


def test_row_numbers() -> None:
    assert row_numbers(3, 4).to_pylist() == [4, 5, 6]
    assert row_numbers(0).to_pylist() == []


@pytest.mark.parametrize("name", ["e", "image keys", "keys_image", "#", "it's", 'a "b"', "ünï", "a;--b"])
def test_a_compartment_of_any_name_is_joined(tmp_path: Path, name: str) -> None:
    tables = site_tables(2)
    tables[name] = pa.table({"ImageNumber": [1], "ObjectNumber": [1], "Area": [7.0], "Parent_Nuclei": [2]})
    table, _ = convert(write_site(tmp_path / "in", tables), tmp_path)
    label = name[:1].upper() + name[1:]
    assert table[f"{label}_Area"].to_pylist() == [None, 7.0]
