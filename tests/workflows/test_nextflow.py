"""The Nextflow module: its scripts, filled in by Groovy, whose syntax Nextflow's is, and run by bash.

Nextflow is in no registry of Python, Debian or npm. workflows/README.md has the command of the module's own tests.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.support.paths import REPOSITORY
from tests.support.plates import write_sites

MODULE = REPOSITORY / "workflows/nextflow"
PROGRAMS = Path(sys.executable).parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("groovy") is None, reason="Groovy is not on this machine"),
]

# A process is a call with a closure. Its directives are calls of unknown methods, and its last value is the script.
FILL = """
class Plate {
    Map<String, Object> values
    def methodMissing(String name, arguments) { name }
    def propertyMissing(String name) { values.containsKey(name) ? values[name] : name }
    def propertyMissing(String name, value) { values[name] = value }
}
def values = new groovy.json.JsonSlurper().parse(new File(args[1]))
def memory = values.task.memory
values.task.memory = memory ? new Expando(toBytes: { memory }) : null
def closure = new GroovyShell().evaluate(new File(args[0]).text.replace("process CYTOBATCH {", "return {"))
closure.delegate = new Plate(values: values)
closure.resolveStrategy = Closure.DELEGATE_FIRST
// Nextflow removes the indent, too.
print closure.call().toString().stripIndent()
"""


def filled_in(folder: Path, process: str, **task: Any) -> str:
    """Return the script of a process as Groovy fills it in; `task` are values of Nextflow's `task`."""
    values = {
        "meta": {"id": "P1"},
        "measurements": "in",
        "platemap": "map.txt" if (folder / "map.txt").exists() else None,
        "moduleDir": str(MODULE),
        "task": {"cpus": 1, "ext": {}, "process": "CYTOBATCH", **task},
    }
    (folder / "process.nf").write_text(process)
    (folder / "fill.groovy").write_text(FILL)
    (folder / "values.json").write_text(json.dumps(values))
    java = Path(shutil.which("java") or "java").resolve().parents[1]
    done = subprocess.run(
        ["groovy", "fill.groovy", "process.nf", "values.json"],
        cwd=folder,
        env={"JAVA_HOME": str(java)} | os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_script(folder: Path, script: str) -> None:
    """Run a script as Nextflow does."""
    environment = os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "TMPDIR": str(folder)}
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def script_and_stub() -> tuple[str, str]:
    """Return the process without its stub, and without its script."""
    process = (MODULE / "main.nf").read_text()
    head, rest = process.split("    script:\n")
    script, stub = rest.split("    stub:\n")
    return f"{head}{script}}}\n", f"{head}{stub}"


def test_a_plate_with_a_platemap_is_converted(tmp_path: Path) -> None:
    write_sites(tmp_path / "in", 2)
    (tmp_path / "map.txt").write_text("well_position\tdrug\nA01\tDMSO\nA02\tDMSO\nB01\tX\nB02\tX\n")
    script = filled_in(
        tmp_path, script_and_stub()[0], cpus=2, memory=2_000_000_000, ext={"args": "--well-profiles median"}
    )
    run_script(tmp_path, script)
    report = json.loads((tmp_path / "P1.run-report.json").read_text())
    assert report["plate"] == "P1"
    assert "Metadata_drug" in pq.read_schema(tmp_path / "P1.parquet").names
    assert (tmp_path / "P1.profiles.parquet").exists()
    assert (tmp_path / "P1.report.html").exists()
    assert yaml.safe_load((tmp_path / "versions.yml").read_text())["CYTOBATCH"]["cytobatch"]


def test_a_plate_without_further_options_is_converted(tmp_path: Path) -> None:
    write_sites(tmp_path / "in", 2)
    run_script(tmp_path, filled_in(tmp_path, script_and_stub()[0], ext={"prefix": "other"}))
    assert pq.read_metadata(tmp_path / "other.parquet").num_rows > 0
    assert not (tmp_path / "other.profiles.parquet").exists()


def test_the_stub_makes_the_files_of_the_outputs(tmp_path: Path) -> None:
    run_script(tmp_path, filled_in(tmp_path, script_and_stub()[1]))
    outputs = {path.name for path in tmp_path.iterdir()} - {"process.nf", "fill.groovy", "values.json"}
    assert outputs == {"P1.parquet", "P1.run-report.json", "P1.report.html", "versions.yml"}
    described = yaml.safe_load((MODULE / "meta.yml").read_text())["output"]
    assert described.keys() == {"profile", "well_profiles", "report", "page", "versions"}
