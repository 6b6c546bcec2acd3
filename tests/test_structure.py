"""The package has the structure of docs/design.md: few rooms, short modules and functions, formats apart."""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "cytobatch"
MODULES = sorted(PACKAGE.rglob("*.py"))

MOST_TOP_ENTRIES = 17
MOST_LINES_OF_A_MODULE = 400
MOST_LINES_OF_A_FUNCTION = 50
MOST_NOQA = 16
MOST_TYPE_IGNORES = 4

FORMAT_ROOMS = ("formats/", "readers/", "config/presets", "synthetic.py")
"""The only rooms that may name a format: formats, the readers of their files, presets, and made-up plates."""
HELP_TEXTS = "config/options.py"
"""The module whose attribute docstrings are help texts for people, and name the presets."""
FORMAT_NAMES = re.compile(
    r"""
      in[-_\ ]?carta | deep[-_\ ]?profiler | \bnpz | npz\b                    # formats by name
    | cellprofiler[-_\ ](?:csv|sqlite|to[-_\ ]cytominer)
    | \bformats\.(?:cellprofiler|incarta|deepprofiler)                      # imports of one format
    | \bSourceKind\b | \bPlateKind\b | \bis_single_table\b                  # questions about a format's kind
    | \bsql_table\b | \.shape\ is\ (?:not\ )?None
    """,
    re.VERBOSE | re.IGNORECASE,
)


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each comment."""
    with path.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def comments_like(pattern: str, *folders: str) -> list[str]:
    """Return `path:line` of each comment below the folders that matches a pattern."""
    return [
        f"{path.relative_to(ROOT)}:{line}"
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "/." not in path.relative_to(ROOT).as_posix()
        for line, text in comments(path)
        if re.search(pattern, text)
    ]


def lines_without_attribute_docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a module, but for those of the docstrings below its classes' attributes."""
    text = path.read_text()
    skipped = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
        for part in node.body
        if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
        for line in range(part.lineno, (part.end_lineno or part.lineno) + 1)
    }
    return ((number, line) for number, line in enumerate(text.splitlines(), 1) if number not in skipped)


def functions() -> Iterator[tuple[str, int]]:
    """Yield each function of the package with its number of lines, its docstring and decorators not counted."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                documented = ast.get_docstring(node) is not None
                docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
                yield f"{name_of(path)}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1 - docstring


def test_the_package_has_few_entries_at_its_top() -> None:
    entries = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert len(entries) <= MOST_TOP_ENTRIES, sorted(entries)


def test_every_folder_of_modules_is_a_package() -> None:
    assert [name_of(path) for path in MODULES if not (path.parent / "__init__.py").exists()] == []


def test_no_module_is_too_long() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_A_MODULE} == {}


def test_no_function_is_too_long() -> None:
    assert {name: length for name, length in functions() if length > MOST_LINES_OF_A_FUNCTION} == {}


def test_the_formatter_decides_the_layout_of_every_line() -> None:
    assert comments_like(r"fmt:\s*(skip|off)", "src", "tests", "benchmarks") == []


def test_few_lint_findings_are_silenced() -> None:
    silenced = comments_like(r"\bnoqa\b", "src")
    assert len(silenced) <= MOST_NOQA, silenced


def test_few_type_errors_are_ignored() -> None:
    ignored = comments_like(r"type:\s*ignore", "src")
    assert len(ignored) <= MOST_TYPE_IGNORES, ignored


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=name_of)
def test_an_init_file_holds_its_docstring_alone(path: Path) -> None:
    """The package's own `__init__` is the public API, and is exempt."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    if path.parent != PACKAGE:
        assert [ast.unparse(node) for node in tree.body[1:]] == []


def test_no_module_outside_the_formats_names_a_format() -> None:
    naming = []
    for path in MODULES:
        if name_of(path).startswith(FORMAT_ROOMS):
            continue
        is_help = name_of(path) == HELP_TEXTS
        lines = lines_without_attribute_docstrings(path) if is_help else enumerate(path.read_text().splitlines(), 1)
        naming += [f"{name_of(path)}:{number}: {line.strip()}" for number, line in lines if FORMAT_NAMES.search(line)]
    assert naming == [], f"{len(naming)} lines name a format or ask for its kind:\n" + "\n".join(naming)
