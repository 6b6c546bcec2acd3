"""Sources made to take all time or memory: each fails its export within seconds, with one clear message."""

import os
import pickle
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from cytobatch.errors import CytobatchError, ExitCode
from tests.readers.npz.npz_files import npy_data, npy_of, zipped
from tests.support.hostile_sqlite import shared_chains
from tests.support.plates import convert, per_tables, site_tables, write_sites, write_sqlite

pytestmark = pytest.mark.slow

SECONDS = 10
_RECURSIVE = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r)"
_COLUMNS = "n AS ImageNumber, n AS Nuclei_Number_Object_Number, n AS Nuclei_AreaShape_Area"


@contextmanager
def refused(match: str) -> Iterator[None]:
    start = time.process_time()
    with pytest.raises(CytobatchError, match=match) as caught:
        yield
    assert caught.value.exit_code == ExitCode.INPUT_DATA
    assert time.process_time() - start < SECONDS


def database(path: Path, *statements: str) -> Path:
    write_sqlite(path, per_tables(site_tables(3)))
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path


@pytest.mark.parametrize("circle", [False, True])
@pytest.mark.parametrize("reader", ["native", "duckdb"])
def test_rows_that_share_their_pages_are_refused(tmp_path: Path, circle: bool, reader: str) -> None:
    shared_chains(tmp_path / "in" / "plate.sqlite", circle=circle)
    with refused("its rows have more bytes than the file"):
        convert(tmp_path / "in", tmp_path / "out", sqlite_reader=reader)


@pytest.mark.parametrize("condition", ["", "WHERE n < 0"])
def test_a_view_that_recurses_without_an_end_is_refused(tmp_path: Path, condition: str) -> None:
    view = f"CREATE VIEW Per_Nuclei AS {_RECURSIVE} SELECT {_COLUMNS} FROM r {condition}"
    database(tmp_path / "in" / "plate.sqlite", "DROP TABLE Per_Nuclei", view)
    with refused("a view may recurse"):
        convert(tmp_path / "in", tmp_path / "out")


@pytest.mark.slow
def test_thousands_of_tables_are_refused(tmp_path: Path) -> None:
    tables = (f"CREATE TABLE T{number} (ImageNumber INTEGER, ObjectNumber INTEGER)" for number in range(1500))
    database(tmp_path / "in" / "plate.sqlite", *tables)
    with refused("too many tables in one file"):
        convert(tmp_path / "in", tmp_path / "out")


def test_a_column_whose_name_is_not_utf8_fails_its_file(tmp_path: Path) -> None:
    path = database(tmp_path / "in" / "plate.sqlite")
    path.write_bytes(path.read_bytes().replace(b"Cells_AreaShape_Area", b"Cells_AreaShape_\xffrea"))
    with refused("Could not decode to UTF-8"):
        convert(tmp_path / "in", tmp_path / "out")


def test_a_row_with_a_large_blob_is_refused(tmp_path: Path) -> None:
    blob = "UPDATE Per_Cells SET Cells_AreaShape_Area = zeroblob(70000000) WHERE Cells_Number_Object_Number = 2"
    database(tmp_path / "in" / "plate.sqlite", blob)
    with refused("a row has 700000.. bytes"):
        convert(tmp_path / "in", tmp_path / "out")


def test_counts_that_no_plate_has_are_no_counts(tmp_path: Path) -> None:
    """Their sum is infinite, though each is finite."""
    rows = [f"INSERT INTO Per_Image (ImageNumber, Image_Count_Cells) VALUES ({image}, 1.7e308)" for image in (2, 3)]
    database(tmp_path / "in" / "plate.sqlite", "UPDATE Per_Image SET Image_Count_Cells = 9e999", *rows)
    table, _ = convert(tmp_path / "in", tmp_path / "out")
    assert table.num_rows == 3


def _deepprofiler(root: Path, shape: tuple[int, int], metadata: bytes) -> Path:
    (root / "P1").mkdir(parents=True)
    return zipped(root / "P1", {"features": npy_data(np.zeros(shape, np.float32)), "metadata": npy_of(metadata)})


def _dictionary(**values: object) -> bytes:
    return pickle.dumps(np.array(values, dtype=object))


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        (b"\x80\x02" + b"N0" * (28 * 2**20), "more than 1000000 steps"),
        (_dictionary(**{f"k{number}": number for number in range(20_000)}), "20000 keys"),
        (_dictionary(a="x" * 20_000_000), "20000000 characters for each of 4 rows"),
    ],
    ids=["steps", "keys", "text"],
)
def test_metadata_that_are_small_only_when_compressed_are_refused(tmp_path: Path, metadata: bytes, match: str) -> None:
    _deepprofiler(tmp_path / "in", (4, 3), metadata)
    with refused(match):
        convert(tmp_path / "in", tmp_path / "out")


def test_one_list_for_thousands_of_columns_is_refused(tmp_path: Path) -> None:
    shared = [1] * 5000
    _deepprofiler(tmp_path / "in", (5000, 1), _dictionary(**{f"k{number}": shared for number in range(1000)}))
    with refused("1000 keys, 1000 of them with 5000 values"):
        convert(tmp_path / "in", tmp_path / "out")


def test_zeros_that_do_not_fit_into_memory_are_refused(tmp_path: Path) -> None:
    path = _deepprofiler(tmp_path / "in", (100_000, 1000), _dictionary(Metadata_Well="A01"))
    assert path.stat().st_size < 500_000
    with refused("too large for the memory of the run"):
        convert(tmp_path / "in", tmp_path / "out", memory="1GiB")


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="file systems there take Unicode names only")
def test_a_table_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = write_sites(tmp_path / "in", 2) / "P1-A01-2"
    folder.rename(folder.with_name(os.fsdecode(b"P1-A01-\xff2")))
    with refused(r"a name that is not UTF-8: .*P1-A01-\\xff2/"):
        convert(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="file systems there take Unicode names only")
def test_another_file_whose_name_is_not_utf8_is_named_in_the_report(tmp_path: Path) -> None:
    root = write_sites(tmp_path / "in", 1)
    (root / os.fsdecode(b"notes-\xff.txt")).write_text("x")
    table, report = convert(root, tmp_path / "out")
    assert table.num_rows == 3
    assert [entry.path for entry in report.ledger if "notes" in entry.path] == ["notes-\\xff.txt"]
