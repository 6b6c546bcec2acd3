"""What the documents say is what the program has."""

import re
from pathlib import Path

import pytest

from cytobatch.cli.app import main
from cytobatch.config.environment import PREFIX, Settings
from cytobatch.config.presets.presets import PresetName
from cytobatch.errors import CytobatchError
from cytobatch.report.model import (
    AnnotationFile,
    Counts,
    LedgerEntry,
    OddValues,
    Outcome,
    OutputFile,
    ReportWarning,
    RunLimits,
    RunReport,
    SchemaDifference,
    ValueRepair,
)

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
REPORT = (ROOT / "docs" / "report.md").read_text()
AWS = (ROOT / "docs" / "aws.md").read_text()


@pytest.mark.parametrize("option", sorted(Settings.model_fields))
def test_every_option_is_in_the_readme(option: str) -> None:
    assert f"`{PREFIX}{option.upper()}`" in README


def test_the_readme_names_no_option_that_is_not_there() -> None:
    known = {option.upper() for option in Settings.model_fields}
    assert set(re.findall(f"{PREFIX}([A-Z_]+)", README)) <= known


@pytest.mark.parametrize("preset", list(PresetName))
def test_every_preset_is_in_the_readme(preset: PresetName) -> None:
    assert f"| `{preset.value}` |" in README


def test_every_class_of_error_has_a_documented_exit_code() -> None:
    def all_below(kind: type[CytobatchError]) -> set[type[CytobatchError]]:
        return {kind}.union(*(all_below(child) for child in kind.__subclasses__()))

    for kind in all_below(CytobatchError):
        assert f"| {int(kind.exit_code)} |" in README, kind


def test_every_part_of_a_report_is_documented() -> None:
    models = (
        RunReport,
        RunLimits,
        AnnotationFile,
        Counts,
        LedgerEntry,
        OutputFile,
        ReportWarning,
        SchemaDifference,
        ValueRepair,
        OddValues,
    )
    for name in {name for model in models for name in model.model_fields} - {"first_exports"}:
        assert f"`{name}`" in REPORT, name
    for outcome in Outcome:
        assert f"| `{outcome.value}` |" in REPORT


@pytest.mark.parametrize("command", ["submit", "status", "collect"])
def test_every_flag_of_aws_commands_is_documented(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    flags = {word.strip(",") for word in capsys.readouterr().out.split() if word.startswith("--")}
    options = {f"--{name.replace('_', '-')}" for name in Settings.model_fields}
    own = {flag for flag in flags if not flag.startswith(("--empty-", "--no-")) and flag not in options}
    assert own
    assert {flag for flag in own if f"`{flag}" not in AWS and f"{flag} " not in README} <= {"--help", "--version"}
