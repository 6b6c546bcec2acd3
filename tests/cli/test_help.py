"""The help: commands in the order of their use, options in groups, examples, and the shell's completion of both."""

import importlib
import inspect
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from cytobatch.cli.app import main, make_app
from cytobatch.cli.command_list import COMMANDS, Command, CommandGroup
from cytobatch.cli.help_page import HelpPage
from cytobatch.cli.option_flags import OF_REPORTS, OF_THE_RUN, OF_THIS_MACHINE
from cytobatch.config.option_groups import OptionGroup, is_common
from cytobatch.config.options import PlateOptions
from cytobatch.errors import ExitCode

Capture = pytest.CaptureFixture[str]
_COMPLETE = """
. "$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
function=$(complete -p cytobatch)
function=${function#*-F }
${function%% *}
echo "${COMPREPLY[@]}"
"""
"""Prints how bash completes a command line with the function of a script."""
EXAMPLES = [line for command in COMMANDS for line in command.examples]


def printed(capsys: Capture, *words: str) -> str:
    assert main(list(words)) == ExitCode.OK
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out


def flags(page: str) -> set[str]:
    """Return the flags in the first column of a page."""
    return {flag for line in page.splitlines() for flag in re.findall(r"^│ (?:\*  |   )?(--[a-z0-9-]+)", line)}


def flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def one_line(page: str) -> str:
    return " ".join(page.replace("│", " ").split())


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("--help-all",)])
def test_help_lists_the_commands_in_the_order_of_their_use(words: tuple[str, ...], capsys: Capture) -> None:
    text = one_line(printed(capsys, *words))
    lines = [f"{command.name} {command.line}" for command in COMMANDS]
    assert all(line in text for line in lines)
    assert sorted(lines, key=text.index) == lines
    titles = [group.value for group in CommandGroup]
    assert sorted(titles, key=text.index) == titles
    assert "CYTOBATCH_SOURCE" in text


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_of_a_command_has_its_line_its_usage_and_examples_and_no_flag_twice_negated(
    command: Command, capsys: Capture
) -> None:
    module, _, name = command.function.partition(":")
    docstring = inspect.getdoc(getattr(importlib.import_module(module), name))
    assert docstring is not None
    assert docstring.splitlines()[0] == command.line
    page = printed(capsys, command.name, "--help")
    assert command.line in one_line(page)
    assert f"Usage: cytobatch {command.name} {command.usage}".rstrip() in page
    assert all(f"\n  {example}\n" in f"{page}\n" for example in command.examples)
    full = printed(capsys, command.name, "--help-all")
    assert "--no-no-" not in full
    assert re.search("--empty-(?!site)", full) is None


@pytest.mark.parametrize("width", [80, 120])
def test_a_page_fits_a_terminal(width: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert max(map(len, printed(capsys, "run", "--help-all").splitlines())) == width


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_command_line(example: str) -> None:
    words = shlex.split(example.partition(" > ")[0])
    words = words[words.index("cytobatch") + 1 :]
    command, _, _ = make_app(HelpPage(all_options=False)).parse_args(words, exit_on_error=False, print_error=False)
    assert command.__name__ == words[0]


def test_help_shows_the_common_options_and_help_all_each_option_in_its_group(capsys: Capture) -> None:
    short, full = printed(capsys, "run", "--help"), printed(capsys, "run", "--help-all")
    positions = {"--source", "--destination"}
    common = {flag(name) for name in PlateOptions.model_fields if is_common(PlateOptions, name)} - positions
    assert flags(short) == common | {"--job-spec", "--force", "--debug", "--quiet", "--verbose", "--log-format"}
    assert flags(full) == {flag(name) for name in PlateOptions.model_fields} - positions | flags(short)
    assert all(
        f" {title} ─" in full
        for title in (group.value for group in OptionGroup if group.value != "Job spec")
        if title not in ("AWS Batch", "Program")
    )
    assert len(short.splitlines()) < 60
    assert "cytobatch run --help-all" in short
    assert "SOURCE" in short
    assert "DESTINATION" in short
    assert full.count("--plate NAME") == 1


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ("run", frozenset()),
        ("validate", frozenset()),
        ("plan", OF_THE_RUN),
        ("submit", OF_THIS_MACHINE),
        ("collect", frozenset(PlateOptions.model_fields) - OF_REPORTS),
    ],
)
def test_a_command_offers_the_options_that_it_reads(command: str, absent: frozenset[str], capsys: Capture) -> None:
    offered = flags(printed(capsys, command, "--help-all"))
    expected = {flag(name) for name in set(PlateOptions.model_fields) - absent - {"source", "destination"}}
    assert {name for name in offered if name[2:].replace("-", "_") in PlateOptions.model_fields} == expected


def test_the_shell_completes_commands_and_options(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    script = tmp_path / ".local" / "share" / "bash-completion" / "completions" / "cytobatch"
    assert str(script) in printed(capsys, "--install-completion", "bash")
    text = script.read_text()
    assert all(command.name in text for command in COMMANDS)
    assert "--max-failed-exports" in text
    assert str(script) in (tmp_path / ".bashrc").read_text()
    completed = subprocess.run(
        ["bash", "-c", _COMPLETE, "bash", script, "cytobatch", "run", "--max"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout.split() == ["--max-failed-exports"]


def test_no_credentials_of_a_variable_are_taken_back_by_a_flag() -> None:
    words = ["run", "plate", "out", "--sign-request", "--no-drop-null"]
    app = make_app(HelpPage(all_options=False))
    _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert bound.arguments["options"].explicit() == {"no_sign_request": False, "drop_null": False}
