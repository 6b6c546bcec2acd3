"""The examples of docs/api.md run as they stand."""

import re
from pathlib import Path
from typing import Any

import pytest

import cytobatch
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def test_every_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plate(SyntheticPlate(), tmp_path / "plate", PlateFormat.CSV)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for example in EXAMPLES:
        exec(compile(example, "docs/api.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "424 cells of" in printed
    assert "profiles/BR00117035/profiles.parquet" in printed
    assert "source is missing or empty no-such-folder" in printed
    assert "plate: publish" in printed
    assert "plate: 100%, 18 of 18 exports, 424 rows" in printed
    assert len(EXAMPLES) == 6


def test_every_public_name_is_documented() -> None:
    classes_in_errors = {name for name in cytobatch.__all__ if name.endswith("Error")}
    for name in set(cytobatch.__all__) - classes_in_errors:
        assert re.search(rf"`{name}\b", DOCUMENT), name
