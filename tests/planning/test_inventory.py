"""Facts about files that follow from their names and sizes."""

import pytest

from cytobatch.planning.inventory import SourceFile


@pytest.mark.parametrize(
    ("path", "size"),
    [("Cells.csv", 10), ("Cells.csv.gz", 30), ("A/cells.TSV.GZ", 30), ("P1.sqlite.gz", 10), ("x.gz", 10)],
)
def test_what_is_read_from_a_compressed_table_is_an_estimate(path: str, size: int) -> None:
    assert SourceFile(path, 10).content_size == size
