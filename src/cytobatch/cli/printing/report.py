"""Run reports as lines."""

import shlex
import sys
from collections.abc import Container, Iterator
from itertools import islice

from cytobatch.config.plural import plural
from cytobatch.report.lines import counts_line, warning_line
from cytobatch.report.model import RunReport, first_failures
from cytobatch.report.numbers import duration, size

_OUTPUTS_SHOWN = 10
_WARNINGS_SHOWN = 5
_FAILED_SHOWN = 10


def report_lines(report: RunReport, known: Container[str] = ()) -> Iterator[str]:
    """Yield the counts, failed exports, outputs, warnings and page of a run, and a command that reads the first output.

    Warnings that are `known` were shown before.
    """
    yield f"{report.plate}: {counts_line(report)}, in {duration((report.finished - report.started).total_seconds())}"
    yield from _failed_lines(report)
    for output in report.outputs[:_OUTPUTS_SHOWN]:
        yield f"  {output.path.rpartition('.')[2]:<8} {output.path} ({size(output.bytes)})"
    if len(report.outputs) > _OUTPUTS_SHOWN:
        yield f"  and {plural(len(report.outputs) - _OUTPUTS_SHOWN, 'more output', 'more outputs')}"
    new = [warning for warning in report.warnings if warning.what not in known]
    for warning in new[:_WARNINGS_SHOWN]:
        yield f"  warning  {warning_line(warning)}"
    if len(new) > _WARNINGS_SHOWN:
        yield f"  and {plural(len(new) - _WARNINGS_SHOWN, 'more warning', 'more warnings')}, in the report"
    warnings = f" ({plural(len(report.warnings), 'warning')})" if report.warnings else ""
    yield f"  report   {report.report}{warnings}"
    if report.outputs:
        yield f"  read it  {_reading(report.outputs[0].path)}"
    if report.page:
        yield f"  page     {report.page}"


def _failed_lines(report: RunReport) -> Iterator[str]:
    """Yield the names and reasons of exports that failed and were allowed to."""
    # A report that has travelled has the first failed entries only.
    for entry in islice(first_failures(report.ledger).values(), _FAILED_SHOWN):
        yield f"  failed   {entry.path} ({entry.table or 'file'}): {entry.reason}"
    more = report.counts.failed_exports - _FAILED_SHOWN
    if more > 0:
        yield f"  and {plural(more, 'more failed export', 'more failed exports')}, in the report"


def timing_line(report: RunReport) -> str:
    """Return the seconds of each step, and the memory that the process took at most."""
    steps = ", ".join(f"{name} {duration(seconds)}" for name, seconds in report.seconds.items())
    workers = plural(report.limits.workers, "thread")
    return f"{steps}; at most {size(report.peak_memory_bytes)} of memory, {workers}"


def _reading(path: str) -> str:
    """Return a command for a shell that reads a Parquet file, whatever its name is."""
    # Python's own form of the text has no control characters, and the shell takes it as one word.
    literal = ascii(path)
    if '"' not in literal:
        # A shell's single quotes go around the whole, so that those within would be hard to read.
        literal = f'"{literal[1:-1]}"'
    return shlex.join([sys.executable, "-c", f"import pyarrow.parquet as pq; print(pq.read_table({literal}))"])
