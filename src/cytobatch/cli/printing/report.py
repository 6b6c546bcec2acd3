"""Print run reports."""

import shlex
import sys
from collections.abc import Container, Iterator

from rich.console import Console
from rich.filesize import decimal

from cytobatch.report.lines import counts_line, warning_line
from cytobatch.report.model import RunReport

_OUTPUTS_SHOWN = 10
_WARNINGS_SHOWN = 5


def print_report(console: Console, report: RunReport, known: Container[str] = ()) -> None:
    """Print the counts, outputs, warnings and page of a run, and a command that reads the first output.

    Warnings that are `known` were printed before.
    """
    for line in _report_lines(report, known):
        console.print(line, highlight=False, markup=False)


def _report_lines(report: RunReport, known: Container[str]) -> Iterator[str]:
    yield f"{report.plate}: {counts_line(report)}"
    for output in report.outputs[:_OUTPUTS_SHOWN]:
        yield f"  {output.path.rpartition('.')[2]:<8} {output.path} ({decimal(output.bytes)})"
    if len(report.outputs) > _OUTPUTS_SHOWN:
        yield f"  and {len(report.outputs) - _OUTPUTS_SHOWN} more"
    new = [warning for warning in report.warnings if warning.what not in known]
    for warning in new[:_WARNINGS_SHOWN]:
        yield f"  warning  {warning_line(warning)}"
    if len(new) > _WARNINGS_SHOWN:
        yield f"  and {len(new) - _WARNINGS_SHOWN} more in the report"
    count = f" ({len(report.warnings)} warning(s))" if report.warnings else ""
    yield f"  report   {report.report}{count}"
    if report.outputs:
        yield f"  read it  {_reading(report.outputs[0].path)}"
    if report.page:
        yield f"  page     {report.page}"


def _reading(path: str) -> str:
    """Return a command for a shell that reads a Parquet file, whatever its name is."""
    # Python's own form of the text has no control characters, and the shell takes it as one word.
    literal = ascii(path)
    if '"' not in literal:
        # A shell's single quotes go around the whole, so that those within would be hard to read.
        literal = f'"{literal[1:-1]}"'
    return shlex.join([sys.executable, "-c", f"import pyarrow.parquet as pq; print(pq.read_table({literal}))"])
