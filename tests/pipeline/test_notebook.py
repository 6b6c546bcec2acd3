"""The example notebook runs: its cells in plain Python, and with `make test-downstream` in a kernel."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATH = ROOT / "docs" / "notebooks" / "first_plate.ipynb"
NOTEBOOK: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
CODE = {cell["id"]: "".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"}
PAGE = (ROOT / "docs" / "notebook.md").read_text()


def run_cell(code: str, names: dict[str, Any]) -> Any:
    """Run a cell as a notebook does, without its display: commands after `!`, and the value of the last expression."""
    if code.startswith("!"):
        subprocess.run([sys.executable, "-m", *shlex.split(code[1:])], check=True, capture_output=True)
        return None
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


def test_the_notebook_and_the_page_about_notebooks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    values = {name: run_cell(code, names) for name, code in CODE.items()}
    assert values["inspect"]["cells"][0] == 424
    assert "<svg" in values["convert"]._repr_html_()
    assert values["wells"]["Metadata_Object_Count"].sum() == values["convert"].counts.rows
    assert len(values["cells"]) == values["convert"].counts.wells
    assert values["trust"][0] == []
    printed = capsys.readouterr()
    assert "cells in" in printed.out
    assert [line for line in printed.err.splitlines() if line.startswith("plate: done in")]
    for example in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        if "s3://" not in example:
            run_cell(example, names)
    assert names["report"].report == "profiles/BR00117035/run-report.json"


def test_the_notebook_is_stored_without_outputs() -> None:
    for cell in NOTEBOOK["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert cell["metadata"] == {}
    assert set(NOTEBOOK["metadata"]) == {"kernelspec", "language_info"}


def test_the_notebook_runs_in_a_kernel(tmp_path: Path) -> None:
    """The bar and the result are shown: as HTML, the bar as one display that changes."""
    missing = "no kernel is installed; `make test-downstream` installs one"
    nbformat = pytest.importorskip("nbformat", reason=missing)
    nbclient = pytest.importorskip("nbclient", reason=missing)
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    folder = str(Path(sys.executable).parent)
    env = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute(env=env)
    (cell,) = [cell for cell in notebook.cells if cell["id"] == "convert"]
    bar, result = [output for output in cell["outputs"] if output["output_type"] != "stream"]
    assert re.search(r"<progress [^>]*value=\"1.000\"[^>]*></progress> done in", bar["data"]["text/html"])
    assert "<svg" in result["data"]["text/html"]
    assert result["data"]["text/plain"].startswith("<PlateResult plate: ")
