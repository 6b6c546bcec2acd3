"""What is distributed: type hints, classifiers, and modules that other systems can import."""

import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from tests.support.plates import write_sites
from tests.support.subprocesses import run_python

ROOT = Path(__file__).parents[2]
USER_SCRIPT = """
from pathlib import Path
from typing import assert_type

import cytobatch


def show(event: cytobatch.StepStarted | cytobatch.PlateProgress) -> None:
    print(event.plate, event.step.value)
    if isinstance(event, cytobatch.PlateProgress):
        assert_type(event.fraction, float)


report = cytobatch.convert("in", Path("out"), well_profiles="median", progress=show)
assert_type(report, cytobatch.PlateResult)
assert_type(report.counts.rows, int)
assert_type(cytobatch.plan(job_spec={"plates": []}, array_index=0), cytobatch.PlanDescription)
try:
    cytobatch.convert()
except cytobatch.StorageError as error:
    assert_type(error.remedy, str)
reveal_type(cytobatch.convert("in", "out"))
"""


def mypy(script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Check a user's script with mypy's strict defaults, as any other project would."""
    (tmp_path / "script.py").write_text(script)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "script.py"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.slow
def test_a_users_script_is_checked_against_the_types_of_the_package(tmp_path: Path) -> None:
    done = mypy(USER_SCRIPT, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Revealed type is "cytobatch.pipeline.plate_result.PlateResult"' in done.stdout
    wrong = mypy("import cytobatch\ncytobatch.convert(progress=3)\ncytobatch.unknown_name\n", tmp_path)
    assert wrong.returncode == 1
    assert '"convert" has incompatible type "int"' in wrong.stdout
    assert 'has no attribute "unknown_name"' in wrong.stdout


def test_the_wheel_has_type_hints_and_names_the_pythons(tmp_path: Path) -> None:
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        assert "cytobatch/py.typed" in archive.namelist()
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        described = Parser().parsestr(archive.read(metadata).decode())
    classifiers = described.get_all("Classifier") or []
    addresses = dict(line.split(", ") for line in described.get_all("Project-URL") or [])
    assert {"Repository", "Documentation", "Issues", "Changelog"} <= addresses.keys()
    assert described.get_all("License-File") == ["LICENSE"]
    versions = {line.rpartition(" ")[2] for line in classifiers if "Python :: 3." in line}
    assert versions == {"3.11", "3.12", "3.13"}


def installed(archive: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Install a wheel or a source distribution into a folder, without a network: packages are those of this Python."""
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", str(target), str(archive)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_what_is_released_is_installed_and_converts(kind: str, tmp_path: Path) -> None:
    builder = WheelBuilder(str(ROOT)) if kind == "wheel" else SdistBuilder(str(ROOT))
    [archive] = builder.build(directory=str(tmp_path / "dist"), versions=["standard"])
    done = installed(Path(archive), tmp_path / "target")
    assert done.returncode == 0, done.stderr
    write_sites(tmp_path / "in", 2)
    code = (
        "import sys, cytobatch; from cytobatch.__main__ import main; "
        "print(cytobatch.__file__, file=sys.stderr); sys.exit(main())"
    )
    words = ["run", "--source", "in", "--destination", "out", "--orchestrator", "none"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "target")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(str(tmp_path / "target"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "single_cells.parquet",
        "columns.json",
        "run-report.json",
        "report.html",
    }


def other_python(version: str) -> Path:
    """Return the interpreter of another version, on the path or among those of pyenv. Skips the test without one."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [*pyenv.glob(f"versions/{version}.*/bin/python{version}"), shutil.which(f"python{version}")]
    for python in filter(None, found):
        # A command that pyenv puts on the path fails where its version is not chosen.
        if (
            subprocess.run([python, "-c", "import ensurepip"], capture_output=True, timeout=60, check=False).returncode
            == 0
        ):
            return Path(python)
    pytest.skip(f"Python {version} is not installed")


@pytest.mark.long
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_wheel_is_installed_into_a_new_environment_of_each_python(version: str, tmp_path: Path) -> None:
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    python, program = tmp_path / "venv" / "bin" / "python", tmp_path / "venv" / "bin" / "cytobatch"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    write_sites(tmp_path / "in", 2)
    for command in (
        [other_python(version), "-m", "venv", tmp_path / "venv"],
        [*pip, "--require-hashes", "-r", ROOT / "requirements" / "runtime.lock"],
        [*pip, "--no-deps", wheel],
        [program, "run", "--source", "in", "--destination", "out"],
        [program, "verify", "out", "--source", "in", "--cells", "all"],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert f"python{version}" in {path.name for path in (tmp_path / "venv" / "lib").iterdir()}


@pytest.mark.slow
def test_the_api_is_imported_without_the_modules_of_unix() -> None:
    """As on Windows: third-party packages are imported before, because they are those of this machine."""
    run_python(
        """
        import mmap, os, sys
        import cytobatch.pipeline.api
        for name in [name for name in sys.modules if name.split(".")[0] == "cytobatch"]:
            del sys.modules[name]
        sys.platform = "win32"
        for name in ("fcntl", "grp", "pwd", "resource", "termios"):
            sys.modules[name] = None
        for module, names in ((os, ("sched_getaffinity", "sysconf")), (mmap, ("MAP_ANONYMOUS", "MAP_PRIVATE"))):
            for name in names:
                if hasattr(module, name):
                    delattr(module, name)
        import cytobatch
        from cytobatch.pipeline.run_report import peak_memory
        assert cytobatch.convert and cytobatch.plan
        assert peak_memory() == 0
        """
    )
