"""A plate in parts: the bytes and the report of the plate as a whole."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cytobatch.conversion.convert import ConvertedPlate
from cytobatch.conversion.ledger import RunLedger
from cytobatch.errors import InputDataError, TooManyFailedExportsError
from tests.support.examples import examples
from tests.support.parts import converted_plate
from tests.support.plates import (
    incarta_table,
    per_tables,
    site_tables,
    with_column,
    write_incarta,
    write_site,
    write_sites,
    write_sqlite,
)

SMALL = 600
"""Bytes of about two sites."""


def of_report(ledger: RunLedger) -> list[object]:
    """All that a report takes from a ledger."""
    return [
        ledger.entries,
        ledger.warnings,
        ledger.repairs,
        ledger.non_finite,
        ledger.objects,
        ledger.flows,
        ledger.losses,
        ledger.software,
        ledger.plate_names,
        ledger.wells,
        ledger.sites,
        ledger.rows,
        ledger.rows_dropped,
    ]


def sums(converted: ConvertedPlate) -> dict[str, tuple[int, int, str]]:
    return {name: (file.rows, file.columns, file.sha256) for name, file in converted.files.items()}


def assert_same(source: Path, folder: Path, **options: Any) -> int:
    """Assert that a plate in parts is the plate as a whole, and return the number of parts."""
    whole, _ = converted_plate(source, folder / "whole", in_parts=False, **options)
    parted, parts = converted_plate(source, folder / "parts", in_parts=True, **options)
    assert sums(parted) == sums(whole)
    for ours, theirs in zip(of_report(parted.ledger), of_report(whole.ledger), strict=True):
        assert ours == theirs
    return parts


def sites(folder: Path, objects: list[int]) -> Path:
    for number, count in enumerate(objects, 1):
        tables = site_tables(count, offset=1000.0 * number)
        tables["Image"] = with_column(tables["Image"], "Metadata_Site", pa.array([number]))
        write_site(folder / f"P1-A01-{number}", tables)
    return folder


@pytest.mark.slow
@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    objects=st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any),
    range_size=st.integers(1, 4000),
    options=st.fixed_dictionaries(
        {
            "sort_output": st.booleans(),
            "drop_null": st.booleans(),
            "workers": st.integers(1, 2),
            "add_tablenumber": st.sampled_from([None, True, False]),
            "data_type_cast_map": st.sampled_from([{}, {"float": "float32"}]),
        }
    ),
)
def test_parts_of_any_plate_make_the_plate(
    tmp_path_factory: pytest.TempPathFactory, objects: list[int], range_size: int, options: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    assert_same(sites(folder / "in", objects), folder, range_size=range_size, **options)


def test_a_row_group_ends_where_a_range_ends(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 5)
    converted_plate(source, tmp_path / "one", in_parts=False)
    assert pq.read_metadata(tmp_path / "one" / "single_cells.parquet").num_row_groups == 1
    converted, _ = converted_plate(source, tmp_path / "ranges", in_parts=False, range_size=1)
    metadata = pq.read_metadata(converted.files["single_cells.parquet"].path)
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [3] * 5


@pytest.mark.slow
def test_outputs_beside_the_profile_are_made_of_all_parts(tmp_path: Path) -> None:
    pytest.importorskip("anndata")
    source = write_sites(tmp_path / "in", 5)
    options = {"well_profiles": "median", "image_features": True, "anndata": ("h5ad",), "range_size": SMALL}
    assert assert_same(source, tmp_path, **options) > 1


@pytest.mark.slow
def test_failed_exports_are_those_of_the_whole_plate(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 6)
    for number in (2, 5):
        path = source / f"P1-A01-{number}" / "Nuclei.csv"
        path.write_text(path.read_text().replace(f"{number}200", "text"))
    assert assert_same(source, tmp_path, range_size=1, max_failed_exports=2) == 6
    for in_parts in (False, True):
        with pytest.raises(TooManyFailedExportsError, match="2 of 6"):
            converted_plate(source, tmp_path / f"few-{in_parts}", in_parts=in_parts, range_size=1, max_failed_exports=1)


def test_an_export_that_failed_in_the_survey_does_not_move_a_range(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 4)
    (source / "P1-A01-2" / "Cells.csv").write_bytes(b"")
    assert assert_same(source, tmp_path, range_size=SMALL, max_failed_exports=1) > 1


def test_a_fraction_in_one_part_makes_a_double_of_the_column_in_all(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for number, counts in enumerate([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.5, 3.0]], 1):
        tables = site_tables(offset=1000.0 * number)
        tables["Image"] = with_column(tables["Image"], "Metadata_Site", pa.array([number]))
        tables["Cells"] = tables["Cells"].append_column("Children_Speckles_Count", pa.array(counts))
        write_site(source / f"P1-A01-{number}", tables)
    assert_same(source, tmp_path, range_size=1)
    table = pq.read_table(tmp_path / "parts" / "single_cells.parquet")
    (column,) = [name for name in table.column_names if "Speckles" in name]
    assert table[column].to_pylist()[7] == 2.5


def test_values_that_are_no_finite_numbers_are_counted_in_order(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 4)
    for number, (name, text) in enumerate(
        [("Nuclei", "nan"), ("Cells", "inf"), ("Cytoplasm", ""), ("Cells", "nan")], 1
    ):
        path = source / f"P1-A01-{number}" / f"{name}.csv"
        value = {"Nuclei": 100, "Cells": 1, "Cytoplasm": 10}[name] + 1000 * number
        path.write_text(path.read_text().replace(str(value), text))
    assert_same(source, tmp_path, range_size=1)


def test_files_of_whole_rows_are_parts_too(tmp_path: Path) -> None:
    for number, well in enumerate(("A - 1", "B - 2", "C - 3")):
        write_incarta(tmp_path / "in" / f"{number}.csv", incarta_table((well,)))
    assert assert_same(tmp_path / "in", tmp_path, range_size=1) == 3


def test_a_range_does_not_end_within_a_file(tmp_path: Path) -> None:
    write_sqlite(tmp_path / "in" / "a.sqlite", per_tables(site_tables(image=1)), per_tables(site_tables(image=2)))
    write_sqlite(tmp_path / "in" / "b.sqlite", per_tables(site_tables(image=1, well="B1")))
    assert assert_same(tmp_path / "in", tmp_path, range_size=1) == 2


def test_a_range_of_invalid_exports_alone_is_a_part_without_rows(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 3)
    path = source / "P1-A01-2" / "Cells.csv"
    path.write_text(path.read_text().replace("2002", "text"))
    assert assert_same(source, tmp_path, range_size=1, max_failed_exports=1) == 3
    only = write_sites(tmp_path / "only", 1)
    path = only / "P1-A01-1" / "Cells.csv"
    path.write_text(path.read_text().replace("1002", "text"))
    with pytest.raises(InputDataError, match="nothing could be converted"):
        converted_plate(only, tmp_path / "nothing", in_parts=True, max_failed_exports=1)


def test_row_groups_of_a_given_number_of_rows_end_with_ranges_of_a_given_size_alone(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 3)
    assert assert_same(source, tmp_path, chunk_size=2) == 1
    assert assert_same(source, tmp_path / "ranges", chunk_size=2, range_size=1) == 3
    sizes = [
        [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        for metadata in (
            pq.read_metadata(folder / "parts" / "single_cells.parquet") for folder in (tmp_path, tmp_path / "ranges")
        )
    ]
    assert sizes == [[2, 2, 2, 2, 1], [2, 1, 2, 1, 2, 1]]
