"""The Galaxy tool: Galaxy's own linter, and its command, filled in by Galaxy's own template engine, run by bash.

A Galaxy server is left out, because its packages are a gigabyte: the values of parameters are written down here.
workflows/README.md has the command by which a server runs the tests of the tool's XML.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.paths import REPOSITORY

PYTHON = REPOSITORY / ".venv-workflows/bin/python"
TOOL = REPOSITORY / "workflows/galaxy/cytobatch.xml"
DATA = TOOL.parent / "test-data"
PROGRAMS = Path(sys.executable).parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON.exists(), reason="Galaxy's tools are not on this machine: make .venv-workflows/installed"
    ),
]

LINT = """
import sys
from galaxy.tool_util.lint import LintLevel, lint_tool_source
from galaxy.tool_util.parser import get_tool_source
valid = lint_tool_source(get_tool_source(sys.argv[1]), level=LintLevel.ALL, fail_level=LintLevel.WARN, name="cytobatch")
sys.exit(not valid)
"""
# Datasets and elements of collections are objects whose text is a path; a collection is a list of named elements.
FILL = """
import json, sys
from galaxy.tool_util.parser import get_tool_source
from galaxy.util.template import fill_template


class Element(list):
    def __init__(self, value):
        super().__init__(map(Element, value["elements"]) if "elements" in value else ())
        self.element_identifier, self.path = value.get("name"), value.get("path", "")

    def __str__(self):
        return self.path

    def __bool__(self):
        return True


class Group:
    def __init__(self, values):
        self.__dict__.update({name: filled(value) for name, value in values.items()})


def filled(value):
    if not isinstance(value, dict):
        return value
    return Element(value) if {"path", "elements"} & value.keys() else Group(value)


values = {name: filled(value) for name, value in json.loads(sys.argv[2]).items()}
print(fill_template(get_tool_source(sys.argv[1]).parse_command(), context=values))
"""
USUAL = {"plate": "P1", "preset": "auto", "max_failed_exports": 0, "well_profiles": None, "platemap": None}
TABLES = ("Image.csv", "Cells.csv", "Cytoplasm.csv", "Nuclei.csv")


def output_of(code: str, *words: str) -> str:
    """Return what code prints that runs with Galaxy's packages."""
    done = subprocess.run([str(PYTHON), "-c", code, str(TOOL), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def result_of(values: dict[str, Any], folder: Path) -> Path:
    """Run the tool's command in a job's folder, as Galaxy's job script does, and return the folder of its results."""
    command = output_of(FILL, json.dumps(USUAL | values))
    env = os.environ | {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}", "GALAXY_SLOTS": "1"}
    env |= {"GALAXY_MEMORY_MB": "1000", "TMPDIR": str(folder)}
    job = " ".join(command.split("\n"))
    done = subprocess.run(["bash", "-c", job], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "result"


def test_galaxy_finds_no_fault() -> None:
    output_of(LINT)


def test_a_sqlite_file(tmp_path: Path) -> None:
    result = result_of({"measurements": {"kind": "sqlite", "file": {"path": str(DATA / "plate.sqlite")}}}, tmp_path)
    assert pq.read_metadata(result / "profile.parquet").num_rows == 3
    report = json.loads((result / "profile.run-report.json").read_text())
    assert (report["plate"], report["limits"]) == ("P1", {"workers": 1, "memory_bytes": 1_000_000_000})
    assert not (result / "profile.profiles.parquet").exists()


def test_a_list_of_lists_of_csv_files_with_a_platemap(tmp_path: Path) -> None:
    # Names of a collection are the users': none of them leaves the folder, or is a command.
    folders = ["P1-A01-1", "../../it's $(touch hacked)"]
    elements = [
        {"name": name, "elements": [{"name": table, "path": str(DATA / table)} for table in TABLES]} for name in folders
    ]
    values = {
        "measurements": {"kind": "csv", "files": {"elements": elements}},
        "well_profiles": "median",
        "platemap": {"path": str(DATA / "platemap.tsv")},
    }
    result = result_of(values, tmp_path)
    profile = pq.read_table(result / "profile.parquet")
    assert set(profile["Metadata_drug"].to_pylist()) == {"none"}
    assert pq.read_metadata(result / "profile.profiles.parquet").num_rows == 1
    assert not list(tmp_path.rglob("hacked"))
    assert len(list((tmp_path / "plate").iterdir())) == len(folders)
