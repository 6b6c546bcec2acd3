"""`cytobatch verify` as a user calls it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import ExitCode
from cytobatch.pipeline.plate import run_plate
from tests.support.plates import write_sites

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_a_result_is_verified_and_differences_set_the_exit_code(cytobatch: Run, tmp_path: Path) -> None:
    source, result = write_sites(tmp_path / "in", 2), tmp_path / "out"
    run_plate(PlateJob(source=str(source), destination=str(result)))
    answer = cytobatch("verify", str(result), "--source", str(source), "--cells", "all")
    assert answer.returncode == ExitCode.OK, answer.stderr
    assert "6 of 6 rows derived again" in answer.stdout
    assert answer.stdout.rstrip().endswith("no difference")

    profile = result / "single_cells.parquet"
    table = pq.read_table(profile)
    name = next(name for name in table.column_names if name.startswith("Cells_"))
    values = pa.array([-1.0, *table[name].to_pylist()[1:]])
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, values), profile)
    answer = cytobatch("verify", str(result))
    assert answer.returncode == ExitCode.INPUT_DATA
    assert "differs  single_cells.parquet: sha256" in answer.stdout
    table = table.set_column(table.schema.get_field_index(name), name, values)
    pq.write_table(table.replace_schema_metadata(pq.read_schema(profile).metadata), profile)
    answer = cytobatch("verify", str(result), "--source", str(source), "--json")
    assert answer.returncode == ExitCode.INPUT_DATA
    found = json.loads(answer.stdout)
    assert [(each["row"], each["column"]) for each in found["differences"] if each["kind"] == "value"] == [(0, name)]


def test_a_result_without_a_report_is_absent(cytobatch: Run, tmp_path: Path) -> None:
    answer = cytobatch("verify", str(tmp_path))
    assert answer.returncode == ExitCode.ACCESS
    assert "run-report.json" in answer.stderr


@pytest.mark.parametrize(
    "flags",
    [("http://127.0.0.1:9/out",), ("out", "--source", "http://127.0.0.1:9/in"), ("out", "--endpoint-url", "ftp://x")],
)
def test_a_location_that_is_none_is_one_message(cytobatch: Run, flags: tuple[str, ...]) -> None:
    answer = cytobatch("verify", *flags)
    assert answer.returncode == ExitCode.CONFIGURATION, answer.stderr
    assert answer.stderr.startswith("error: bad value for ")
    assert "command line" in answer.stderr
