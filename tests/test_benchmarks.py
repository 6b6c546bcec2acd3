"""The benchmarks run, and their floor writes what a conversion does."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate

WORK = Path(__file__).parents[1] / "benchmarks" / "work.py"


@pytest.mark.parametrize("kind", list(PlateFormat))
def test_a_conversion_and_its_floor_are_measured(kind: PlateFormat, tmp_path: Path) -> None:
    write_plate(SyntheticPlate(wells=2, sites=1, cells=5, features=8), tmp_path / "plate", kind)
    for work in ("convert", "floor"):
        command = [sys.executable, str(WORK), work, str(tmp_path / "plate"), kind.value, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert set(json.loads(done.stdout)) == {"wall", "cpu", "peak"}
    assert pq.read_table(tmp_path / "floor.parquet").equals(pq.read_table(tmp_path / "out.parquet"))
