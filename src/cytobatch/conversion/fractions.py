"""Find fractions in columns that are integers by their names, after the first one has ended a conversion.

Types follow from names, so that no file is read twice. Fractions in counts are rare: only then all files are read for
these columns, and the conversion starts again. The result does not depend on the order of exports.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import pyarrow as pa

from cytobatch.conversion.run_resources import RunResources
from cytobatch.conversion.table_loader import TableLoader
from cytobatch.engine.executor import Task
from cytobatch.errors import InvalidTableError
from cytobatch.planning.schema import with_types
from cytobatch.survey.integer_columns import fraction_warning, holds_fraction
from cytobatch.survey.model import Survey, SurveyedExport, TableSchema


def with_doubles_for_fractions(survey: Survey, resources: RunResources) -> Survey:
    """Return the survey with doubles for integers by name of which any export holds a fraction, and with warnings.

    No other column is an integer by its name only: a fraction then is a defect. Raises StorageError.
    """
    exports = _exports_by_column(survey, resources)
    schemas = {name: _with_doubles(table, exports) for name, table in survey.schemas.items()}
    warnings = [fraction_warning(table, column, paths) for (table, column), paths in sorted(exports.items())]
    return replace(survey, schemas=schemas, integers_by_name={}, warnings=(*survey.warnings, *warnings))


def _with_doubles(table: TableSchema, columns: Iterable[tuple[str, str]]) -> TableSchema:
    doubles = {column: pa.float64() for name, column in columns if name == table.name}
    return replace(table, schema=with_types(table.schema, doubles))


def _exports_by_column(survey: Survey, resources: RunResources) -> dict[tuple[str, str], list[str]]:
    """Return the paths of the exports that hold a fraction, by table and column."""
    loader = TableLoader(survey.plan, resources)
    tasks = (
        Task(partial(_read_fractions, survey, export, loader, resources), export.export.size)
        for export in survey.exports
    )
    paths = defaultdict[tuple[str, str], list[str]](list)
    found = resources.executor.map_ordered(tasks, resources.ahead_bytes)
    for export, columns in zip(survey.exports, found, strict=True):
        for column in columns:
            paths[column].append(export.path)
    return paths


def _read_fractions(
    survey: Survey, export: SurveyedExport, loader: TableLoader, resources: RunResources
) -> list[tuple[str, str]]:
    """Return the table and column of each integer by name in which an export holds a fraction."""
    try:
        return list(_fractions_of(survey, export, loader))
    finally:
        for source in {table.source for table in export.tables.values()}:
            resources.inputs.release(source)


def _fractions_of(survey: Survey, export: SurveyedExport, loader: TableLoader) -> Iterator[tuple[str, str]]:
    for name, columns in survey.integers_by_name.items():
        table = export.tables.get(name)
        own = [column for column in table.schema.names if column in columns] if table else []
        if table is None or not own:
            continue
        schema = pa.schema([(column, pa.float64()) for column in own])
        try:
            rows = loader.read(replace(table, schema=schema), schema).table
        except InvalidTableError:
            # The conversion finds the defect again, and reports it.
            continue
        yield from ((name, column) for column in own if holds_fraction(rows[column]))
