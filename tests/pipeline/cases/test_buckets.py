"""Plates in a bucket under keys that no local folder has."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.pipeline.plate import run_plate
from tests.support.cases import Case, Files, assert_described, assert_rows, expected, params, plate

RIGHT = expected(1, 2)


def keys(prefix: str, between: str = "/") -> Files:
    """Return the usual plate under keys that begin with a prefix, with `between` after the name of each folder."""
    return {prefix + path.removeprefix("in/").replace("/", between): content for path, content in plate().items()}


MARKERS = dict.fromkeys(("plate/", "plate/P1-A01-1/", "plate/P1-A01-2/"), b"")
CELLS = plate()["in/P1-A01-1/Cells.csv"]

BUCKETS = params(
    Case("s3_double_slash_inside", keys("plate/", "//"), RIGHT, source="plate"),
    Case("s3_folder_markers", keys("plate/") | MARKERS, RIGHT, source="plate/"),
    Case(
        "s3_hidden_folder",
        keys("plate/") | {"plate/P1-A01-1/.ipynb_checkpoints/Cells-checkpoint.csv": CELLS},
        RIGHT,
        source="plate",
        reported=("hidden",),
    ),
    Case("s3_leading_slash", keys("/plate/"), RIGHT, source="/plate"),
    Case("s3_odd_keys", keys("a b+c#1/\u00fc%20/"), RIGHT, source="a b+c#1/\u00fc%20/"),
    Case("s3_prefix_overlap", keys("BR001/") | {"BR0010/P1-A01-1/Cells.csv": CELLS}, RIGHT, source="BR001"),
)


@pytest.mark.parametrize("case", BUCKETS)
def test_a_plate_is_read_by_the_keys_that_were_listed(tmp_path: Path, case: Case, s3: Any, bucket: str) -> None:
    for key, content in case.files.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    target = tmp_path / "out.parquet"
    report = run_plate(PlateJob(source=f"s3://{bucket}/{case.source}", destination=str(target)))
    table = pq.read_table(target)
    assert_rows(table, case.rows)
    assert_described(case, table, report)
