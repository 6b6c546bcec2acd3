"""The configuration without an account: format, validity, its own tests, the scan of its policies."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.emulator.terraform import Terraform
from tests.support.paths import REPOSITORY

TESTS = sorted(path.name for path in (REPOSITORY / "terraform/tests").glob("*.tftest.hcl"))
PARTS = [TESTS[number::3] for number in range(3)]
"""Files whose tests one run of terraform makes: it starts in two seconds of CPU time, and each worker has a part."""
EXAMPLES = sorted(path.name for path in (REPOSITORY / "terraform/examples").iterdir() if path.is_dir())


def test_files_are_formatted(tree: Path) -> None:
    done = Terraform(tree).run("fmt", "-check", "-recursive", "-diff", "-no-color", ok=(0, 3))
    assert done.returncode == 0, done.stdout


def test_root_is_valid(root: Terraform) -> None:
    assert json.loads(root.run("validate", "-json").stdout)["diagnostics"] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_is_valid(tree: Path, example: str) -> None:
    terraform = Terraform(tree / "examples" / example)
    terraform.init()
    assert json.loads(terraform.run("validate", "-json").stdout)["diagnostics"] == []


@pytest.mark.parametrize("files", PARTS, ids=lambda files: "-".join(name.partition(".")[0] for name in files))
def test_its_own_tests_pass(root: Terraform, files: list[str]) -> None:
    done = root.run("test", "-json", *(f"-filter=tests/{file}" for file in files), ok=(0, 1))
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [message["@message"] for message in messages if message.get("@level") == "error"]
    summary = next(message["test_summary"] for message in messages if message["type"] == "test_summary")
    ran = {Path(message["@testfile"]).name for message in messages if message["type"] == "test_run"}
    assert not failed, done.stdout
    assert (summary["status"], summary["failed"], summary["errored"], summary["skipped"]) == ("pass", 0, 0, 0)
    assert ran == set(files)


def test_host_script_is_bash() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not on this machine")
    script = REPOSITORY / "terraform/templates/host.sh"
    done = subprocess.run([bash, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _checkov() -> list[str]:
    """Return the command of this Python, of `.venv-checkov`, or of PATH."""
    if importlib.util.find_spec("checkov") is not None:
        return [sys.executable, "-m", "checkov.main"]
    own = REPOSITORY / ".venv-checkov/bin/checkov"
    program = str(own) if own.is_file() else shutil.which("checkov")
    if program is None:
        pytest.skip("checkov is not on this machine: make .venv-checkov/installed")
    return [program]


def test_policy_scan_is_clean(tree: Path) -> None:
    command = [*_checkov(), "--directory", str(tree), "--framework", "terraform", "--skip-download", "--output", "json"]
    done = subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=False)
    scan = json.loads(done.stdout)
    summary = scan["summary"]
    failed = [(each["check_id"], each["resource"], each["file_path"]) for each in scan["results"]["failed_checks"]]
    assert summary["parsing_errors"] == 0
    assert failed == []
    assert summary["passed"] > 100
