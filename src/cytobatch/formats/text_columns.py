"""Measurements that are text in some exports: a text column of this plate, or a defect of these exports."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import pyarrow as pa

from cytobatch.errors import InvalidTableError
from cytobatch.formats.base import ExportScan
from cytobatch.formats.csv_files import CsvTable, csv_table
from cytobatch.planning.columns import TABLE_NUMBER, ColumnKind, kind_of
from cytobatch.planning.schema import is_number_type
from cytobatch.readers.csv import read as csv
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.numbers import is_number

_ExportTable = tuple[str, CsvTable]
"""The path of an export, and one of its tables."""


def resolve_text_columns(scans: Sequence[ExportScan], inputs: Inputs) -> list[ExportScan]:
    """Decide for each measurement with text in a first row whether it is a text column of this plate.

    It is one if most exports have text there. Exports with the other kind of values get a defect,
    whose reason names an export of the chosen kind.
    """
    tables = [
        (scan.export.path, table)
        for scan in scans
        for table in scan.tables.values()
        if isinstance(table, CsvTable) and table.has_rows
    ]
    result = list(scans)
    for name, column in sorted({(table.name, column) for _, table in tables for column in table.first_text}):
        with_column = [(path, table) for path, table in tables if table.name == name and column in table.schema.names]
        text = [(path, table) for path, table in with_column if column in table.first_text]
        others = [(path, table) for path, table in with_column if column not in table.first_text]
        if 2 * len(others) < len(with_column):
            numeric = {path for path, table in others if _holds_numbers(table, column, inputs)}
            result = [_as_text(scan, name, column, numeric, text[0]) for scan in result]
        else:
            other = next((path for path, table in others if _holds_numbers(table, column, inputs)), others[0][0])
            result = [_as_number(scan, name, column, other) for scan in result]
    return result


def _holds_numbers(table: CsvTable, column: str, inputs: Inputs) -> bool:
    """Return True if a column has values, and all of them are numbers."""
    try:
        texts = csv.read_text(inputs.whole(table.source), table.shape, (column,))[column].to_pylist()
    except InvalidTableError:
        # The defect is reported when the rows are read.
        return False
    values = [text for text in texts if text]
    return bool(values) and all(is_number(value) for value in values)


def _as_text(scan: ExportScan, name: str, column: str, numeric: set[str], text: _ExportTable) -> ExportScan:
    table = csv_table(scan, name)
    if table is None or column not in table.schema.names:
        return scan
    if scan.export.path in numeric:
        path, other = text
        return scan.without(name, f"numbers in text column {column!r}, where {path} has {other.first_text[column]!r}")
    index = table.schema.names.index(column)
    schema = table.schema.set(index, pa.field(column, pa.string()))
    return replace(scan, tables={**scan.tables, name: replace(table, schema=schema)})


def _as_number(scan: ExportScan, name: str, column: str, other: str) -> ExportScan:
    table = csv_table(scan, name)
    if table is None or column not in table.first_text:
        return scan
    value = table.first_text[column]
    return scan.without(name, f"text in numeric column {column!r}: {value!r}, where {other} has a number")


def check_text_columns(scans: Sequence[ExportScan]) -> list[ExportScan]:
    """Fail tables with text, declared or read, in a column that has numbers in most other exports."""
    text, numbers = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for scan in scans:
        for name, table in scan.tables.items():
            for field in table.schema:
                text[name, field.name] += _is_unexpected_text(field)
                numbers[name, field.name] += is_number_type(field.type)
    mixed = {column for column, count in text.items() if 0 < count < numbers[column]}
    return [_without_text(scan, mixed) for scan in scans]


def _is_unexpected_text(field: pa.Field) -> bool:
    # A column under Metadata_, and a TableNumber, may be text or a number.
    may_be_text = kind_of(field.name) is ColumnKind.UNKNOWN or field.name == TABLE_NUMBER
    return pa.types.is_string(field.type) and not may_be_text


def _without_text(scan: ExportScan, columns: Collection[tuple[str, str]]) -> ExportScan:
    result = scan
    for name, table in scan.tables.items():
        texts = [field.name for field in table.schema if (name, field.name) in columns and _is_unexpected_text(field)]
        if texts:
            result = result.without(name, f"text in column {texts[0]!r}, where most exports have numbers")
    return result
