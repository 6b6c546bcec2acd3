"""A format that another package brings: the example of docs/formats.md, installed beside cytobatch."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

# One worker installs the format for all tests.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("foreign-format")]
PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "cytobatch-toy"
version = "1.0"

{entry_points}
[tool.hatch.build.targets.wheel]
only-include = ["cytobatch_toy.py"]
"""


def block(language: str) -> str:
    """The page's one block of code in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the distribution of the page's example was installed."""
    project, target = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("target")
    (project / "cytobatch_toy.py").write_text(block("python"))
    (project / "pyproject.toml").write_text(PROJECT.format(entry_points=block("toml")))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--target", str(target), str(project)], check=True, capture_output=True)
    return target


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    source = tmp_path / "plate"
    source.mkdir()
    (source / "A01.toy").write_text("Area Shape\n1.5 2\n3 4\n")
    (source / "B02.toy").write_text("Area Shape Weight\n5 6 7\n")
    return source


def run(target: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # A format does not depend on Prefect, whose server takes most of the time of a small plate.
    environment = {**os.environ, "PYTHONPATH": str(target), "CYTOBATCH_ORCHESTRATOR": "none"}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)


def assert_converted(folder: Path) -> None:
    table = pq.read_table(folder / "single_cells.parquet")
    rows = table.select(["Area", "Shape", "Weight"]).to_pylist()
    assert rows == [
        {"Area": 1.5, "Shape": 2.0, "Weight": None},
        {"Area": 3.0, "Shape": 4.0, "Weight": None},
        {"Area": 5.0, "Shape": 6.0, "Weight": 7.0},
    ]
    assert table.schema.field("Metadata_TableNumber").type == pa.int64()
    report = json.loads((folder / "run-report.json").read_text())
    assert (report["layout"], report["preset"]) == ("toy", "toy")
    assert report["schema_differences"] == [{"export": "A01.toy", "table": "objects", "column": "Weight"}]
    assert pq.read_schema(folder / "single_cells.parquet").metadata[b"cytobatch.layout"] == b"toy"


def test_a_foreign_format_is_planned_and_converted(target: Path, plate: Path, tmp_path: Path) -> None:
    paths = ["--source", str(plate), "--destination", str(tmp_path / "out")]
    planned = run(target, "-m", "cytobatch", "plan", *paths)
    assert planned.returncode == 0, planned.stderr
    assert re.search(r"^layout +toy, preset toy$", planned.stdout, re.MULTILINE)
    done = run(target, "-m", "cytobatch", "run", *paths)
    assert done.returncode == 0, done.stderr
    assert_converted(tmp_path / "out")


def test_the_api_knows_a_foreign_format(target: Path, plate: Path, tmp_path: Path) -> None:
    script = "import sys, cytobatch; print(cytobatch.convert(*sys.argv[1:]).layout)"
    done = run(target, "-c", script, str(plate), str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "toy\n"
    assert_converted(tmp_path / "out")


def test_a_bad_file_of_a_foreign_format_fails_alone(target: Path, plate: Path, tmp_path: Path) -> None:
    (plate / "C03.toy").write_text("Area Shape\n1 x\n")
    (plate / "D04.toy").write_text("")
    command = ["-m", "cytobatch", "run", "--source", str(plate), "--destination", str(tmp_path / "out")]
    done = run(target, *command)
    assert done.returncode == 3
    assert "D04.toy (objects): empty file" in done.stderr
    assert run(target, *command, "--max-failed-exports", "2").returncode == 0
    report = json.loads((tmp_path / "out" / "run-report.json").read_text())
    assert {entry["path"] for entry in report["ledger"] if entry["outcome"] == "failed"} == {"C03.toy", "D04.toy"}


def test_two_formats_that_claim_files_are_ambiguous(target: Path, plate: Path, tmp_path: Path) -> None:
    (plate / "A01_1.npz").write_bytes(b"")
    done = run(target, "-m", "cytobatch", "plan", "--source", str(plate), "--destination", str(tmp_path / "out"))
    assert done.returncode == 3
    assert "ambiguous layout" in done.stderr
    assert "toy (A01.toy)" in done.stderr


def test_a_format_that_cannot_be_loaded_is_named(plate: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    metadata = broken / "cytobatch_broken-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: cytobatch-broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[cytobatch.formats]\nbroken = no_such_module:FORMAT\n")
    done = run(broken, "-m", "cytobatch", "plan", "--source", str(plate), "--destination", str(tmp_path / "out"))
    assert done.returncode == 70
    assert "format 'broken' cannot be loaded" in done.stderr
