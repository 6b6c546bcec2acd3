"""Real measurements with expected profiles, if they lie beside the project. Other tests generate similar plates."""

import math
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pycytominer import aggregate, annotate, feature_select, normalize
from pycytominer.cyto_utils import infer_cp_features

from cytobatch.planning.columns import ColumnKind, is_measurement, kind_of
from cytobatch.report.model import Outcome
from tests.support.paths import SHARED_DATA
from tests.support.plates import convert, convert_to_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the shared real measurements are not beside the project"),
]

HEALTH = "cell-health-cellprofiler-to-cytominer-database"


def rows(table: pa.Table, names: list[str]) -> Counter[tuple[Any, ...]]:
    return Counter(zip(*(_comparable(table[name]) for name in names), strict=True))


def _comparable(column: pa.ChunkedArray) -> list[Any]:
    values: list[Any] = column.to_pylist()
    has_nan = pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py()
    if not has_nan:
        return values
    return ["nan" if isinstance(value, float) and math.isnan(value) else value for value in values]


def assert_equal(found: pa.Table, expected: pa.Table) -> None:
    """All expected columns are there; names, types and the multiset of rows agree. A measurement may be a double."""
    assert_columns(found, expected.schema)
    assert rows(found, expected.column_names) == rows(expected, expected.column_names)


def assert_columns(found: pa.Table, expected: pa.Schema) -> None:
    assert set(expected.names) <= set(found.column_names)
    for field in expected:
        kind = found.schema.field(field.name).type
        measured = kind_of(field.name) is ColumnKind.MEASUREMENT and pa.types.is_integer(field.type)
        assert kind == field.type or (measured and kind == pa.float64()), field.name


@cache
def answer(folder: str) -> tuple[pa.Schema, Counter[tuple[Any, ...]]]:
    """Return the columns and rows of CytoTable's profile of a plate."""
    expected = pq.read_table(SHARED_DATA / folder / "expected.parquet")
    return expected.schema, rows(expected, expected.column_names)


def assert_answer(found: pa.Table, folder: str) -> None:
    """Assert that a profile equals CytoTable's, as `assert_equal` does."""
    schema, expected = answer(folder)
    assert_columns(found, schema)
    assert rows(found, schema.names) == expected


@pytest.mark.parametrize(
    ("folder", "preset"),
    [("examplehuman_csv", "cellprofiler_csv"), ("nf1_sqlite", "cellprofiler_sqlite"), ("cellhealth_sqlite", HEALTH)],
)
def test_a_preset_gives_cytotables_answer(folder: str, preset: str, tmp_path: Path) -> None:
    found, _ = convert(SHARED_DATA / folder / "source", tmp_path, preset=preset)
    assert_answer(found, folder)


@pytest.mark.parametrize("folder", ["examplehuman_csv", "nf1_sqlite", "cellhealth_sqlite"])
def test_auto_gives_the_same_answer_under_the_same_names(folder: str, tmp_path: Path) -> None:
    found, _ = convert(SHARED_DATA / folder / "source", tmp_path, column_names="cytotable")
    assert_answer(found, folder)


@pytest.mark.parametrize(
    ("folder", "preset"),
    [
        ("incarta_csv", "in-carta"),
        ("incarta_csv", "auto"),
        ("deepprofiler_npz", "deepprofiler"),
        ("deepprofiler_npz", "auto"),
    ],
)
@pytest.mark.parametrize("join", [True, False])
def test_files_of_whole_rows_give_cytotables_answer(folder: str, preset: str, join: bool, tmp_path: Path) -> None:
    found, _ = convert_to_folder(SHARED_DATA / folder / "source", tmp_path, preset=preset, join=join)
    assert_answer(found["single_cells.parquet"], folder)


def test_a_combined_file_gives_the_rows_of_the_compartments_own(tmp_path: Path) -> None:
    source = SHARED_DATA / "cytominerdb_a_csv" / "source"
    for site in ("1", "2"):
        (tmp_path / "in" / site).mkdir(parents=True)
        for name in ("image.csv", "object.csv"):
            (tmp_path / "in" / site / name).write_bytes((source / site / name).read_bytes())
    own, _ = convert(source, tmp_path / "one", preset=HEALTH)
    combined, report = convert(tmp_path / "in", tmp_path / "two", preset=HEALTH)
    assert_equal(combined, own)
    assert {entry.table for entry in report.ledger} == {"image", "cells", "cytoplasm", "nuclei"}


