"""The configuration by itself: its shape, that it is valid, its own tests, the scan of its policies."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.emulator.terraform import REPOSITORY, Terraform

EXAMPLES = sorted(path.name for path in (REPOSITORY / "terraform/examples").iterdir() if path.is_dir())


def test_files_are_in_shape(tree: Path) -> None:
    done = Terraform(tree).run("fmt", "-check", "-recursive", "-diff", "-no-color", ok=(0, 3))
    assert done.returncode == 0, done.stdout


def test_root_is_valid(root: Terraform) -> None:
    assert json.loads(root.run("validate", "-json").stdout)["diagnostics"] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_is_valid(tree: Path, example: str) -> None:
    terraform = Terraform(tree / "examples" / example)
    terraform.init()
    assert json.loads(terraform.run("validate", "-json").stdout)["diagnostics"] == []


def test_its_own_tests_pass(root: Terraform) -> None:
    files = sorted(path.name for path in (REPOSITORY / "terraform/tests").glob("*.tftest.hcl"))
    done = root.run("test", "-json", ok=(0, 1))
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [message["@message"] for message in messages if message.get("@level") == "error"]
    summary = next(message["test_summary"] for message in messages if message["type"] == "test_summary")
    ran = {Path(message["@testfile"]).name for message in messages if message["type"] == "test_run"}
    assert not failed, done.stdout
    assert (summary["status"], summary["failed"], summary["errored"], summary["skipped"]) == ("pass", 0, 0, 0)
    assert sorted(ran) == files


def test_host_script_is_bash() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not on this machine")
    script = REPOSITORY / "terraform/templates/host.sh"
    done = subprocess.run([bash, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _checkov() -> list[str]:
    """The command: of this Python, of `.venv-checkov`, or of the path."""
    if importlib.util.find_spec("checkov") is not None:
        return [sys.executable, "-m", "checkov.main"]
    own = REPOSITORY / ".venv-checkov/bin/checkov"
    found = str(own) if own.is_file() else shutil.which("checkov")
    if found is None:
        pytest.skip("checkov is not on this machine: make .venv-checkov/installed")
    return [found]


def test_policy_scan_is_clean(tree: Path) -> None:
    command = [*_checkov(), "--directory", str(tree), "--framework", "terraform", "--skip-download", "--output", "json"]
    done = subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=False)
    said = json.loads(done.stdout)
    summary = said["summary"]
    failed = [(each["check_id"], each["resource"], each["file_path"]) for each in said["results"]["failed_checks"]]
    assert summary["parsing_errors"] == 0
    assert failed == []
    assert summary["passed"] > 100
