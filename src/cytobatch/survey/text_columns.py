"""Columns that should measure, but hold text in some export: text on this plate, or a fault."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import pyarrow as pa

from cytobatch.errors import InvalidTableError
from cytobatch.planning.columns import TABLE_NUMBER, ColumnKind, kind_of
from cytobatch.readers.csv import read as csv
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.numbers import is_number
from cytobatch.survey.model import SurveyedTable
from cytobatch.survey.table_heads import ExportScan

_Found = tuple[str, SurveyedTable]


def resolve_text_columns(heads: Sequence[ExportScan], inputs: Inputs) -> list[ExportScan]:
    """Decides of each such column whether it is text on this plate: it is if most exports have text there.

    The exports that are of the other kind are unsound, and one that disagrees with them is named.
    """
    tables = [(head.export.path, table) for head in heads for table in head.tables.values() if table.has_rows]
    result = list(heads)
    for name, column in sorted({(table.name, column) for _, table in tables for column in table.first_text}):
        own = [(path, table) for path, table in tables if table.name == name and column in table.schema.names]
        text = [(path, table) for path, table in own if column in table.first_text]
        others = [(path, table) for path, table in own if column not in table.first_text]
        if 2 * len(others) < len(own):
            numeric = {path for path, table in others if _holds_numbers(table, column, inputs)}
            result = [_as_text(head, name, column, numeric, text[0]) for head in result]
        else:
            other = next((path for path, table in others if _holds_numbers(table, column, inputs)), others[0][0])
            result = [_as_number(head, name, column, other) for head in result]
    return result


def _holds_numbers(table: SurveyedTable, column: str, inputs: Inputs) -> bool:
    """Whether there are values in a column, and all of them are numbers."""
    if table.shape is None:
        return False
    try:
        said = csv.read_text(inputs.whole(table.source), table.shape, (column,))[column].to_pylist()
    except InvalidTableError:
        # It is told when the rows are read.
        return False
    values = [value for value in said if value]
    return bool(values) and all(is_number(value) for value in values)


def _as_text(head: ExportScan, name: str, column: str, numeric: set[str], text: _Found) -> ExportScan:
    table = head.tables.get(name)
    if table is None or column not in table.schema.names:
        return head
    if head.export.path in numeric:
        path, other = text
        return head.without(name, f"numbers in text column {column!r}, where {path} has {other.first_text[column]!r}")
    location = table.schema.names.index(column)
    schema = table.schema.set(location, pa.field(column, pa.string()))
    return replace(head, tables={**head.tables, name: replace(table, schema=schema)})


def _as_number(head: ExportScan, name: str, column: str, other: str) -> ExportScan:
    table = head.tables.get(name)
    if table is None or column not in table.first_text:
        return head
    value = table.first_text[column]
    return head.without(name, f"text in numeric column {column!r}: {value!r}, where {other} has a number")


def check_text_columns(heads: Sequence[ExportScan]) -> list[ExportScan]:
    """Tables with text, declared or found, in a column that has numbers in most other exports are unsound."""
    text, numbers = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for head in heads:
        for name, table in head.tables.items():
            for field in table.schema:
                text[name, field.name] += _is_odd_text(field)
                numbers[name, field.name] += pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    odd = {column for column, count in text.items() if 0 < count < numbers[column]}
    return [_without_text(head, odd) for head in heads]


def _is_odd_text(field: pa.Field) -> bool:
    # What stands under Metadata_, and a TableNumber, may be either.
    either = kind_of(field.name) is ColumnKind.UNKNOWN or field.name == TABLE_NUMBER
    return pa.types.is_string(field.type) and not either


def _without_text(head: ExportScan, columns: Collection[tuple[str, str]]) -> ExportScan:
    result = head
    for name, table in head.tables.items():
        mine = [field.name for field in table.schema if (name, field.name) in columns and _is_odd_text(field)]
        if mine:
            result = result.without(name, f"text in column {mine[0]!r}, where most exports have numbers")
    return result
