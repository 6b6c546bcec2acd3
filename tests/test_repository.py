"""The repository's files for people and their tools: they parse, and what they name exists."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cytobatch import __version__

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FORMS = sorted(path for path in GITHUB.glob("ISSUE_TEMPLATE/*.yml") if path.stem != "config")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def document(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in document(path)["jobs"].values() for step in job["steps"]]


def test_the_citation_is_of_this_version() -> None:
    citation = document(ROOT / "CITATION.cff")
    assert citation["version"] == __version__
    assert citation["license"] == "BSD-3-Clause"
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_the_wrappers_are_of_this_version() -> None:
    tool = (ROOT / "workflows/galaxy/cytobatch.xml").read_text()
    versions = re.findall(r"""name="@TOOL_VERSION@">([^<]*)<|version = \{([\d.]*)\}""", tool)
    assert {version for pair in versions for version in pair if version} == {__version__}
    assert len(versions) == 2
    environment = document(ROOT / "workflows/snakemake/environment.yaml")
    assert environment["dependencies"][-1] == {"pip": [f"cytobatch =={__version__}"]}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_of_an_issue_has_what_github_needs(path: Path) -> None:
    form = document(path)
    assert {"name", "description", "body"} <= form.keys()
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["type"] in ("input", "textarea") and field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields) > 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_the_commands_of_a_developer(path: Path) -> None:
    runs = [step["run"] for step in steps(path) if "run" in step]
    assert ".ci/run" in runs
    assert {target for run in runs for target in re.findall(r"^make ([a-z-]+)", run)} <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_the_least_rights_and_fixed_actions(path: Path) -> None:
    assert document(path)["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)] == []
    # Text from outside, such as a branch's name, would be run by the shell.
    assert [step for step in steps(path) if "${{" in step.get("run", "")] == []


def test_the_hooks_are_programs_of_the_lock() -> None:
    lock = (ROOT / "requirements" / "dev.lock").read_text()
    packages = {"ruff": "ruff", "mypy": "mypy", "lint-imports": "import-linter", "pytest": "pytest"}
    (repository,) = document(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        program, *words = hook["entry"].split()
        assert f"\n{packages[program.removeprefix('.venv/bin/')]}==" in f"\n{lock}", program
        assert [word for word in words if word.startswith("tests/") and not (ROOT / word).exists()] == []


def test_the_target_clean_removes_every_environment() -> None:
    makefile = (ROOT / "Makefile").read_text()
    made = set(re.findall(r"^(\.venv[a-z-]*)/", makefile, re.MULTILINE))
    (removed,) = re.findall(r"^clean:.*\n\trm -rf (.*)$", makefile, re.MULTILINE)
    ignored = (ROOT / ".gitignore").read_text().split()
    assert made <= set(removed.split())
    assert {f"{name}/" for name in made} <= set(ignored)


@pytest.mark.parametrize("pattern", ["*.md", "docs/**/*.md", "Makefile", "pyproject.toml"])
def test_no_mark_of_a_merge_is_left(pattern: str) -> None:
    marks = re.compile(r"^(<{7}|={7}|>{7})(\s|$)", re.MULTILINE)
    paths = list(ROOT.glob(pattern))
    assert paths
    assert [path.name for path in paths if marks.search(path.read_text())] == []
