"""A SQLite plate that is too large for memory has the same profile as one that is read whole."""

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.conversion.out_of_core import split_rows
from cytobatch.report.model import RunReport
from cytobatch.synthetic import ParentNumbers, PlateFormat, SyntheticPlate, write_plate
from tests.support.plates import convert, cytominer_tables, site_tables, write_sqlite

LARGE, SMALL = 2**32, 2**26
"""Memory in which a file is read whole, and in which it is read by row number."""
OBJECTS = 2000

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("any_memory")]

indices = st.none() | st.integers(0, 29)


@given(row_indices=st.lists(st.tuples(indices, indices), min_size=1, max_size=40), slice_rows=st.integers(1, 50))
def test_slices_read_all_rows_of_each_table_and_refer_to_the_same(
    row_indices: list[tuple[int | None, int | None]], slice_rows: int
) -> None:
    rows = pa.table(
        {name: pa.array(column, pa.int64()) for name, column in zip("ab", zip(*row_indices, strict=True), strict=True)}
    )
    slices = split_rows(rows, {"a": 30, "b": 30}, slice_rows)
    for name in "ab":
        read = [slice_.read[name] for slice_ in slices]
        assert set(np.concatenate(read).tolist()) == set(range(30))
        assert all((np.diff(numbers) > 0).all() for numbers in read)
        original = [
            None if row is None else int(slice_.read[name][row])
            for slice_ in slices
            for row in slice_.rows[name].to_pylist()
        ]
        assert original == rows[name].to_pylist()
    assert [slice_.rows.num_rows for slice_ in slices[:-1]] == [slice_rows] * (len(slices) - 1)


