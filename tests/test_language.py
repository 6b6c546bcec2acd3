"""Docstrings, comments and documents are plain technical English: they avoid a short list of figurative words."""

import ast
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "src").rglob("*.py"))
DOCUMENTS = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "SECURITY.md",
        ROOT / "CODE_OF_CONDUCT.md",
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "benchmarks" / "README.md",
        ROOT / "terraform" / "README.md",
        ROOT / "workflows" / "README.md",
    ]
)
MOST_PER_1000_WORDS = 0.3
AVOIDED = re.compile(
    r"\b(?:said|says?|told|tells?|hears?|heard|odd|so\s+many|let(?:s|ting)?\s+go\s+of)\b", re.IGNORECASE
)
"""Code does not speak or hear. `odd` and `so many` leave open which and how many."""
WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
FENCED_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text and where it begins."""

    path: Path
    line: int
    text: str

    def avoided(self) -> Iterator[str]:
        """Yield `path:line: words` for each avoided word."""
        for match in AVOIDED.finditer(self.text):
            line = self.line + self.text[: match.start()].count("\n")
            around = self.text[max(0, match.start() - 30) : match.end() + 30].replace("\n", " ")
            yield f"{self.path.relative_to(ROOT)}:{line}: …{around}…"


def docstrings(path: Path) -> Iterator[Passage]:
    """Yield each docstring of a module, those of attributes included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield Passage(path, node.lineno, node.value.value)


def comments(path: Path) -> Iterator[Passage]:
    """Yield the comments of a module; those on consecutive lines are one passage, so that a phrase may wrap."""
    begun, lines = 0, list[str]()
    with path.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type != tokenize.COMMENT:
                continue
            if lines and token.start[0] == begun + len(lines):
                lines.append(token.string)
                continue
            if lines:
                yield Passage(path, begun, "\n".join(lines))
            begun, lines = token.start[0], [token.string]
    if lines:
        yield Passage(path, begun, "\n".join(lines))


def document(path: Path) -> Passage:
    """Return a document without its fenced code, whose lines stay empty so that line numbers hold."""
    return Passage(path, 1, FENCED_CODE.sub(lambda match: "\n" * match[0].count("\n"), path.read_text()))


def check(passages: list[Passage]) -> None:
    words = sum(len(WORD.findall(passage.text)) for passage in passages)
    places = [place for passage in passages for place in passage.avoided()]
    rate = 1000 * len(places) / words
    assert rate < MOST_PER_1000_WORDS, f"{len(places)} in {words:,} words, {rate:.2f} per 1,000:\n" + "\n".join(places)


def test_docstrings_and_comments_are_plain() -> None:
    check([passage for path in MODULES for kind in (docstrings, comments) for passage in kind(path)])


def test_documents_are_plain() -> None:
    check([document(path) for path in DOCUMENTS])


@pytest.mark.parametrize("text", ["DuckDB says so", "as told", "so\nmany", "letting go of it", "what is odd"])
def test_an_avoided_word_is_found(text: str) -> None:
    assert len(list(Passage(ROOT / "README.md", 1, text).avoided())) == 1


@pytest.mark.parametrize("text", ["`odd_values`", "essay", "foretold", "so many_things"])
def test_a_name_is_not_taken_for_an_avoided_word(text: str) -> None:
    assert list(Passage(ROOT / "README.md", 1, text).avoided()) == []
