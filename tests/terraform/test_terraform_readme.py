"""The README of `terraform/` has each input and output of the configuration."""

import re
from pathlib import Path

from tests.support.paths import REPOSITORY

ROOT = REPOSITORY / "terraform"


def _blocks(kind: str, *files: str) -> dict[str, str]:
    """Return the text of each block of a kind, by its name."""
    text = "\n".join((ROOT / file).read_text() for file in files)
    return {found[1]: found[2] for found in re.finditer(rf'^{kind} "(\w+)" {{\n(.*?)^}}', text, re.M | re.S)}


def _description(block: str) -> str:
    found = re.search(r'^  description = "(.*)"$', block, re.M)
    assert found is not None, block
    return found[1].replace("|", "\\|")


def _type(block: str) -> str:
    found = re.search(r"^  type\s+= (\S+?)(?:\({|$)", block, re.M)
    assert found is not None, block
    return found[1] + ")" * found[1].count("(") if found[0].endswith("({") else found[1]


def _default(block: str) -> str:
    """Return the default as written, or those of an object's fields if it has no default of its own."""
    found = re.search(r"^  default\s+= (.*)$", block, re.M)
    assert found is not None, block
    fields = re.findall(r"^    (\w+)\s+= optional\(.*?, (.*)\)$", block, re.M)
    if found[1] == "{}" and fields:
        return ", ".join(f"{name} = {value}" for name, value in fields)
    return found[1]


def inputs() -> list[str]:
    """Return the rows of the table of inputs."""
    blocks = _blocks("variable", "variables.tf", "variables_compute.tf")
    return [f"| `{name}` | {_type(of)} | `{_default(of)}` | {_description(of)} |" for name, of in blocks.items()]


def outputs() -> list[str]:
    """Return the rows of the table of outputs."""
    return [f"| `{name}` | {_description(text)} |" for name, text in _blocks("output", "outputs.tf").items()]


def _table(readme: str, heading: str) -> list[str]:
    section = readme.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


def test_the_table_has_the_inputs_of_the_configuration() -> None:
    readme = (ROOT / "README.md").read_text()
    assert _table(readme, "Inputs") == inputs()
    assert len(inputs()) > 25


def test_the_table_has_the_outputs_of_the_configuration() -> None:
    readme = (ROOT / "README.md").read_text()
    assert _table(readme, "Outputs") == outputs()
    assert len(outputs()) > 10


def test_every_file_is_described() -> None:
    readme = (ROOT / "README.md").read_text()
    conventional = {"versions.tf", "variables.tf", "variables_compute.tf", "outputs.tf", "locals.tf"}
    assert {path.name for path in Path(ROOT).glob("*.tf")} - conventional == set(re.findall(r"`(\w+\.tf)`", readme))
