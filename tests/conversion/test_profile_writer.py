"""Row groups of a file: their memory, size and order."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.config.options import PlateJob
from cytobatch.conversion.ledger import RunLedger
from cytobatch.conversion.profile_writer import ProfileWriter
from cytobatch.output.registry import sinks_for
from cytobatch.pipeline.folders import folders_for
from cytobatch.pipeline.plate import open_resources, plan_plate, survey_plate
from tests.support.plates import write_sites

SCHEMA = pa.schema([("x", pa.float64())])
ROWS = 2**20


def written(folder: Path, tables: Iterator[pa.Table], rows: int) -> tuple[pq.ParquetFile, int]:
    """A file of the tables in row groups of `rows` rows, and the ledger's count of rows."""
    job = PlateJob(
        source=str(write_sites(folder / "in", 1)), destination=str(folder / "out"), chunk_size=rows, workers=1
    )
    with folders_for(job) as folders:
        source, plan = plan_plate(job, folders.cache)
        with open_resources(plan, source, folders) as resources:
            survey = survey_plate(plan, resources)
            ledger = RunLedger(survey)
            writer = ProfileWriter(survey, resources, ledger, {}, sinks_for(job))
            writer.write("a", SCHEMA, [tables])
            return pq.ParquetFile(writer.files["a.parquet"].path.rename(folder / "a.parquet")), ledger.rows


def test_a_row_group_is_freed_before_the_next_is_produced(tmp_path: Path) -> None:
    held = []

    def tables() -> Iterator[pa.Table]:
        before = pa.total_allocated_bytes()
        for number in range(4):
            held.append(pa.total_allocated_bytes() - before)
            yield pa.table([pa.repeat(pa.scalar(float(number)), ROWS)], schema=SCHEMA)

    file, rows = written(tmp_path, tables(), ROWS)
    assert (file.num_row_groups, rows) == (4, 4 * ROWS)
    assert max(held) < ROWS


@pytest.mark.slow
@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 7))
def test_rows_keep_their_order_in_groups_of_the_given_size(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], size: int
) -> None:
    values = [float(n) for n in range(sum(counts))]
    starts = [sum(counts[:n]) for n in range(len(counts))]
    tables = (pa.table([values[s : s + n]], schema=SCHEMA) for s, n in zip(starts, counts, strict=True))
    file, rows = written(tmp_path_factory.mktemp("s"), tables, size)
    assert file.read()["x"].to_pylist() == values
    assert rows == len(values)
    sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert all(found == size for found in sizes[:-1])
