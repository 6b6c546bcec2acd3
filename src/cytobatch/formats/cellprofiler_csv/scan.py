"""The scan of CellProfiler's CSV tables: columns, types, and defects in the first lines."""

import functools
from collections.abc import Collection, Mapping
from pathlib import Path

import pyarrow as pa

from cytobatch.errors import InvalidTableError
from cytobatch.formats.base import (
    MISSING,
    UNUSUAL,
    ConversionPlan,
    Export,
    ExportScan,
    PlannedTable,
    SurveyedTable,
    failed_entry,
)
from cytobatch.formats.cellprofiler_csv.combined import combined_compartments
from cytobatch.formats.csv_files import CsvTable, first_row
from cytobatch.formats.header_columns import check_repeats, has_repeats
from cytobatch.planning.columns import HEADERS, IMAGE_NUMBER, ColumnKind, kind_of
from cytobatch.planning.schema import requested_types, schema_by_names
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.header import (
    CsvHead,
    PartialHeadError,
    invalid_file,
    read_combined_head,
    read_head,
)
from cytobatch.readers.inputs import BEGINNING, Inputs
from cytobatch.readers.numbers import convert_to_inferred_type, is_number

_GROWTH = 4
"""The factor by which more bytes are read, if the header does not end within the bytes that were read."""


def scan_export(plan: ConversionPlan, export: Export, inputs: Inputs, metadata: Collection[str]) -> ExportScan:
    """Scan the CSV tables of an export; the tables in `metadata` are image tables."""
    tables: dict[str, SurveyedTable] = {}
    defects = []
    invalid: dict[str, tuple[str, ...]] = {}
    for name, table in export.tables.items():
        if name in export.unusual:
            defects.append(failed_entry(export, table.file.path, name, UNUSUAL))
            invalid[name] = first_row(table.file.path, inputs)
            continue
        try:
            head = _read_head(table, inputs)
            if has_repeats(head.shape):
                check_repeats(inputs.whole(table.file.path), head.shape)
            types = requested_types(name, head.shape.names, plan.job.column_types)
            tables[name] = _scan_table(table, inputs, head, types, is_metadata=name in metadata)
        except InvalidTableError as error:
            defects.append(failed_entry(export, table.file.path, name, error.reason))
            invalid[name] = first_row(table.file.path, inputs)
    defects += [failed_entry(export, export.path, name, MISSING) for name in export.missing]
    return ExportScan(export, tables, tuple(defects), invalid_columns=invalid)


def _read_head(table: PlannedTable, inputs: Inputs) -> CsvHead:
    """Read the header and first row from as few bytes as needed. Raises InvalidTableError."""
    size = BEGINNING
    while size < table.file.size:
        try:
            return _parse_head(table, inputs.beginning(table.file.path, size), table.file.size)
        except PartialHeadError:
            size *= _GROWTH
    return _parse_head(table, inputs.beginning(table.file.path, size), 0)


def _parse_head(table: PlannedTable, path: Path, size: int) -> CsvHead:
    return read_combined_head(path, table.label, size) if table.combined else read_head(path, size)


def _scan_table(
    table: PlannedTable, inputs: Inputs, head: CsvHead, types: Mapping[str, pa.DataType], *, is_metadata: bool
) -> CsvTable:
    """Return the table with its types. Raises InvalidTableError if it numbers no images, or holds unexpected text."""
    if IMAGE_NUMBER not in head.shape.names:
        path = inputs.beginning(table.file.path)
        if combined_compartments(head.shape.names):
            raise invalid_file(path, "a combined file beside other tables", "its first row has names of compartments")
        raise invalid_file(path, "no ImageNumber column", f"the header begins {','.join(head.shape.names[:3])!r}")
    # The columns of image tables are typed later, by all rows of the plate.
    needs_values = head.has_rows and not is_metadata
    inferred, texts = _infer_from_values(table.file.path, inputs, head, types) if needs_values else ({}, {})
    return CsvTable(
        name=table.name,
        label=table.label,
        source=table.file.path,
        schema=schema_by_names(head.shape.names, {**inferred, **types}),
        has_rows=head.has_rows,
        null_text_columns=frozenset(types),
        shape=head.shape,
        complete=head.ends_with_newline,
        first_text=texts,
    )


def _infer_from_values(
    source: str, inputs: Inputs, head: CsvHead, types: Mapping[str, pa.DataType]
) -> tuple[dict[str, pa.DataType], dict[str, str]]:
    """Return the types of columns of unknown kind, by all their values, and the text in measurements of the first row.

    Both are by column. Columns in `types` have their type already. Raises InvalidTableError if a column has text in
    the first row and numbers in most others.
    """
    unknown = [column for column in _of_unknown_kind(head.shape.names) if column not in types]
    texts = {
        column: value
        for column, value in head.texts().items()
        if column not in types and kind_of(column) is ColumnKind.MEASUREMENT
    }
    if not unknown and not texts:
        return {}, {}
    path = inputs.whole(source)
    values = csv.read_text(path, head.shape, (*unknown, *texts))
    _check_texts(path, values, texts)
    return {column: convert_to_inferred_type(values[column]).type for column in unknown}, texts


@functools.lru_cache(maxsize=HEADERS)
def _of_unknown_kind(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns whose kind does not follow from their names."""
    return tuple(column for column in columns if kind_of(column) is ColumnKind.UNKNOWN)


def _check_texts(path: Path, values: pa.Table, texts: Mapping[str, str]) -> None:
    """Check that a column with text in the first row is not one of numbers in most others. Raises InvalidTableError."""
    for column, value in texts.items():
        not_empty = [text for text in values[column].to_pylist() if text]
        if 2 * sum(is_number(text) for text in not_empty) >= len(not_empty):
            raise invalid_file(path, f"text in numeric column {column!r}", f"row 1 holds {value!r}")
