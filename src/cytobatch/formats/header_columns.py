"""Columns of CSV headers that are not part of a table: repeats are compared, and the report names what is left out."""

import math
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from cytobatch.formats.base import SurveyedTable
from cytobatch.formats.csv_files import CsvTable
from cytobatch.formats.table_facts import numbers_rows
from cytobatch.planning.columns import ColumnKind, kind_of
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.header import CsvShape, invalid_file
from cytobatch.readers.numbers import parse_number


def has_repeats(shape: CsvShape) -> bool:
    """Return True if a name stands twice in a header, so that all values must be compared."""
    return shape.header is not None and bool(shape.header.repeats)


def check_repeats(path: Path, shape: CsvShape) -> None:
    """Check that columns of one name in a header have the same values. Raises InvalidTableError."""
    repeats = shape.header.repeats if shape.header is not None else ()
    values = csv.read_text(path, shape.whole_file, tuple(dict.fromkeys(name for pair in repeats for name in pair)))
    for repeat, name in repeats:
        difference = _first_difference(name, values[name], values[repeat])
        if difference is not None:
            raise invalid_file(
                path,
                "duplicate columns",
                f"the header names {name} more than once, with different values: {difference}",
            )


def _first_difference(column: str, first: pa.ChunkedArray, second: pa.ChunkedArray) -> str | None:
    """Return the first row in which two columns of text differ, in words, or None if they are equal."""
    if first.equals(second):
        return None
    # `01` and `1` are one number, but two barcodes.
    may_be_text = kind_of(column) in {ColumnKind.UNKNOWN, ColumnKind.TEXT}
    for row, (one, other) in enumerate(zip(first.to_pylist(), second.to_pylist(), strict=True), start=1):
        if one != other and (may_be_text or not _are_one_number(one or "", other or "")):
            return f"row {row} holds {one or ''!r} and {other or ''!r}"
    return None


def _are_one_number(one: str, other: str) -> bool:
    """Return True if two texts are spellings of one number, or of a missing value."""
    try:
        numbers = parse_number(one), parse_number(other)
    except ValueError:
        return False
    return numbers[0] == numbers[1] or all(number is not None and math.isnan(number) for number in numbers)


def header_facts(table: SurveyedTable) -> Iterator[str]:
    """Yield the columns of a CSV table that are left out, and a dialect that had to be guessed."""
    if not isinstance(table, CsvTable):
        return
    shape = table.shape
    if shape.dialect.assumptions:
        yield f"the file {shape.dialect.assumptions}"
    if shape.header is not None:
        yield from (f"{name} is left out" for name in shape.header.nameless)
        yield from map(numbers_rows, shape.header.row_numbers)
        yield from (
            f"column {name!r} stands more than once, with equal values, and is one column"
            for name in dict.fromkeys(name for _, name in shape.header.repeats)
        )
