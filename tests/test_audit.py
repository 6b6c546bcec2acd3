"""`make audit`: licences and known vulnerabilities, and no success where nothing was looked up."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = [ROOT / "requirements" / f"{name}.lock" for name in ("runtime", "anndata", "dask")]
PIP_AUDIT = ROOT / ".venv-audit/bin/pip-audit"
CLEAN = {"name": "numpy", "version": "2.1", "vulns": []}
VULNERABLE = {
    "name": "jinja2",
    "version": "3.1",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.2"]}, {"id": "PYSEC-2", "fix_versions": []}],
}
UNKNOWN = {"name": "rich", "skip_reason": "Dependency not found"}


def audit(program: Path, *locks: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".ci" / "audit.py"), str(program), *map(str, locks)]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)


def program_that_prints(text: str, folder: Path) -> Path:
    """Write a program in place of pip-audit, which prints what pip-audit would."""
    path = folder / "pip-audit"
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("packages", "code", "shown"),
    [
        ([CLEAN], 0, "no known vulnerability in 1 packages"),
        (
            [CLEAN, VULNERABLE],
            1,
            "vulnerable: jinja2 3.1: PYSEC-1, fixed in 3.2\nvulnerable: jinja2 3.1: PYSEC-2, not fixed",
        ),
        ([CLEAN, UNKNOWN], 2, "could not look for vulnerabilities of 1 packages: the index has no record of rich"),
        ([VULNERABLE, UNKNOWN], 1, "could not look for vulnerabilities of 1 packages"),
        ([], 2, ""),
    ],
)
def test_a_package_that_was_not_looked_up_is_no_success(
    packages: list[dict[str, Any]], code: int, shown: str, tmp_path: Path
) -> None:
    done = audit(program_that_prints(json.dumps({"dependencies": packages, "fixes": []}), tmp_path), LOCKS[0])
    assert done.returncode == code, done.stdout
    assert shown in done.stdout
    assert ("no known vulnerability" in done.stdout) == (code == 0)


def test_a_program_that_fails_is_no_success(tmp_path: Path) -> None:
    done = audit(program_that_prints("connection refused", tmp_path), LOCKS[0])
    assert done.returncode == 2
    assert "could not look for vulnerabilities" in done.stdout


@pytest.mark.skipif(not PIP_AUDIT.exists(), reason="pip-audit is not on this machine: make .venv-audit/installed")
def test_an_index_that_does_not_answer_is_no_success() -> None:
    nowhere = "http://127.0.0.1:9"
    done = audit(PIP_AUDIT, ROOT / "requirements/build.lock", HTTPS_PROXY=nowhere, https_proxy=nowhere)
    assert done.returncode == 2, done.stdout
    assert "could not look for vulnerabilities" in done.stdout


def test_every_package_that_is_shipped_has_a_licence(tmp_path: Path) -> None:
    done = audit(program_that_prints(json.dumps({"dependencies": [CLEAN]}), tmp_path), *LOCKS)
    rows = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    assert len(rows) > 80
    assert {"prefect", "pyarrow", "anndata", "distributed"} <= {name for name, _, _ in rows}
    assert [name for name, _, licence in rows if licence == "unknown"] == []