@pytest.mark.parametrize("folder", ["examplehuman_csv", "nf1_sqlite", "cellhealth_sqlite", "jump_site_csv"])
def test_pycytominer_takes_exactly_the_measurements_for_features(folder: str, tmp_path: Path) -> None:
    found, _ = convert(SHARED_DATA / folder / "source", tmp_path)
    labels = ("Cells_", "Cytoplasm_", "Nuclei_")
    measured = {name for name in found.column_names if name.startswith(labels) and is_measurement(name)}
    assert set(infer_cp_features(found.to_pandas())) == measured
    assert len(measured) > 150
    identifying = re.compile(r".*(Object_?Number|Parent|Children|FileName|PathName).*")
    assert not [name for name in measured if identifying.fullmatch(name)]


@pytest.mark.parametrize("folder", ["nf1_sqlite", "cellhealth_sqlite", "jump_site_csv", "cytominerdb_a_csv"])
def test_pycytominer_aggregates_to_the_well_level_profiles(folder: str, tmp_path: Path) -> None:
    found, _ = convert_to_folder(SHARED_DATA / folder / "source", tmp_path, well_profiles="median")
    cells, ours = (found[f"{name}.parquet"].to_pandas() for name in ("single_cells", "profiles"))
    strata = ["Metadata_Plate", "Metadata_Well"]
    theirs = aggregate(cells, strata=strata, operation="median")
    features = infer_cp_features(cells)
    assert ours[strata].equals(theirs[strata])
    assert np.allclose(ours[features], theirs[features], rtol=0, atol=1e-9, equal_nan=True)
    normalized = normalize(annotate(ours, ours[["Metadata_Well"]], join_on=["Metadata_Well", "Metadata_Well"]))
    assert infer_cp_features(feature_select(normalized, operation="drop_na_columns"))


def test_tables_of_sites_that_repeat_their_images(tmp_path: Path) -> None:
    source = SHARED_DATA / "cytominerdb_a_csv"
    found, _ = convert_to_folder(source / "source", tmp_path / "out", preset=HEALTH, join=False)
    expected = {path.name: pq.read_table(path) for path in (source / "expected").glob("*.parquet")}
    assert set(found) == set(expected)
    for name, table in expected.items():
        assert_equal(found[name], table)


def test_nan_as_text_is_counted(tmp_path: Path) -> None:
    _, report = convert(SHARED_DATA / "cellhealth_sqlite" / "source", tmp_path, preset=HEALTH)
    repair = report.repairs[0]
    assert (repair.table, repair.column) == ("Nuclei", "Nuclei_Correlation_Costes_AGP_DNA")
    assert (repair.text, repair.became, repair.count) == ("nan", "null", 1)


@pytest.mark.parametrize("preset", ["cellprofiler_csv", "auto"])
def test_a_jump_site_has_its_109_cells(preset: str, tmp_path: Path) -> None:
    found, report = convert(SHARED_DATA / "jump_site_csv" / "source", tmp_path, preset=preset)
    assert found.num_rows == 109
    assert found["Metadata_Plate"].to_pylist() == ["BR00116991"] * 109
    assert report.counts.objects == {"cells": 109, "cytoplasm": 109, "nuclei": 109}


def test_invalid_sites_are_named_and_every_valid_table_is_kept(tmp_path: Path) -> None:
    source = SHARED_DATA / "cytominerdb_b_csv" / "source"
    found, report = convert_to_folder(source, tmp_path / "out", join=False, max_failed_exports=3)
    failed = {entry.path for entry in report.ledger if entry.outcome is Outcome.FAILED}
    assert failed == {"E17-4/Cells.csv", "E17-4/Nuclei.csv", "J21-2/Cells.csv", "N23-5/Image.csv"}
    rows = {name: table.num_rows for name, table in found.items()}
    assert rows == {"cells.parquet": 50, "cytoplasm.parquet": 61, "nuclei.parquet": 51, "image.parquet": 6}
    joined, _ = convert(source, tmp_path, max_failed_exports=3)
    assert joined.num_rows == 40
