"""Print what an inspection has found."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.filesize import decimal

from cytobatch.config.options import PlateJob
from cytobatch.config.plural import count, plural
from cytobatch.errors import printable
from cytobatch.pipeline.inspection.model import (
    ColumnCounts,
    InspectedParquet,
    InspectedResult,
    InspectedSource,
    InspectedTable,
    Inspection,
    SampleRows,
)
from cytobatch.report.lines import shortened
from cytobatch.report.numbers import moment
from cytobatch.report.text_map import as_ascii

_LINES_SHOWN = 6
_NAMES_SHOWN = 12
_WIDEST = 24
"""The most characters of a value."""

Line = tuple[str, str]
"""The name of a property, or nothing for one that goes on, and its value."""


def print_inspection(console: Console, found: Inspection) -> None:
    """Print an inspection, one line for each property. Maps are in ASCII where the terminal has nothing else."""
    has_unicode = console.encoding.lower().startswith("utf")
    for name, value in _lines(found):
        line = f"{name:<13} {value}".rstrip()
        console.print(line if has_unicode else as_ascii(line), highlight=False, markup=False)


def _lines(found: Inspection) -> Iterator[Line]:
    match found:
        case InspectedSource():
            yield from _source_lines(found)
        case InspectedResult():
            yield from _result_lines(found)
        case InspectedParquet():
            yield from _parquet_lines(found)
    if found.sample is not None and found.sample.rows:
        yield from _sample_lines(found.sample)


def _source_lines(found: InspectedSource) -> Iterator[Line]:
    yield "source", found.path
    yield "layout", f"{found.layout}, preset {found.preset}"
    yield "plates", shortened(found.plates, _NAMES_SHOWN) or "not named"
    places = [plural(number, what) for number, what in ((found.wells, "well"), (found.sites, "site")) if number]
    yield "measures", ", ".join((*places, plural(found.exports, "export")))
    yield "files", f"{count(found.files)} to read, {decimal(found.bytes)}; {count(found.ignored)} ignored"
    if found.fetched or found.not_surveyed:
        yield "looked at", _looked_at(found)
    for table in found.tables:
        yield "table", f"{table.name}: {_rows(table)}{_column_line(table.columns)}"
        yield from (("", line) for line in _breakdown(table.columns))
    yield from (("join", line) for line in found.joins)
    yield from _first_lines("invalid", found.invalid)
    yield from _first_lines("warning", found.warnings)


def _looked_at(found: InspectedSource) -> str:
    what = "the declarations of " if found.declarations_only else ""
    line = f"{what}{count(found.looked_at)} of {plural(found.exports, 'export')}, {decimal(found.fetched)} fetched"
    return f"{line}: {found.not_surveyed}" if found.not_surveyed else line


def _rows(table: InspectedTable) -> str:
    if table.rows is None:
        return ""
    return f"{'about ' if table.about else ''}{plural(table.rows, 'row')}, "


def _result_lines(found: InspectedResult) -> Iterator[Line]:
    yield "result", found.path
    yield "verdict", f"{found.plate}: {found.verdict}"
    yield from (("", sentence) for sentence in found.sentences)
    yield "source", f"{found.source} ({found.layout}, preset {found.preset})"
    yield "made", f"{moment(found.finished)} UTC by cytobatch {found.cytobatch_version}"
    yield "digest", found.digest or "unknown"
    yield "options", ", ".join(_own_options(found)) or "none but source and destination"
    if found.plates and found.plates != [found.plate]:
        yield "plates", shortened(found.plates, _NAMES_SHOWN)
    failed = f", {count(found.failed_exports)} of them failed" if found.failed_exports else ""
    numbers = (plural(found.wells, "well"), plural(found.sites, "site"), plural(found.exports, "export") + failed)
    yield "measures", ", ".join(numbers)
    for output in found.outputs[:_LINES_SHOWN]:
        yield (
            "output",
            f"{output.path}: {plural(output.rows, 'row')}, {plural(output.columns, 'column')}, {decimal(output.bytes)}",
        )
    if len(found.outputs) > _LINES_SHOWN:
        yield "", f"and {count(len(found.outputs) - _LINES_SHOWN)} more"
    if found.columns is not None:
        yield "columns", _column_line(found.columns)
        yield from (("", line) for line in _breakdown(found.columns))
    yield from zip(("map", *[""] * len(found.plate_map)), found.plate_map, strict=False)
    yield from _first_lines("failed", found.failed)
    yield from _first_lines("warning", found.warnings)
    if found.page:
        yield "page", found.page


def _own_options(found: InspectedResult) -> Iterator[str]:
    """Yield the options that are not as they are without being given."""
    usual = PlateJob(source="s", destination="d").output_options()
    for name, value in found.options.items():
        if name not in ("source", "destination") and usual.get(name) != value:
            yield f"{name}={value}"


def _parquet_lines(found: InspectedParquet) -> Iterator[Line]:
    yield "Parquet file", found.path
    yield "rows", f"{plural(found.rows, 'row')} in {plural(found.row_groups, 'row group')}"
    yield "written by", found.written_by
    for name, value in found.provenance.items():
        yield "", f"{name}: {value}"
    yield "columns", f"{count(found.columns)}: {_counts(found.types)}"
    yield "", shortened(found.names, _NAMES_SHOWN)
    if not found.provenance:
        yield "", "not a file of cytobatch: no more is known about it"


def _column_line(columns: ColumnCounts) -> str:
    kinds = [
        plural(number, *words)
        for number, words in (
            (columns.features, ("feature",)),
            (columns.metadata, ("of metadata", "of metadata")),
            (columns.images, ("about images", "about images")),
        )
        if number
    ]
    text = f"; {count(columns.text)} of text" if columns.text else ""
    return f"{plural(columns.columns, 'column')}: {', '.join(kinds)}{text}"


def _breakdown(columns: ColumnCounts) -> Iterator[str]:
    """Yield the features by compartments, if there are several, by groups and by channels."""
    if len(columns.compartments) > 1:
        yield f"  of {_counts(columns.compartments)}"
    if columns.groups:
        yield f"  groups {_counts(columns.groups)}"
    if columns.channels:
        yield f"  channels {_counts(columns.channels)}"


def _counts(counts: Mapping[str, int]) -> str:
    return shortened([f"{name} {number:,}" for name, number in counts.items()], _NAMES_SHOWN)


def _first_lines(name: str, lines: Sequence[str]) -> Iterator[Line]:
    yield from ((name, line) for line in lines[:_LINES_SHOWN])
    if len(lines) > _LINES_SHOWN:
        yield "", f"and {count(len(lines) - _LINES_SHOWN)} more"


def _sample_lines(sample: SampleRows) -> Iterator[Line]:
    """Yield a line for each column, because names are long and rows are few."""
    yield "sample", f"the first {plural(len(sample.rows), 'row')} of {sample.table}"
    values = [[_short(row[number]) for number in range(len(sample.columns))] for row in sample.rows]
    widths = [max(map(len, row), default=0) for row in values]
    names = [printable(name) for name in sample.columns]
    longest = max(map(len, names), default=0)
    for number, name in enumerate(names):
        row = "  ".join(f"{each[number]:<{width}}" for each, width in zip(values, widths, strict=True))
        yield "", f"{name:<{longest}}  {row}".rstrip()


def _short(value: str | None) -> str:
    text = "-" if value is None else printable(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."
