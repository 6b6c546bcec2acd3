"""The Snakemake wrapper, run by Snakemake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.paths import REPOSITORY
from tests.support.plates import write_sites

SNAKEMAKE = REPOSITORY / ".venv-workflows/bin/snakemake"
PROGRAMS = Path(sys.executable).parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not SNAKEMAKE.exists(), reason="Snakemake is not on this machine: make .venv-workflows/installed"
    ),
]


def test_a_rule_converts_plates_of_unusual_names(tmp_path: Path) -> None:
    plates = ["P1", "it's $HOME; x"]
    for plate in plates:
        write_sites(tmp_path / "plates" / plate, 2, plate="P")
    (tmp_path / "map.txt").write_text("well_position\tdrug\nA01\tx\n")
    done = subprocess.run(
        [
            str(SNAKEMAKE),
            "--snakefile",
            str(REPOSITORY / "workflows/snakemake/test/Snakefile"),
            "--directory",
            str(tmp_path),
            "--cores",
            "1",
            "--config",
            f"plates={json.dumps(plates)}",
        ],
        env=os.environ | {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for plate in plates:
        profile = pq.read_table(tmp_path / "out" / f"{plate}.parquet")
        assert profile["Metadata_drug"].to_pylist() == ["x"] * profile.num_rows
        report = json.loads((tmp_path / "out" / f"{plate}.run-report.json").read_text())
        assert (report["plate"], report["options"]["experiment"]) == (plate, False)
        assert report["options"]["image_columns"] == "Image_.{1,20}"
        assert report["limits"] == {"workers": 1, "memory_bytes": 1_000_000_000}
        assert (tmp_path / "out" / f"{plate}.profiles.parquet").exists()
        assert "6 rows" in (tmp_path / "logs" / f"{plate}.log").read_text()
