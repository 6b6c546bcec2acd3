"""The output of the benchmarks: a table for each case, and one of all figures and their bounds."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from measure import Runs


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure of a case, its bound, and whether it holds."""

    case: str
    figure: str
    reached: str
    must: str
    held: bool


def at_most(case: str, figure: str, value: float, bound: float, unit: str = "") -> Finding:
    """Return a figure that must not be larger than its bound."""
    return Finding(case, figure, f"{value:.2f}{unit}", f"{bound:g}{unit} or less", value <= bound)


def at_least(case: str, figure: str, value: float, bound: float, unit: str = "") -> Finding:
    """Return a figure that must not be smaller than its bound."""
    return Finding(case, figure, f"{value:.2f}{unit}", f"{bound:g}{unit} or more", value >= bound)


@dataclass(frozen=True, slots=True)
class Row:
    """The runs of a piece of work, under its label."""

    label: str
    runs: Runs


@dataclass(frozen=True, slots=True)
class Show:
    """Prints to a console."""

    console: Console

    def note(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def case(self, title: str, rows: Sequence[Row]) -> None:
        """Print the figures of a case's pieces; for two pieces also the ratio of the first to the second."""
        table = Table("", "wall s", "CPU s", "peak MiB", "runs", title=title, title_justify="left")
        for row in rows:
            took, count = row.runs.median, len(row.runs.each)
            table.add_row(row.label, f"{took.wall:.2f}", f"{took.cpu:.2f}", f"{took.peak / 2**20:,.0f}", str(count))
        if len(rows) == 2:
            ratio = rows[0].runs.over(rows[1].runs)
            table.add_row("ratio, median of rounds", f"{ratio.wall:.2f}", f"{ratio.cpu:.2f}", f"{ratio.peak:.2f}", "")
        self.console.print(table)

    def held(self, finding: Finding) -> None:
        verdict = "held" if finding.held else "MISSED"
        self.note(f"{finding.case}: {finding.figure}: {finding.reached}; must be {finding.must}: {verdict}")

    def summary(self, findings: Sequence[Finding]) -> None:
        table = Table("case", "figure", "must reach", "reached", "", title="All figures", title_justify="left")
        for one in findings:
            table.add_row(one.case, one.figure, one.must, one.reached, "held" if one.held else "[bold red]missed[/]")
        self.console.print(table)


def write_json(findings: Sequence[Finding], path: Path) -> None:
    """Write the figures as JSON, for programs."""
    path.write_text(json.dumps([dataclasses.asdict(one) for one in findings], indent=1) + "\n", encoding="utf-8")
