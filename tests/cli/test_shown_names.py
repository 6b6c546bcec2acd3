"""Names from outside are text: no markup, no codes of a terminal, no lines of their own, no words of a shell."""

import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from cytobatch.cli.app import main
from cytobatch.errors import REPLACEMENT, ExitCode
from tests.support.plates import write_sites

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]

NAMES = [
    "[/x]",
    "[bold red]:smile:[link=host]",
    "\x1b[2J\x1b]0;title\x07\x9b31m",
    "a\nerror: b\rc",
    "\u202egnp.exe\u2066x\u2028",
]
COMMANDS = [
    ["validate", "--source", "{in}", "--destination", "{out}", "--plate", "{name}"],
    ["plan", "--source", "{in}", "--destination", "{out}", "--plate", "{name}"],
    ["run", "--source", "{in}", "--destination", "{out}", "--plate", "{name}", "--orchestrator", "none"],
    ["run", "--source", "{in}/{name}", "--destination", "{out}", "--orchestrator", "none"],
    ["run", "--source", "{in}", "--destination", "{out}", "--preset", "{name}"],
    ["run", "--source", "{in}", "--destination", "{out}", "--joins", "SELECT * FROM {name}", "--orchestrator", "none"],
    ["run", "--source", "{in}", "--destination", "{out}", "--{name}"],
    ["{name}"],
    ["collect", "--source", "{in}", "--destination", "{out}", "--plate", "{name}", "--to", "{out}/batch"],
    ["example", "{out}/{name}"],
    ["status", "{name}", "--deployment", "{out}/{name}"],
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_name_is_shown_as_text(words: list[str], name: str, tmp_path: Path, capsys: Capture) -> None:
    write_sites(tmp_path / "in", 1)
    code = main([w.format(**{"in": tmp_path / "in", "out": tmp_path / "out", "name": name}) for w in words])
    assert code in (ExitCode.OK, ExitCode.PLATES_FAILED, ExitCode.CONFIGURATION, ExitCode.INPUT_DATA, ExitCode.ACCESS)
    printed = capsys.readouterr()
    shown = printed.out + printed.err
    kinds = {unicodedata.category(character) for character in shown.replace("\n", "")}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not [line for line in shown.splitlines() if line.startswith("error: b") and "bad value" not in line]
    if name.isprintable() and words != ["{name}"] and not {"--joins", "--{name}"} & set(words):
        assert name in shown
    elif words[0] in ("validate", "plan"):
        assert REPLACEMENT in shown


FOLDERS = [
    "a b",
    "it's",
    '"double"',
    "$(touch hacked)",
    "`touch hacked`",
    "a; touch hacked",
    "a' ; touch hacked ; '",
    "'); open('hacked','w') #",
    "\\'); open('hacked','w') #",
    "a\nb",
    "!! & | > hacked",
    "\u202eabc",
]


@pytest.mark.parametrize("folder", FOLDERS, ids=ascii)
def test_the_command_that_reads_a_profile_survives_a_shell(folder: str, tmp_path: Path, capsys: Capture) -> None:
    source = write_sites(tmp_path / "in", 1)
    destination = tmp_path / "out" / folder.replace("/", "")
    words = ["--source", source, "--destination", destination, "--orchestrator", "none"]
    assert main(["run", *map(str, words)]) == ExitCode.OK
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  read it  ")]
    command = line.removeprefix("  read it  ")
    assert sys.executable in command
    work = tmp_path / "work"
    work.mkdir()
    # Python without pyarrow takes a tenth of the time; reading is left to another test.
    code = command.replace("import pyarrow.parquet as pq; print(pq.read_table(", "print(ascii(")
    assert code != command
    done = subprocess.run(["/bin/sh", "-c", code], cwd=work, capture_output=True, text=True, check=False)
    assert done.stdout == f"{str(destination / 'single_cells.parquet')!a}\n", done.stderr
    assert not list(work.iterdir())


@pytest.mark.slow
def test_the_command_reads_the_profile(tmp_path: Path, capsys: Capture) -> None:
    source = write_sites(tmp_path / "in", 1)
    words = ["--source", source, "--destination", tmp_path / "it's $HOME", "--orchestrator", "none"]
    assert main(["run", *map(str, words)]) == ExitCode.OK
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  read it  ")]
    done = subprocess.run(
        ["/bin/sh", "-c", line.removeprefix("  read it  ")], capture_output=True, text=True, check=True
    )
    assert "Cells_AreaShape_Area: double" in done.stdout
