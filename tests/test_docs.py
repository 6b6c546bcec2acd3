"""The documents describe the program as it is: options, presets, exit codes, report keys, flags, rooms, links."""

import json
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cytobatch.cli import command_list
from cytobatch.cli.app import main
from cytobatch.config.environment import Settings
from cytobatch.config.presets.catalog import PresetName
from cytobatch.config.variables import PREFIX
from cytobatch.errors import ExitCode
from cytobatch.output.column_list import FOOTER_KEY, ColumnRole, OutputColumn
from cytobatch.report.model import (
    AnnotationFile,
    Counts,
    LedgerEntry,
    NonFiniteValues,
    Outcome,
    OutputFile,
    ReportWarning,
    RunLimits,
    RunReport,
    SchemaDifference,
    ValueRepair,
)
from cytobatch.report.wells import PlateWell
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.documents import DOCUMENTS, ROOT
from tests.support.plates import convert_to_folder, write_sites

README = (ROOT / "README.md").read_text()
OPTIONS = (ROOT / "docs" / "options.md").read_text()
SOURCES = (ROOT / "docs" / "sources.md").read_text()
ERRORS = (ROOT / "docs" / "errors.md").read_text()
COLUMNS = (ROOT / "docs" / "columns.md").read_text()
COMMANDS = (ROOT / "docs" / "commands.md").read_text()
REPORT = (ROOT / "docs" / "report.md").read_text()
OUTPUTS = (ROOT / "docs" / "outputs.md").read_text()
AWS = (ROOT / "docs" / "aws.md").read_text()
DESIGN = (ROOT / "docs" / "design.md").read_text()
PACKAGE = ROOT / "src" / "cytobatch"
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
MOST_LINES_OF_THE_README = 120
FENCED_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= MOST_LINES_OF_THE_README


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert [path.name for path in pictures if path.stat().st_size > 150_000] == []


def test_the_table_of_options_is_that_of_the_models() -> None:
    names = {f"`{PREFIX}{option.upper()}`" for option in Settings.model_fields}
    assert names == set(re.findall(f"^\\| (`{PREFIX}[A-Z0-9_]+`) \\|", OPTIONS, re.MULTILINE))
    made = runpy.run_path(str(ROOT / ".ci" / "options_page.py"))
    assert made["page_with"](made["options_table"](), OPTIONS) == OPTIONS, "run `make options`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_option_in_a_document_exists(document: Path) -> None:
    known = {option.upper() for option in Settings.model_fields}
    assert set(re.findall(f"{PREFIX}([A-Z0-9_]*[A-Z0-9])", document.read_text())) <= known


def test_every_further_word_about_an_option_is_about_one_that_exists() -> None:
    _, _, more = OPTIONS.partition("## More about some options")
    rows = re.findall(r"^\| (`[^|]*`) \|", more, re.MULTILINE)
    assert rows
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} <= set(Settings.model_fields)


@pytest.mark.parametrize("preset", list(PresetName))
def test_every_preset_is_documented(preset: PresetName) -> None:
    assert f"| `{preset.value}` |" in SOURCES


def test_every_command_is_documented() -> None:
    commands = {command.name for command in command_list.COMMANDS}
    assert commands == set(re.findall(r"^\| `cytobatch (\w+)", COMMANDS, re.MULTILINE))


@pytest.mark.parametrize("document", [README, ERRORS], ids=["README", "errors"])
def test_every_exit_code_is_documented(document: str) -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", document, re.MULTILINE)
    assert sorted(int(code) for row in rows for code in row.split(", ")) == sorted(ExitCode)


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
        NonFiniteValues,
        PlateWell,
    )
    fields = {field.alias or name for model in models for name, field in model.model_fields.items()}
    for name in fields - {"first_exports"}:
        assert f"`{name}`" in REPORT, name
    for outcome in Outcome:
        assert f"| `{outcome.value}` |" in REPORT


def test_every_key_of_a_list_of_columns_is_documented() -> None:
    for name in (*OutputColumn._fields, *ColumnRole, "format_version", FOOTER_KEY):
        assert f"`{name}`" in OUTPUTS, name


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a plate of one site, in the folder `out`."""
    folder = tmp_path_factory.mktemp("documents")
    convert_to_folder(write_sites(folder / "in", 1), folder / "out", well_profiles="median", add_tablenumber=True)
    write_plate(SyntheticPlate(wells=1, sites=2, features=3), folder / "database", PlateFormat.SQLITE)
    convert_to_folder(folder / "database", folder / "of_database")
    return folder


@pytest.mark.parametrize("name", ["out/columns.json", "out/profiles.columns.json", "of_database/columns.json"])
def test_every_metadata_column_is_in_the_dictionary(name: str, result: Path) -> None:
    columns = json.loads((result / name).read_text())["columns"]
    found = {column["name"] for column in columns if column["role"] == "metadata"}
    labels = "|".join(sorted({column["compartment"] for column in columns if column["compartment"]} - {"Image"}))
    documented = set(re.findall(r"`(Metadata_[^`]*)`", COLUMNS))
    assert {re.sub(f"(?<=_)({labels})(?=_|$)", "<Compartment>", name) for name in found} <= documented


def test_the_documents_lines_select_features(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", OUTPUTS, re.DOTALL)
    monkeypatch.chdir(result)
    found: dict[str, Any] = {}
    exec(code, found)
    assert found["features"] == [f"{label}_AreaShape_Area" for label in ("Cytoplasm", "Cells", "Nuclei")]
    assert list(found["profiles"].columns) == ["Metadata_Well", *found["features"]]


@pytest.mark.parametrize("command", ["submit", "status", "collect"])
def test_every_flag_of_aws_commands_is_documented(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help-all"]) == 0
    flags = {word.strip(".,;") for word in capsys.readouterr().out.split() if word.startswith("--")}
    options = {f"--{name.replace('_', '-')}" for name in Settings.model_fields}
    own = {flag for flag in flags if not flag.startswith("--no-") and flag not in options}
    assert own
    assert {flag for flag in own if f"`{flag}" not in AWS and f"{flag} " not in AWS} <= {"--sign-request"}


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, by GitHub's rules."""
    headings = re.findall(r"^#+ (.*)$", FENCED_CODE.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    for target, anchor in LINK.findall(document.read_text()):
        path = document.parent / target if target else document
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert pages == re.findall(r"^\| \[\d+\]\(([^)]*)\) \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert [name[:4] for name in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]


def test_every_room_is_in_the_design() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(re.findall(r"^\| `(\w+)/` \|", DESIGN, re.MULTILINE))


def test_the_layers_in_the_design_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    package = next(one for one in contracts if one.get("containers") == ["cytobatch"])
    assert "```text\n" + "\n".join(package["layers"]) + "\n```" in DESIGN


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_in_a_document_exists(document: Path) -> None:
    modules = set(re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", document.read_text()))
    assert {name for name in modules if not ((PACKAGE / name).exists() or (ROOT / name).exists())} == set()