def test_a_row_that_no_slice_uses_is_read_once() -> None:
    rows = pa.table({"a": pa.array([2, 3, 6, 9], pa.int64())})
    read = [slice_.read["a"].tolist() for slice_ in split_rows(rows, {"a": 12}, 2)]
    assert read == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def plate(path: Path, sites: int = 40) -> Path:
    """Write sites in an order other than that of their TableNumbers, which are checksums in real plates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(sites))
    return path


@cache
def content(sites: int) -> bytes:
    """Return the database of such a plate."""
    exports = [
        cytominer_tables(site_tables(OBJECTS, image=n, offset=1000.0 * n), f"{n * 7919 % 1009:04}")
        for n in range(1, sites + 1)
    ]
    with TemporaryDirectory() as folder:
        return write_sqlite(Path(folder) / "p.sqlite", *exports).read_bytes()


def both(source: Path, folder: Path, **options: Any) -> tuple[pa.Table, RunReport]:
    """Convert with much memory and with little, assert that the results are equal, and return one of them."""
    large, expected = convert(source, folder / "large", memory=LARGE, **options)
    small, report = convert(source, folder / "small", memory=SMALL, workers=2, **options)
    assert small.equals(large)
    assert [one.sha256 for one in report.outputs] == [one.sha256 for one in expected.outputs]
    for key in ("counts", "repairs", "odd_values", "warnings"):
        assert getattr(report, key) == getattr(expected, key)
    # A failed export is recorded when it is read, and exports are not always read in the same order.
    assert sorted(map(repr, report.ledger)) == sorted(map(repr, expected.ledger))
    return small, report


@pytest.mark.parametrize("sort_output", [True, False])
def test_a_large_plate(tmp_path: Path, sort_output: bool) -> None:
    path = plate(tmp_path / "in" / "p.sqlite")
    assert path.stat().st_size > SMALL // 16
    assert both(path, tmp_path, sort_output=sort_output)[0].num_rows == 40 * OBJECTS


@pytest.mark.parametrize("is_shuffled", [False, True])
def test_a_large_plate_of_wide_rows(tmp_path: Path, is_shuffled: bool) -> None:
    made = SyntheticPlate(wells=4, sites=4, cells=50, features=400, parent_numbers=ParentNumbers.CROSSED)
    write_plate(made, tmp_path / "in", PlateFormat.SQLITE)
    if is_shuffled:
        with closing(sqlite3.connect(next((tmp_path / "in").iterdir()), isolation_level=None)) as connection:
            connection.executescript(
                "CREATE TABLE n AS SELECT * FROM Nuclei ORDER BY random();"
                "DROP TABLE Nuclei; ALTER TABLE n RENAME TO Nuclei"
            )
    assert both(tmp_path / "in", tmp_path)[0].num_rows == made.cell_count()


@pytest.mark.parametrize("children", ["first", "mean", "count"])
def test_a_large_plate_with_several_children_of_each_nucleus(children: str, tmp_path: Path) -> None:
    exports = []
    for n in range(1, 26):
        tables = site_tables(OBJECTS, image=n, offset=1000.0 * n)
        parents = np.sort(np.random.default_rng(n).integers(0, OBJECTS + 2, 3 * OBJECTS))
        spots = {
            "ImageNumber": np.full(len(parents), n),
            "ObjectNumber": np.arange(1, len(parents) + 1),
            "AreaShape_Area": np.sqrt(parents + n),
            "Parent_Nuclei": parents,
        }
        exports.append(cytominer_tables(tables | {"Spots": pa.table(spots)}, f"{n * 7919 % 1009:04}"))
    path = write_sqlite(tmp_path / "in" / "p.sqlite", *exports)
    table, _ = both(path, tmp_path, children=children)
    assert table.num_rows == 25 * OBJECTS
    assert [name for name in table.column_names if "Spots" in name]


def test_several_large_files_and_small_ones(tmp_path: Path) -> None:
    for name, sites in (("a", 40), ("b", 2), ("c", 3), ("d", 40)):
        plate(tmp_path / "in" / f"{name}.sqlite", sites)
    assert both(tmp_path / "in", tmp_path)[0].num_rows == 85 * OBJECTS


def test_values_that_are_no_numbers_are_reported_once(tmp_path: Path) -> None:
    path = plate(tmp_path / "in" / "p.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE Cells SET Cells_AreaShape_Area = 'nan' WHERE rowid % 100 = 0")
        connection.execute("UPDATE Nuclei SET Nuclei_AreaShape_Area = 'inf' WHERE rowid % 1000 = 0")
        connection.commit()
    _, report = both(path, tmp_path)
    assert {(one.column, one.text): one.count for one in report.repairs} == {
        ("Cells_AreaShape_Area", "nan"): 800,
        ("Nuclei_AreaShape_Area", "inf"): 80,
    }


@pytest.mark.parametrize(
    "change",
    [
        "PRAGMA journal_mode = WAL",
        "CREATE TABLE n AS SELECT * FROM Nuclei ORDER BY random(); DROP TABLE Nuclei; ALTER TABLE n RENAME TO Nuclei",
        "ALTER TABLE Cells ADD COLUMN Cells_Later FLOAT DEFAULT 3.5",
        "DELETE FROM Cells WHERE rowid % 3 = 0; DELETE FROM Cytoplasm WHERE rowid % 5 = 0; VACUUM",
        "UPDATE Cytoplasm SET Cytoplasm_Parent_Nuclei = NULL WHERE rowid % 9 = 0",
    ],
    ids=["write-ahead log", "no order", "added column", "rows deleted", "no parents"],
)
def test_plates_written_in_other_ways(tmp_path: Path, change: str) -> None:
    path = plate(tmp_path / "in" / "p.sqlite")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(change)
    both(path, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE Cells SET ObjectNumber = 2.5 WHERE rowid = 17",
        "INSERT INTO Cells SELECT * FROM Cells WHERE rowid = 17",
    ],
    ids=["a fraction", "twice the same"],
)
def test_invalid_keys_fail_a_large_file_like_a_small_one(tmp_path: Path, change: str) -> None:
    for name in ("a", "b"):
        plate(tmp_path / "in" / f"{name}.sqlite")
    with closing(sqlite3.connect(tmp_path / "in" / "b.sqlite")) as connection:
        connection.execute(change)
        connection.commit()
    small, report = both(tmp_path / "in", tmp_path, max_failed_exports=1)
    assert small.num_rows == 40 * OBJECTS
    assert report.counts.failed_exports == 1


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("Cells_Parent_Nuclei", "UPDATE Cells SET Cells_Parent_Nuclei = 1.5 WHERE rowid = 70001"),
        (
            "Cells_Children_Spots_Count",
            "ALTER TABLE Cells ADD COLUMN Cells_Children_Spots_Count INTEGER DEFAULT 3;"
            "UPDATE Cells SET Cells_Children_Spots_Count = 1.5 WHERE rowid = 70001",
        ),
    ],
    ids=["read by row number", "read whole"],
)
def test_a_fraction_in_a_count_of_a_large_file(tmp_path: Path, column: str, change: str) -> None:
    path = plate(tmp_path / "in" / "p.sqlite")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(change)
    small, report = both(path, tmp_path, column_names="cytotable")
    assert small.schema.field(column).type == pa.float64()
    assert small[column].to_pylist().count(1.5) == 1
    assert len([each for each in report.warnings if "holds fractions" in each.what]) == 1
