"""The process itself: signals, imports, and more than one run in one process."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.plates import write_sites

HEAVY = {
    "pyarrow",
    "duckdb",
    "numpy",
    "pandas",
    "botocore",
    "boto3",
    "cloudpathlib",
    "obstore",
    "prefect",
    "pydantic_settings",
}


def imported(*arguments: str) -> set[str]:
    """The modules that a command imports, at any depth."""
    command = [sys.executable, "-X", "importtime", "-m", "cytobatch", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], [], ["run", "--help"], ["submit", "--help"], ["status", "--help"]]
)
def test_help_and_version_import_no_heavy_module(arguments: list[str]) -> None:
    modules = imported(*arguments)
    assert "cytobatch.cli.app" in modules
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()


def test_the_version_is_shown_without_the_models_of_options() -> None:
    assert "pydantic" not in imported("--version")


def test_plan_does_not_import_prefect(tmp_path: Path) -> None:
    source = str(write_sites(tmp_path / "in", 1))
    modules = imported("plan", "--source", source, "--destination", str(tmp_path / "out"))
    assert "cytobatch.pipeline.describe" in modules
    assert "prefect" not in modules


MODULES_AFTER = """
import sys
from cytobatch.cli.app import main
assert main(sys.argv[1:]) == 0
print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_help_and_version_leave_no_heavy_module_in_the_process(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MODULES_AFTER, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stderr.split()) & HEAVY == set()


def test_sigterm_ends_the_program_during_its_imports() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "cytobatch", "schema"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        # The last import before the signal handler, and the first one after it.
        for line in process.stderr:
            if "cytobatch.errors" in line:
                break
        next(process.stderr)
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert process.returncode == 143


RUNS = """
import os, signal, sys
from cytobatch.__main__ import main

before = dict(os.environ)
for folder in sys.argv[1:]:
    sys.argv[1:] = ["run", "--source", folder, "--destination", f"{folder}-out"]
    try:
        main()
    except SystemExit as end:
        print("exit code", end.code, flush=True)
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
"""


def environment(tmp_path: Path) -> dict[str, str]:
    for name in ("tmp", "home"):
        (tmp_path / name).mkdir()
    return {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "HOME": str(tmp_path / "home")}


@pytest.mark.slow
def test_runs_follow_each_other_in_one_process_each_with_its_own_server(tmp_path: Path) -> None:
    names = ("P1", "absent", "P3")
    for sites, name in enumerate(names, 1):
        if name != "absent":
            write_sites(tmp_path / name, sites)
    done = subprocess.run(
        [sys.executable, "-c", RUNS, *names],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.findall("exit code [0-9]+", done.stdout) == ["exit code 0", "exit code 3", "exit code 0"]
    assert done.stderr.count("error: ") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert {path.parent.name for path in tmp_path.rglob("*.parquet")} == {"P1-out", "P3-out"}
    assert not list((tmp_path / "tmp").iterdir())
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.slow
@pytest.mark.long
def test_sigterm_ends_a_second_run_of_one_process_with_a_clean_scratch(tmp_path: Path) -> None:
    write_sites(tmp_path / "P1", 1)
    write_sites(tmp_path / "P2", 400, 20)
    process = subprocess.Popen(
        [sys.executable, "-c", RUNS, "P1", "P2"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip() == "P2: convert":
            break
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert re.findall("exit code [0-9]+", out) == ["exit code 0", "exit code 143"]
    assert (tmp_path / "P1-out" / "single_cells.parquet").exists()
    assert not (tmp_path / "P2-out").exists()
    assert not list((tmp_path / "tmp").iterdir())
