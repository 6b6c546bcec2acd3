"""The lines that a run prints about its report."""

from pathlib import Path

import pytest

from cytobatch.cli.printing.report import report_lines
from cytobatch.report.model import ReportWarning, RunReport
from tests.support.plates import convert, write_sites


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    folder = tmp_path_factory.mktemp("run")
    return convert(write_sites(folder / "in", 1), folder)[1]


def printed(report: RunReport, *warnings: ReportWarning) -> list[str]:
    return [line.strip() for line in report_lines(report.model_copy(update={"warnings": list(warnings)}))]


@pytest.mark.parametrize(
    ("warning", "line"),
    [
        (ReportWarning(what="left out", table="nuclei"), "nuclei: left out"),
        (ReportWarning(what="Nuclei: column 5 is left out", table="nuclei"), "Nuclei: column 5 is left out"),
        (ReportWarning(what="without a parent", table="cells", count=3), "without a parent: 3 of cells"),
        (ReportWarning(what="2 wells without objects"), "2 wells without objects"),
    ],
)
def test_a_warning_names_its_table_once(report: RunReport, warning: ReportWarning, line: str) -> None:
    assert f"warning  {line}" in printed(report, warning)


def test_warnings_beyond_the_first_are_counted(report: RunReport) -> None:
    lines = printed(report, *(ReportWarning(what=f"fact {number}") for number in range(8)))
    assert [line for line in lines if "fact" in line] == [f"warning  fact {number}" for number in range(5)]
    assert "and 3 more warnings, in the report" in lines
    assert lines[-3].endswith("(8 warnings)")


def test_the_last_line_is_the_plates_page(report: RunReport) -> None:
    assert printed(report)[-1] == f"page     {report.page}"


def test_a_compartment_that_is_left_out_is_named(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 1)
    (source / "P1-A01-1" / "Cytoplasm.csv").unlink()
    cells = source / "P1-A01-1" / "Cells.csv"
    cells.write_text(cells.read_text().replace("Parent_Nuclei", "Number_Of_Nuclei"))
    _, report = convert(source, tmp_path)
    assert any("nuclei: compartment left out" in line for line in printed(report, *report.warnings))
