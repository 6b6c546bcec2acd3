"""The commands and lines of Python in a document, and a shell that runs them in order as a reader would."""

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for folder in (
        ROOT,
        ROOT / "docs",
        ROOT / "docs" / "decisions",
        ROOT / "benchmarks",
        ROOT / "terraform",
        ROOT / "workflows",
    )
    for path in folder.glob("*.md")
)
_FENCED = re.compile(
    r"(?:^<!-- (?P<mark>[^>]*) -->\n)?^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]*)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_INDENTED = re.compile(r"(?:\A|(?<=\n\n))(?:(?: {4}| {8})\S.*\n(?:(?: {4}| {8}).*\n)*)", re.MULTILINE)
_PROGRAMS = frozenset(
    {"cytobatch", "make", "aws", "terraform", "docker", "prefect", "dask", "cd", "export", "pip", ".venv/bin/pytest"}
)
_NOT_RUN = "not run: "
_END = "end of block"
_TIMEOUT = 600


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code. `title` is the name of the file that it is; `not_run` is why no test runs it, if none does."""

    line: int
    language: str
    text: str
    title: str | None = None
    not_run: str | None = None


def blocks_of(document: Path) -> list[Block]:
    """Return the fenced blocks of a document in order. A comment `not run: <why>` may stand before one."""
    text = document.read_text()
    found = []
    for match in _FENCED.finditer(text):
        mark = match["mark"] or ""
        not_run = mark.removeprefix(_NOT_RUN) if mark.startswith(_NOT_RUN) else None
        line = text.count("\n", 0, match.start("text")) + 1
        found.append(Block(line, match["language"], match["text"], match["title"], not_run))
    return found


def commands_of(document: Path) -> Iterator[list[str]]:
    """Yield the words of each command `cytobatch …` in fenced blocks of a shell and in indented lines."""
    text = document.read_text()
    code = [block.text for block in blocks_of(document) if block.language == "sh"]
    code += [match[0] for match in _INDENTED.finditer(_FENCED.sub("\n", text))]
    for line in "\n".join(code).replace("\\\n", " ").splitlines():
        for command in re.split(r"&&|\|\||;|\s>", line):
            words = command.split()
            names = [word for word in words if not re.fullmatch(r"[A-Z_]+=\S*", word)]
            if names[:1] == ["cytobatch"]:
                yield shlex.split(command, comments=True)[len(words) - len(names) :]


def has_commands(document: Path) -> bool:
    """Return whether a document has lines of Python or of a shell, be they indented or fenced."""
    fenced = any(block.language in ("sh", "python") for block in blocks_of(document))
    indented = "\n".join(match[0] for match in _INDENTED.finditer(_FENCED.sub("\n", document.read_text())))
    return fenced or any(line.split()[:1] and line.split()[0] in _PROGRAMS for line in indented.splitlines())


def run_blocks(document: Path, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Run the blocks of a document in one shell, and return what each printed to standard output.

    Blocks are commands, Python, or files, whose name is the title of the block. A block of text is what the block
    before it prints, among other lines.
    """
    blocks = [block for block in blocks_of(document) if block.not_run is None]
    (folder / "document.sh").write_text("".join(_script(number, block) for number, block in enumerate(blocks)))
    for number, block in enumerate(blocks):
        if block.language == "python":
            (folder / f"block-{number}.py").write_text(block.text)
        elif block.title:
            (folder / block.title).write_text(block.text)
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "document.sh"],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    printed = done.stdout.split(f"{_END}\n")
    failed = blocks[min(len(printed), len(blocks)) - 1]
    assert done.returncode == 0, f"{document.name}:{failed.line}:\n{failed.text}\n{printed[-1]}\n{done.stderr[-3000:]}"
    for number, block in enumerate(blocks):
        if block.language == "text" and block.title is None:
            lines = printed[number - 1].splitlines()
            assert [line for line in block.text.splitlines() if line not in lines] == [], f"line {block.line}"
    return printed


def _script(number: int, block: Block) -> str:
    """Return the lines of the shell that run a block."""
    run = {"sh": block.text, "python": f"python block-{number}.py\n"}.get(block.language, "")
    return f"{run}echo '{_END}'\n"
