"""The bytecode of templates lies beside them, and is used as long as it is that of their text."""

import sys
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from cytobatch.report.compiled_templates import CompiledTemplates
from cytobatch.report.page_template import fragment_template, page_template


@pytest.fixture(autouse=True)
def bytecode_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)


def rendered(folder: Path, name: str, **options: bool) -> str:
    """Render a template by an environment of its own, as a new process does."""
    cache = CompiledTemplates(folder, options)
    environment = Environment(loader=FileSystemLoader(folder), bytecode_cache=cache, autoescape=True, **options)
    return environment.get_template(name).render()


def bytecode_of(folder: Path, name: str) -> Path:
    (found,) = (folder / "__pycache__").glob(f"{name}.*")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "one.html").write_text("{{ 1 + 1 }} one")
    (tmp_path / "two.html").write_text("{{ 2 + 2 }} two")
    return tmp_path


def test_stored_bytecode_is_used(folder: Path) -> None:
    assert rendered(folder, "one.html") == "2 one"
    assert rendered(folder, "two.html") == "4 two"
    one, two = bytecode_of(folder, "one"), bytecode_of(folder, "two")
    checksum = one.read_bytes().partition(b"\n")[0]
    one.write_bytes(checksum + b"\n" + two.read_bytes().partition(b"\n")[2])
    assert rendered(folder, "one.html") == "4 two"


def test_bytecode_of_another_text_or_other_options_is_not_used(folder: Path) -> None:
    (folder / "one.html").write_text("{% if true %}\none{% endif %}")
    assert rendered(folder, "one.html") == "\none"
    assert rendered(folder, "one.html", trim_blocks=True) == "one"
    (folder / "one.html").write_text("changed")
    assert rendered(folder, "one.html", trim_blocks=True) == "changed"


@pytest.mark.parametrize("content", [b"", b"\x00", b"cut"])
def test_damaged_bytecode_is_written_again(folder: Path, content: bytes) -> None:
    rendered(folder, "one.html")
    stored = bytecode_of(folder, "one")
    whole = stored.read_bytes()
    stored.write_bytes(whole.partition(b"\n")[0] + b"\n" + content)
    assert rendered(folder, "one.html") == "2 one"
    assert bytecode_of(folder, "one").read_bytes() == whole


def test_a_template_is_rendered_where_no_bytecode_can_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "__pycache__").write_text("a file")
    assert rendered(folder, "one.html") == "2 one"
    (folder / "__pycache__").unlink()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert rendered(folder, "one.html") == "2 one"
    assert not (folder / "__pycache__").exists()


def forget_templates() -> None:
    page_template.cache_clear()
    fragment_template.cache_clear()


@pytest.mark.parametrize("name", ["plate_page", "batch_page"])
def test_pages_have_their_bytecode_where_python_keeps_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    forget_templates()
    page_template(name)
    forget_templates()
    assert len(list(tmp_path.rglob(f"{name}.*.pyc"))) == 1
