"""The footer that was read last is used again, as long as its file is the same."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from cytobatch.errors import StorageError
from cytobatch.output.parquet.reader import check_footer, read_columns, read_encoded
from cytobatch.output.parquet.writer import write_small_table
from cytobatch.output.written_file import WrittenFile


def written(path: Path, rows: int) -> WrittenFile:
    return write_small_table(path, pa.table({"well": ["A01"] * rows, "area": [float(row) for row in range(rows)]}))


def test_a_file_that_is_written_again_is_read_by_its_own_footer(tmp_path: Path) -> None:
    path = tmp_path / "cells.parquet"
    for rows in (2, 3, 3):
        file = written(path, rows)
        check_footer(file)
        assert read_columns([path], ["area"])["area"].to_pylist() == [float(row) for row in range(rows)]
        assert read_encoded([path], ["well"]).column("well").to_pylist() == ["A01"] * rows


def test_files_are_told_apart(tmp_path: Path) -> None:
    one, two = written(tmp_path / "one.parquet", 1), written(tmp_path / "two.parquet", 2)
    assert read_columns([one.path, two.path, one.path], ["area"]).num_rows == 4


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda _: b"", lambda content: content + b"."])
def test_a_file_that_was_damaged_after_its_footer_was_read_is_found(damage: object, tmp_path: Path) -> None:
    file = written(tmp_path / "cells.parquet", 3)
    check_footer(file)
    assert callable(damage)
    file.path.write_bytes(damage(file.path.read_bytes()))
    with pytest.raises(StorageError, match="footer"):
        check_footer(file)


def test_other_numbers_of_rows_and_columns_are_found(tmp_path: Path) -> None:
    file = written(tmp_path / "cells.parquet", 3)
    check_footer(file)
    for other in (replace(file, rows=4), replace(file, columns=1)):
        with pytest.raises(StorageError, match="were written"):
            check_footer(other)
